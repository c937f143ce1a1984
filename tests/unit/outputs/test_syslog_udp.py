"""syslog over UDP: one datagram per event, and what little UDP tells."""

from __future__ import annotations

import socket

import pytest

from connector.errors import Retryable
from connector.model import Receipt
from connector.outputs.syslog.output import SyslogOutput, SyslogSettings
from connector.testing.outputs import events
from tests.support.collectors import datagram_collector, free_port, unobserved, until


def output(*ports: int, **options: object) -> SyslogOutput:
    addresses = [f"udp://127.0.0.1:{port}" for port in ports]
    return SyslogSettings.model_validate({"address": addresses, **options}).build("siem", unobserved)


async def test_a_datagram_is_one_event_without_framing() -> None:
    async with datagram_collector() as collector:
        siem = output(collector.port, hostname="here")
        await siem.send(events(2))
        await until(lambda: len(collector.taken) == 2)
        await siem.close()
        assert [taken.partition(b" - email.malicious - ")[2] for taken in collector.taken] == [
            event.payload for event in events(2)
        ]


async def test_a_collector_of_ipv6_is_reached() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    async with datagram_collector("::1") as collector:
        settings = SyslogSettings.model_validate({"address": f"udp://[::1]:{collector.port}"})
        siem = settings.build("siem", unobserved)
        await siem.send(events(2))
        await siem.close()
        await until(lambda: len(collector.messages()) == 2)


async def test_a_burst_does_not_outrun_a_collector_with_a_default_buffer() -> None:
    async with datagram_collector() as collector:
        siem = output(collector.port)
        await siem.send(events(500, 300))
        await until(lambda: len(collector.taken) == 500)
        await siem.close()


async def test_an_event_beyond_the_datagram_is_named() -> None:
    async with datagram_collector() as collector:
        siem = output(collector.port)
        assert await siem.send([*events(1, 3000), *events(1)]) == Receipt(rejected={0: "too_large"})
        await until(lambda: len(collector.taken) == 1)
        await siem.close()


async def test_a_datagram_that_the_network_cannot_carry_is_named() -> None:
    """The system itself refuses more than 65,507 bytes; header and payload together are more here."""
    async with datagram_collector() as collector:
        siem = output(collector.port, max_message_bytes=65_507, hostname="h")
        siem._room = 70_000
        assert await siem.send([*events(1, 66_000), *events(1)]) == Receipt(rejected={0: "too_large"})
        await until(lambda: len(collector.taken) == 1)
        await siem.close()


async def test_a_port_where_nobody_listens_is_noticed() -> None:
    siem = output(free_port())
    with pytest.raises(Retryable, match="connection refused"):
        await siem.send(events(3))
    await siem.close()


async def test_the_next_collector_takes_over() -> None:
    async with datagram_collector() as collector:
        siem = output(free_port(), collector.port)
        with pytest.raises(Retryable):
            await siem.send(events(1))
        await siem.open()
        await siem.send(events(1))
        await until(lambda: len(collector.taken) == 1)
        await siem.close()


async def test_check_promises_no_more_than_udp_can() -> None:
    async with datagram_collector() as collector:
        siem = output(collector.port)
        assert "UDP: receipt cannot be verified" in await siem.check()
        await siem.close()
