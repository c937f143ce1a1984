"""An exchange that is broken off, wherever it stands, costs nobody else anything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from connector.net.http import HttpClient, TimedOut, TransportError, Untrusted
from connector.net.tls import TlsOptions
from tests.support.scripted_http import Asked, Reply, scripted
from tests.unit.net.test_tls_options import server_context

TURNS = range(0, 60, 2)
"""Turns of the loop after which an exchange is broken off; a whole one takes fewer."""


async def _cancelled(exchange: Awaitable[object], turns: int) -> None:
    task = asyncio.ensure_future(exchange)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _timed_out(exchange: Awaitable[object], turns: int) -> None:
    async def expire(deadline: asyncio.Timeout) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        with contextlib.suppress(RuntimeError):  # it was over already
            deadline.reschedule(0)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None) as deadline:
            expiry = asyncio.create_task(expire(deadline))
            await exchange
    await expiry


@pytest.mark.parametrize("breaking", [_cancelled, _timed_out])
@pytest.mark.parametrize("used_before", [False, True])
async def test_a_client_with_one_connection_goes_on_whenever_it_was_broken_off(
    breaking: Callable[[Awaitable[object], int], Awaitable[None]], used_before: bool
) -> None:
    async with scripted(lambda _: Reply(200, b"whole")) as server:
        for turns in TURNS:
            client = HttpClient(timeout=10, connections=1)
            if used_before:
                await client.request("GET", server.url)
            await breaking(client.request("GET", server.url), turns)
            answer = await client.request("GET", server.url, timeout=2)
            assert answer.body == b"whole", f"after {turns} turns"
            await client.close()


async def test_the_same_holds_with_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    options = TlsOptions(ca_file=tmp_path / "ca.pem")
    async with scripted(lambda _: Reply(204), tls=server_context(authority, "127.0.0.1")) as server:
        client = HttpClient(timeout=10, tls=options, connections=1)
        for turns in range(0, 60, 3):
            await _cancelled(client.request("GET", server.url), turns)
            assert (await client.request("GET", server.url, timeout=5)).status == 204
        await client.close()


async def test_many_broken_off_at_once_leave_the_pool_whole() -> None:
    async with scripted(lambda _: Reply(200, b"whole")) as server:
        client = HttpClient(timeout=10, connections=3)
        await asyncio.gather(*(_cancelled(client.request("GET", server.url), turns) for turns in TURNS))
        answers = await asyncio.gather(*(client.request("GET", server.url, timeout=5) for _ in range(9)))
        assert [answer.body for answer in answers] == [b"whole"] * 9
        await client.close()


def _gated(gate: asyncio.Event) -> Callable[[Asked], Reply]:
    return lambda asked: Reply(200, b"late", hold=gate) if asked.path == "/slow" else Reply(200, b"quick")


async def test_what_is_under_way_finishes_when_a_neighbour_is_broken_off() -> None:
    gate = asyncio.Event()
    async with scripted(_gated(gate)) as server:
        client = HttpClient(timeout=10, connections=2)
        slow = asyncio.create_task(client.request("GET", f"{server.url}/slow"))
        await server.arrived.wait()
        await _cancelled(client.request("GET", f"{server.url}/slow"), 12)
        assert (await client.request("GET", server.url)).body == b"quick"
        gate.set()
        assert (await slow).body == b"late"
        await client.close()


async def test_who_waits_for_the_place_of_a_broken_off_exchange_gets_it() -> None:
    gate = asyncio.Event()
    async with scripted(_gated(gate)) as server:
        for turns in range(0, 30, 2):
            client = HttpClient(timeout=10, connections=1)
            broken = asyncio.create_task(_cancelled(client.request("GET", f"{server.url}/slow"), turns))
            await asyncio.sleep(0)
            waiting = [client.request("GET", server.url, timeout=5) for _ in range(4)]
            assert [answer.body for answer in await asyncio.gather(*waiting)] == [b"quick"] * 4
            await broken
            await client.close()


async def test_a_deadline_counts_the_wait_for_a_place() -> None:
    gate = asyncio.Event()
    async with scripted(_gated(gate)) as server:
        client = HttpClient(timeout=10, connections=1)
        slow = asyncio.create_task(client.request("GET", f"{server.url}/slow"))
        await server.arrived.wait()
        with pytest.raises(TimedOut, match=r"0\.1 s"):
            await client.request("GET", server.url, timeout=0.1)
        gate.set()
        assert (await slow).body == b"late"
        await client.close()


async def test_cookies_outlive_a_broken_off_exchange() -> None:
    never = asyncio.Event()

    def answer(asked: Asked) -> Reply:
        kept = Reply(headers={"set-cookie": "node=7; Path=/"})
        return Reply(hold=never) if asked.path == "/slow" else kept

    async with scripted(answer) as server:
        client = HttpClient(timeout=10, cookies=True)
        await client.request("GET", server.url)
        with pytest.raises(TimedOut):
            await client.request("GET", f"{server.url}/slow", timeout=0.05)
        await client.request("GET", server.url)
        await client.close()
    assert server.asked[-1].headers["cookie"] == "node=7"


async def test_a_certificate_that_was_renewed_is_used_after_a_failure(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    ca_file = tmp_path / "ca.pem"
    stranger.cert_pem.write_to_path(str(ca_file))
    async with scripted(lambda _: Reply(204), tls=server_context(authority, "127.0.0.1")) as server:
        client = HttpClient(timeout=5, tls=TlsOptions(ca_file=ca_file))
        with pytest.raises(Untrusted, match="not trusted"):
            await client.request("GET", server.url)
        ca_file.write_text("half written")
        with pytest.raises(Untrusted, match=r"tls\.ca_file.*ca\.pem"):
            await client.request("GET", server.url)
        authority.cert_pem.write_to_path(str(ca_file))
        assert (await client.request("GET", server.url)).status == 204
        await client.close()


async def test_closing_ends_what_is_under_way_and_is_final() -> None:
    async with scripted(_gated(asyncio.Event())) as server:
        client = HttpClient(timeout=10)
        slow = asyncio.create_task(client.request("GET", f"{server.url}/slow"))
        await server.arrived.wait()
        await client.close()
        with pytest.raises(TransportError):
            await slow
        await client.close()
        with pytest.raises(RuntimeError, match="closed"):
            await client.request("GET", server.url)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_handshake_that_hangs_leaves_no_socket_open(*, cancelled: bool) -> None:
    begun, deaf, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        await deaf.wait()
        while await reader.read(1 << 16):
            pass
        ended.set()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = HttpClient(timeout=30.0 if cancelled else 0.2)
    exchange = asyncio.ensure_future(client.request("GET", f"https://127.0.0.1:{port}"))
    await begun.wait()
    if cancelled:
        exchange.cancel()
    with pytest.raises(asyncio.CancelledError if cancelled else TimedOut):
        await exchange
    deaf.set()
    async with asyncio.timeout(5):
        await ended.wait()
    await client.close()
    server.close()
