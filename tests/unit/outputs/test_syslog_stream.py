"""syslog over TCP against real collectors: what arrives, and what happens when they go away."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from typing import Any

import pytest

from connector.errors import Retryable
from connector.facts import EventsResent, Fact, OutputConnected
from connector.interfaces import Observe
from connector.model import Event, Receipt
from connector.outputs.syslog.output import SyslogOutput, SyslogSettings
from connector.testing.outputs import events
from tests.support.collectors import StreamCollector, free_port, stream_collector, unobserved, until


def output(*ports: int, observe: Observe = unobserved, **options: Any) -> SyslogOutput:
    addresses = [f"tcp://127.0.0.1:{port}" for port in ports]
    settings = SyslogSettings.model_validate({"type": "syslog", "address": addresses, **options})
    return settings.build("siem", observe)


def holds(collector: StreamCollector, event: Event) -> bool:
    return any(message.endswith(event.payload) for message in collector.messages())


async def test_header_carries_the_events_own_time_severity_and_code() -> None:
    async with stream_collector() as collector:
        siem = output(collector.port, hostname="here", facility="local3")
        await siem.send(events(1))
        await siem.close()
        await until(collector.messages)
        assert collector.messages() == [
            b"<155>1 2026-01-01T12:00:00.000000Z here cf-email-security - email.malicious - "
            + events(1)[0].payload
        ]


@pytest.mark.parametrize("framing", ["lf", "octet"])
async def test_no_payload_can_forge_a_second_message(framing: str) -> None:
    async with stream_collector() as collector:
        siem = output(collector.port, framing=framing)
        forged = dataclasses.replace(events(1)[0], payload=b"CEF:0|a\n<0>1 - - - - - - forged\r\n\0<0>1")
        await siem.send([forged, *events(1)])
        await siem.close()
        await until(lambda: len(collector.messages()) >= 2)
        assert len(collector.messages()) == 2
        assert not any({0, 10, 13} & set(message) for message in collector.messages())


async def test_a_too_long_event_is_named_and_the_others_are_sent() -> None:
    async with stream_collector() as collector:
        siem = output(collector.port, max_message_bytes=480)
        room = siem.limits.event_bytes
        assert room is not None
        batch = [*events(1, room), *events(1, room + 1, label="giant"), *events(1, 0, label="small")]
        assert await siem.send(batch) == Receipt(rejected={1: "too_large"})
        await siem.close()
        await until(lambda: len(collector.messages()) == 2)
        assert max(len(message) for message in collector.messages()) <= 480


@pytest.mark.parametrize("facility", ["kern", "local7"])
@pytest.mark.parametrize("header", ["rfc5424", "rfc3164"])
async def test_no_header_makes_a_message_longer_than_allowed(facility: str, header: str) -> None:
    async with stream_collector() as collector:
        siem = output(
            collector.port, max_message_bytes=600, facility=facility, format=header, hostname="h" * 300
        )
        wordy = dataclasses.replace(events(1, siem.limits.event_bytes or 0)[0], code="c" * 99)
        await siem.send([wordy])
        await siem.close()
        await until(collector.messages)
        assert len(collector.messages()[0]) <= 600


async def test_an_idle_connection_that_was_closed_is_opened_anew_without_an_error() -> None:
    async with stream_collector() as collector:
        siem = output(collector.port)
        await siem.send(events(1, label="before"))
        await until(collector.messages)
        collector.hang_up()
        await until(lambda: siem_noticed(siem))
        await siem.send(events(1, label="after"))
        await until(lambda: holds(collector, events(1, label="after")[0]))
        # One of them for what the collector may not have read.
        assert len(collector.connections) == 3
        await siem.close()


@pytest.mark.parametrize("reset", [False, True])
async def test_what_a_collector_may_not_have_read_is_sent_again_and_reported(*, reset: bool) -> None:
    facts: list[Fact] = []
    async with stream_collector(reading=False) as deaf, stream_collector() as healthy:
        siem = output(deaf.port, healthy.port, observe=facts.append)
        doubtful = events(3, label="doubtful")
        assert await siem.send(doubtful) == Receipt()
        deaf.hang_up(reset=reset)
        await until(lambda: siem_noticed(siem))
        await siem.send(events(1, label="next"))
        await until(lambda: holds(healthy, events(1, label="next")[0]))
        await siem.close()
        payloads = [event.payload for event in (*doubtful, *events(1, label="next"))]
        assert [
            message[-len(payload) :] for message, payload in zip(healthy.messages(), payloads, strict=True)
        ] == payloads
    repeated = [fact for fact in facts if isinstance(fact, EventsResent)]
    assert [(fact.output, fact.count) for fact in repeated] == [("siem", 3)]
    assert len([fact for fact in facts if isinstance(fact, OutputConnected)]) == 2


def siem_noticed(siem: SyslogOutput) -> bool:
    stream = getattr(siem._transport, "_stream", None)
    return stream is not None and stream.fault is not None


async def test_what_is_in_doubt_leaves_before_the_output_is_closed() -> None:
    async with stream_collector(reading=False) as deaf, stream_collector() as healthy:
        siem = output(deaf.port, healthy.port)
        await siem.send(events(2, label="last"))
        deaf.hang_up(reset=True)
        await until(lambda: siem_noticed(siem))
        await siem.close()
        assert [holds(healthy, event) for event in events(2, label="last")] == [True, True]


async def test_resend_can_be_turned_off() -> None:
    async with stream_collector(reading=False) as deaf, stream_collector() as healthy:
        siem = output(deaf.port, healthy.port, resend=0)
        await siem.send(events(2, label="doubtful"))
        deaf.hang_up(reset=True)
        await until(lambda: siem_noticed(siem))
        await siem.send(events(1, label="next"))
        await siem.close()
        assert len(healthy.messages()) == 1


async def test_a_collector_that_stops_reading_is_not_mistaken_for_one_that_accepts() -> None:
    async with stream_collector(reading=False) as deaf:
        siem = output(deaf.port, timeout="300ms", max_message_bytes="16MiB", batch={"bytes": "64MiB"})
        with pytest.raises(Retryable, match="did not acknowledge the data"):
            await siem.send(events(1, 15 << 20, label="much"))
        await siem.close()


async def test_bytes_that_only_this_machine_holds_are_not_accepted() -> None:
    """A collector that hangs before it takes the connection: its system confirms little, ours buffers all."""
    with socket.socket() as hung:
        hung.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        hung.bind(("127.0.0.1", 0))
        hung.listen()
        siem = output(hung.getsockname()[1], timeout="300ms")
        await siem.open()
        with pytest.raises(Retryable, match="did not acknowledge the data"):
            await siem.send(events(100, 2000))
        await siem.close()


async def test_a_dead_collector_is_passed_over() -> None:
    async with stream_collector() as collector:
        siem = output(free_port(), collector.port)
        await siem.send(events(1))
        await siem.close()
        await until(collector.messages)


async def test_when_all_collectors_are_dead_the_error_names_each() -> None:
    ports = (free_port(), free_port())
    siem = output(*ports)
    with pytest.raises(Retryable) as caught:
        await siem.open()
    assert all(f"127.0.0.1:{port}: connection refused" in caught.value.reason for port in ports)
    await siem.close()


async def test_a_collector_that_comes_back_is_used_again() -> None:
    port = free_port()
    siem = output(port)
    with pytest.raises(Retryable):
        await siem.open()
    async with stream_collector(port=port) as collector:
        await siem.open()
        await siem.send(events(1))
        await until(collector.messages)
        await siem.close()


async def test_an_unknown_name_may_become_known() -> None:
    settings = SyslogSettings.model_validate({"address": "tcp://collector.invalid:514", "timeout": "5s"})
    siem = settings.build("siem", unobserved)
    with pytest.raises(Retryable, match=r"collector\.invalid:514"):
        await siem.open()


async def test_ipv6_and_its_notation() -> None:
    try:
        server = await asyncio.start_server(lambda reader, writer: None, "::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with stream_collector(host="::1", port=port) as collector:
        siem = SyslogSettings.model_validate({"address": f"tcp://[::1]:{port}"}).build("siem", unobserved)
        assert f"tcp://[::1]:{port} (TCP)" in await siem.check()
        await siem.send(events(1))
        await siem.close()
        await until(collector.messages)
