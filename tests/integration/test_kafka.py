"""A real Kafka broker stores every event once and in order, also when it is killed in between."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from connector.errors import DeliveryError, Hold, Retryable
from connector.interfaces import Output
from connector.model import Event
from connector.outputs import BUILT_IN
from connector.testing.outputs import CHECKS, Check, OutputHarness, events
from tests.integration.killed_collector import Figures, deliver, figures
from tests.support.collectors import free_port, unobserved
from tests.support.kafka import PASSWORD, STRANGER, USER, KafkaBroker
from tests.support.scripted_http import Asked, Reply, scripted

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("kafka")]  # one broker, not one per worker

PATIENCE = 90.0


def made(address: str, topic: str, **more: object) -> Output:
    settings = {"type": "kafka", "brokers": address, "topic": topic, **more}
    return BUILT_IN["kafka"].model_validate(settings).build("bus", unobserved)


def event_id(payload: bytes) -> str:
    return str(json.loads(payload)["event"]["id"])


def fresh() -> str:
    return f"topic-{uuid4().hex}"


def revisions(records: int, each: int) -> list[Event]:
    """Events of *records* records, *each* revisions of every one, mixed as they come."""
    found = []
    for number in range(each):
        for event in events(records, label="record"):
            revision = replace(event.revision, digest=f"{number:064}", number=number + 1)
            payload = event.payload[:-1] + b',"revision":%d}' % number
            found.append(replace(event, revision=revision, payload=payload))
    return found


async def produced(output: Output, batch: list[Event]) -> None:
    """Send *batch* as delivery does: open again after each failure, and send what is left."""
    async with asyncio.timeout(PATIENCE):
        while batch:
            try:
                receipt = await output.send(batch)
            except Retryable:
                await asyncio.sleep(0.1)
                with contextlib.suppress(Retryable):
                    await output.open()
                continue
            assert not receipt.rejected
            batch = [batch[index] for index in sorted(receipt.retry)]


async def failure(output: Output, *batch: Event) -> DeliveryError:
    """What opening, or sending *batch*, raises."""
    try:
        await output.open()
        receipt = await output.send(batch)
    except DeliveryError as error:
        return error
    finally:
        await output.close()
    pytest.fail(f"nothing failed: {receipt}")


@contextlib.asynccontextmanager
async def opened(output: Output) -> AsyncIterator[Output]:
    try:
        await output.open()
        yield output
    finally:
        await output.close()


async def test_a_broker_that_is_killed_loses_and_doubles_nothing(kafka: KafkaBroker) -> None:
    topic = fresh()
    await kafka.create(topic, 3)
    sent = revisions(600, 5)

    async def kill() -> None:
        await asyncio.sleep(0.2)  # anywhere in the middle is right
        kafka.kill()
        await asyncio.to_thread(kafka.start)

    async with opened(made(kafka.address, topic, timeout="2s", batch={"events": 50})) as output:
        batches = [sent[at : at + 50] for at in range(0, len(sent), 50)]
        for batch in batches[:20]:
            await produced(output, batch)
        killing = asyncio.create_task(kill())
        for batch in batches[20:]:
            await produced(output, batch)
        await killing
    stored = await kafka.records(topic)

    assert len(stored) == len(sent)
    counts = Counter(one.headers["identity"] for one in stored)
    assert counts == Counter(event.revision.identity for event in sent)
    payloads = {event.revision.identity: event.payload for event in sent}
    orders, places = defaultdict(list), defaultdict(set)
    for one in stored:
        assert one.value == payloads[one.headers["identity"]]
        assert dict(one.headers) | {"identity": ""} == {
            "identity": "", "mapping": "ecs", "account": "account", "search": "search",
        }  # fmt: skip
        orders[one.key].append(json.loads(one.value)["revision"])
        places[one.key].add(one.partition)
    assert len(orders) == 600
    assert all(order == [0, 1, 2, 3, 4] for order in orders.values())
    assert all(len(place) == 1 for place in places.values())
    assert {place for found in places.values() for place in found} == {0, 1, 2}


async def test_a_frozen_broker_gets_what_timed_out_once(kafka: KafkaBroker) -> None:
    topic = fresh()
    await kafka.create(topic)
    sent = events(100, label="frozen")

    async with opened(made(kafka.address, topic, timeout="1s")) as output:
        await produced(output, events(1, label="before"))
        kafka.freeze()
        try:
            with pytest.raises(Retryable):
                await output.send(sent)
            with pytest.raises(Retryable):
                await output.open()
        finally:
            kafka.thaw()
        await produced(output, sent)
    stored = Counter(one.headers["identity"] for one in await kafka.records(topic))

    assert set(stored.values()) == {1}
    assert len(stored) == 101


def test_a_connector_whose_broker_is_killed(kafka: KafkaBroker, tmp_path: Path) -> None:
    topic = fresh()
    asyncio.run(kafka.create(topic, 2))
    output = {
        "type": "kafka",
        "brokers": [kafka.address],
        "topic": topic,
        "mapping": "ecs",
        "timeout": "5s",
        "compression": "gzip",
    }

    run = deliver(tmp_path, kafka, output, event_id)
    stored = asyncio.run(kafka.records(topic))

    count = len(run.sent)
    assert figures(run, [event_id(one.value) for one in stored]) == Figures(count, count, 0, 0, 0)
    assert len({one.headers["identity"] for one in stored}) == count
    for one in stored:
        assert one.value == run.sent[event_id(one.value)]


async def test_an_absent_topic_holds_and_is_not_created(kafka: KafkaBroker) -> None:
    topic = fresh()

    error = await failure(made(kafka.address, topic))

    assert isinstance(error, Hold)
    assert f"topic {topic}: the topic does not exist" in error.reason
    assert topic not in await kafka.topics()


@pytest.mark.parametrize("known", [True, False], ids=["limit known", "limit unknown"])
async def test_one_event_that_is_too_large_is_rejected_alone(kafka: KafkaBroker, known: bool) -> None:
    topic = fresh()
    await kafka.create(topic, max_message_bytes="20000")
    giant = events(1, 30_000, label="giant")[0]
    batch = [*events(20, label="before"), giant, *events(20, label="after")]
    # With its own idea of the limit it takes a batch together that the broker refuses whole.
    more = {} if known else {"max_message_bytes": "1MB"}

    async with opened(made(kafka.address, topic, **more)) as output:
        receipt = await output.send(batch)
        await produced(output, events(5, label="later"))
    stored = [one.headers["identity"] for one in await kafka.records(topic)]

    assert set(receipt.rejected) == {20}
    assert receipt.rejected[20].startswith("too_large")
    mates = [*batch[:20], *batch[21:], *events(5, label="later")]
    assert stored == [event.revision.identity for event in mates]


SCRAM = {"username": USER, "password": PASSWORD}


@pytest.mark.parametrize("mechanism", ["plain", "scram_sha_256", "scram_sha_512"])
async def test_sasl_over_tls(kafka: KafkaBroker, mechanism: str) -> None:
    topic = fresh()
    await kafka.create(topic)
    tls = {"ca_file": str(kafka.ca_file)}

    async with opened(made(kafka.secure, topic, tls=tls, sasl={mechanism: SCRAM})) as output:
        await produced(output, events(10))
    wrong = {mechanism: {"username": USER, "password": "canary-wrong"}}
    error = await failure(made(kafka.secure, topic, tls=tls, sasl=wrong))

    assert len(await kafka.records(topic)) == 10
    assert isinstance(error, Hold)
    assert error.reason == f"{kafka.secure}: the broker does not accept the credentials: check `sasl`"


def _part(document: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


async def test_oauthbearer(kafka: KafkaBroker) -> None:
    topic = fresh()
    await kafka.create(topic)
    claims = {"sub": USER, "iat": 1_700_000_000, "exp": 4_000_000_000, "scope": ""}
    token = f"{_part({'alg': 'none'})}.{_part(claims)}."

    def issue(asked: Asked) -> Reply:
        if b"client_secret=right" not in asked.body:
            return Reply(401, b'{"error":"invalid_client"}')
        return Reply(200, json.dumps({"access_token": token, "expires_in": 600}).encode())

    async with scripted(issue) as server:

        def build(secret: str) -> Output:
            oauth2 = {"token_url": f"{server.url}/token", "client_id": "connector", "client_secret": secret}
            tls = {"ca_file": str(kafka.ca_file)}
            return made(kafka.secure, topic, tls=tls, sasl={"oauth2": oauth2})

        async with opened(build("right")) as output:
            await produced(output, events(10))
        error = await failure(build("wrong"))

    assert len(await kafka.records(topic)) == 10
    assert isinstance(error, Hold)
    assert "token endpoint" in error.reason


async def test_a_user_without_rights_holds(kafka: KafkaBroker) -> None:
    topic = fresh()
    await kafka.create(topic)
    sasl = {"plain": {"username": STRANGER, "password": PASSWORD}}

    error = await failure(
        made(kafka.secure, topic, tls={"ca_file": str(kafka.ca_file)}, sasl=sasl), *events(1)
    )

    assert isinstance(error, Hold)
    assert "the user may not write to the topic" in error.reason


@pytest.mark.parametrize(
    ("build", "kind", "text"),
    [
        (lambda kafka, topic: made(kafka.secure, topic, tls={}), Hold, "certificate not trusted"),
        (lambda kafka, topic: made(kafka.address, topic, tls={}, timeout="3s"), Retryable, ""),
        (lambda kafka, topic: made(kafka.secure, topic, timeout="3s"), Retryable, "check that this is what"),
        (lambda _, topic: made(f"127.0.0.1:{free_port()}", topic), Retryable, "connection refused"),
    ],
    ids=["unknown authority", "tls to a plain port", "plain to a tls port", "nobody listens"],
)
async def test_a_connection_that_fails_says_why(
    kafka: KafkaBroker,
    build: Callable[[KafkaBroker, str], Output],
    kind: type[DeliveryError],
    text: str,
) -> None:
    topic = fresh()
    await kafka.create(topic)

    error = await failure(build(kafka, topic))

    assert type(error) is kind, error
    assert text in error.reason


async def test_check_tells_of_brokers_topic_and_limit(kafka: KafkaBroker) -> None:
    topic = fresh()
    await kafka.create(topic, 3, max_message_bytes="54321")
    output = made(kafka.address, topic)

    said = await output.check()  # type: ignore[attr-defined]
    await output.close()

    assert said == (
        f"reached {kafka.address} (1 broker); topic {topic} has 3 partitions, records up to 54321 bytes"
    )
    assert await kafka.records(topic) == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_output_keeps_its_contract(kafka: KafkaBroker, check: Check) -> None:
    topic = fresh()
    await kafka.create(topic)
    taken: list[bytes] = []
    ended = asyncio.Event()

    async def consume() -> None:
        while not ended.is_set():
            taken[:] = [one.value for one in await kafka.records(topic)]
            await asyncio.sleep(0.02)

    def build(address: str, **more: object) -> Output:
        return made(address, topic, **more)

    consuming = asyncio.create_task(consume())
    try:
        await check(
            OutputHarness(
                build=lambda: build(kafka.address),
                taken=lambda: list(taken),
                unreachable=lambda: build(f"127.0.0.1:{free_port()}"),
                denied=lambda: build(
                    kafka.secure,
                    tls={"ca_file": str(kafka.ca_file)},
                    sasl={"plain": {"username": USER, "password": "canary-denied"}},
                ),
                secrets=("canary-denied",),
            )
        )
    finally:
        ended.set()
        await consuming
