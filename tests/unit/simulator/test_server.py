"""The server runs beside other tasks, in a thread, on a given socket, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading

import pytest

from connector.simulator import Simulator, listening, running, serve
from tests.unit.simulator.client import ACCOUNT, Client


async def _get(base_url: str, path: str = f"/accounts/{ACCOUNT}/email-security/investigate") -> bytes:
    host, port = base_url.removeprefix("http://").removesuffix("/client/v4").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.write(f"GET /client/v4{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n".encode())
    try:
        return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()


async def test_it_serves_beside_other_tasks_and_installs_no_signal_handlers() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with listening(Simulator(backlog=10)) as base_url:
        assert base_url.endswith("/client/v4")
        assert (await _get(base_url)).startswith(b"HTTP/1.1 200")
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    with pytest.raises(ConnectionError):
        await _get(base_url)


async def test_serve_tells_when_it_is_ready_and_ends_when_cancelled() -> None:
    ready: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(serve(Simulator(backlog=10), ready=ready.put_nowait))
    base_url = await asyncio.wait_for(ready.get(), 10)
    assert (await _get(base_url)).startswith(b"HTTP/1.1 200")
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ConnectionError):
        await _get(base_url)


async def test_it_serves_a_socket_that_the_caller_bound() -> None:
    bound = socket.create_server(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    async with listening(Simulator(), bound=bound) as base_url:
        assert base_url == f"http://127.0.0.1:{port}/client/v4"
        assert (await _get(base_url)).startswith(b"HTTP/1.1 200")


async def test_it_listens_on_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    async with listening(Simulator(), host="::1") as base_url:
        assert base_url.startswith("http://[::1]:")
        assert (await _get(base_url)).startswith(b"HTTP/1.1 200")


def test_a_taken_port_is_an_error_not_a_hang() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="in use"),
        running(Simulator(), port=taken.getsockname()[1]),
    ):
        pass


async def test_requests_that_hang_do_not_hold_up_the_end() -> None:
    simulator = Simulator()
    simulator.behaviour.script(["hang", "hang"])
    async with listening(simulator) as base_url:
        waiting = [asyncio.create_task(_get(base_url)) for _ in range(2)]
        while len(simulator.ledger.requests) < 2:  # noqa: ASYNC110 - a ledger has no events
            await asyncio.sleep(0.01)
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)

    assert all(isinstance(one, (ConnectionError, asyncio.IncompleteReadError)) for one in results)


def test_a_thread_ends_with_its_block_also_after_an_error() -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), running(Simulator()):
        raise KeyError
    assert threading.active_count() == before


def test_two_simulators_do_not_know_of_each_other() -> None:
    one, other = Simulator(seed=1, backlog=50), Simulator(seed=2, backlog=50)
    with running(one) as first, running(other) as second:
        assert not set(Client(first).walk()) & set(Client(second).walk())
        assert len(one.ledger.requests) == len(other.ledger.requests) > 0


async def test_connections_are_kept_alive() -> None:
    async with listening(Simulator(backlog=10)) as base_url:
        host, port = base_url.removeprefix("http://").removesuffix("/client/v4").rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(3):
            writer.write(
                b"GET /client/v4/user/tokens/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n"
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            assert b'"active"' in await reader.readexactly(length)
        writer.close()
        await writer.wait_closed()
