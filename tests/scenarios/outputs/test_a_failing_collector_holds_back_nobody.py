"""Each class of failure over TLS, long and mixed: afterwards all is there, and the neighbour never waited."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from connector.facts import EventDeadLettered, OutputHeld, OutputReleased
from connector.interfaces import Output
from connector.outputs import BUILT_IN
from tests.scenarios.outputs.delivering import delivering
from tests.support.collectors import Authority, authority, unobserved
from tests.support.sampling import sampled
from tests.support.scripted_http import Asked, Reply, scripted
from tests.unit.delivery.fakes import revisions

COUNT, FAILURES = 2000, 8
BATCH = {"events": 100, "linger": "10ms"}


class Collector:
    """Takes NDJSON; first it fails as often as told, in turn with a request that it takes."""

    def __init__(self, fail: Callable[[Asked], Reply | None]) -> None:
        self.taken: list[bytes] = []
        self.fail = fail
        self.failed = 0
        self._turns = itertools.count()

    def answer(self, asked: Asked) -> Reply:
        """Fail, or take what was *asked*."""
        if self.failed < FAILURES and next(self._turns) % 2 == 0:
            self.failed += 1
            reply = self.fail(asked)
            if reply is not None:
                return reply
        self.taken += asked.body.splitlines()
        return Reply(200 + self.failed % 5 if self.failed % 5 != 3 else 202)


def status(number: int, **headers: str) -> Callable[[Asked], Reply]:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return lambda _: Reply(number, b"<html>no</html>", named)


def silent(_: Asked) -> Reply:
    """Hang until the output gives up."""
    return Reply(hold=asyncio.Event())


def cut_off(_: Asked) -> Reply:
    return Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")


def reset(_: Asked) -> Reply:
    return Reply(raw=b"")


def no_http(_: Asked) -> Reply:
    return Reply(raw=b"SSH-2.0-OpenSSH_9.2\r\n")


PASSING: dict[str, Callable[[Asked], Reply | None]] = {
    "408": status(408),
    "429 with a time": status(429, retry_after="0"),
    "500": status(500),
    "503": status(503),
    "504": status(504),
    "silence": silent,
    "an answer that is cut off": cut_off,
    "a connection that ends": reset,
    "another protocol": no_http,
}
HOLDING = {number: status(int(number)) for number in ("301", "401", "403", "404", "501")}


@contextlib.asynccontextmanager
async def reaching(
    collector: Collector, trusted: Authority, **options: object
) -> AsyncIterator[tuple[Output, Collector]]:
    """An output to *collector*, over TLS."""
    async with scripted(collector.answer, tls=trusted.server) as server:
        given = {"type": "http", "url": server.url, "tls": {"ca_file": trusted.ca_file}, "batch": BATCH}
        settings = BUILT_IN["http"].model_validate({**given, **options})
        yield settings.build("siem", unobserved), collector


@pytest.mark.parametrize("name", [*sampled(PASSING, 2), *sampled(HOLDING, 2)])
async def test_all_is_there_afterwards_and_the_neighbour_never_waited(name: str, tmp_path: Path) -> None:
    trusted = authority(tmp_path)
    failing, healthy = Collector({**PASSING, **HOLDING}[name]), Collector(lambda _: None)
    pages = [revisions(500, first) for first in range(1, COUNT, 500)]
    async with (
        reaching(failing, trusted, timeout="300ms") as (one, _),
        reaching(healthy, trusted) as (other, _),
        delivering(one, *pages) as trouble,
        delivering(other, *pages) as neighbour,
    ):
        await neighbour.done()
        await trouble.done(60)

    wanted = {b'{"id": "%d"}' % number for number in range(1, COUNT + 1)}
    assert set(failing.taken) == set(healthy.taken) == wanted
    assert failing.failed == FAILURES
    assert set(Counter(healthy.taken).values()) == {1}
    assert sum(Counter(failing.taken).values()) - COUNT <= FAILURES * BATCH["events"]  # type: ignore[operator]
    assert trouble.seen.of(EventDeadLettered) == neighbour.seen.of(EventDeadLettered) == []
    assert bool(trouble.seen.of(OutputHeld)) is (name in HOLDING)
    assert len(trouble.seen.of(OutputHeld)) == len(trouble.seen.of(OutputReleased))


async def test_a_collector_that_stays_dead_keeps_nobody_waiting_and_gets_all_when_it_is_back(
    tmp_path: Path,
) -> None:
    trusted = authority(tmp_path)
    dead, healthy = Collector(lambda _: None), Collector(lambda _: None)
    alive = False
    dead_answer = dead.answer
    dead.answer = lambda asked: dead_answer(asked) if alive else Reply(raw=b"")  # type: ignore[method-assign]
    pages = [revisions(500, first) for first in range(1, COUNT, 500)]
    async with (
        reaching(dead, trusted) as (one, _),
        reaching(healthy, trusted) as (other, _),
        delivering(one, *pages) as trouble,
        delivering(other, *pages) as neighbour,
    ):
        await neighbour.done()
        assert len(healthy.taken) == COUNT
        assert dead.taken == []
        assert trouble.log.position == 0
        alive = True
        await trouble.done(60)
    assert [*dead.taken] == [b'{"id": "%d"}' % number for number in range(1, COUNT + 1)]
