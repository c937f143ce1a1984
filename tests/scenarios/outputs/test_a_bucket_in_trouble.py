"""Whatever a store answers, before or after it stored the object: every event is in it once."""

from __future__ import annotations

import gzip
from collections import Counter
from typing import Any

import orjson
import pytest

from connector.facts import OutputHeld, OutputReleased
from connector.interfaces import Output
from connector.outputs.s3.output import S3Settings
from tests.scenarios.outputs.delivering import delivering
from tests.support.bucket import Bucket, bucket, refusal
from tests.support.collectors import unobserved
from tests.support.scripted_http import Asked, Reply
from tests.unit.delivery.fakes import revisions

ALL = Counter({str(number): 1 for number in range(1, 2001)})
RESET = Reply(raw=b"")
CUT = Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab")
FAULTS = {
    "reset": RESET,
    "cut off": CUT,
    "not HTTP": Reply(raw=b"\x00\x01\x02\r\n\r\n"),
    "slow down": refusal(503, "SlowDown"),
    "internal error": refusal(500, "InternalError"),
    "bad gateway": Reply(502, b"<html>"),
    "conflict": refusal(409, "ConditionalRequestConflict"),
    "denied": refusal(403, "AccessDenied"),
    "no bucket": refusal(404, "NoSuchBucket"),
    "wrong clock": refusal(403, "RequestTimeTooSkewed"),
    "wrong region": refusal(301, "PermanentRedirect"),
}
HOLDS = {"denied", "no bucket", "wrong clock", "wrong region"}


def lake(store: Bucket) -> Output:
    given: dict[str, Any] = {
        "bucket": "mail",
        "region": "eu-central-1",
        "endpoint": store.url,
        "auth": {"static": {"access_key_id": "key", "secret_access_key": "secret"}},
        "batch": {"events": 150, "linger": "50ms"},
    }
    return S3Settings.model_validate(given).build("siem", unobserved)


def names(store: Bucket) -> Counter[str]:
    return Counter(orjson.loads(line)["id"] for line in store.lines())


@pytest.mark.parametrize("after", [False, True], ids=["before it is stored", "after it is stored"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_costs_nothing_and_doubles_nothing(fault: str, *, after: bool) -> None:
    puts = 0

    def sometimes(asked: Asked) -> Reply | None:
        nonlocal puts
        puts += asked.method == "PUT"
        return FAULTS[fault] if asked.method == "PUT" and puts % 9 in {2, 3, 4} else None

    async with bucket() as store:
        if after:
            store.afterwards = sometimes
        else:
            store.trouble = sometimes
        async with delivering(lake(store), revisions(2000)) as delivery:
            await delivery.done()
            assert names(store) == ALL
            assert delivery.log.letters == []
            held = len(delivery.seen.of(OutputHeld))
            assert held == len(delivery.seen.of(OutputReleased))
            assert bool(held) == (fault in HOLDS)
            assert (store.repetitions > 0) == after


async def test_a_gateway_with_a_limit_gets_smaller_objects() -> None:
    async with bucket() as store:
        store.trouble = lambda asked: Reply(413) if len(asked.body) > 300 else None
        async with delivering(lake(store), revisions(2000)) as delivery:
            await delivery.done()
            assert names(store) == ALL
            assert delivery.log.letters == []
    assert max(map(len, store.objects.values())) <= 300
    assert all(gzip.decompress(body) for body in store.objects.values())
