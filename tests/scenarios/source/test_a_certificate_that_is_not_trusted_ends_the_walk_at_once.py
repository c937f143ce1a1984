"""TLS that fails is a matter for a person: told at once, with what to set, and nothing was sent."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from connector.errors import Unavailable
from connector.facts import RequestRetried
from connector.net.tls import TlsOptions
from tests.scenarios.source.account import Account, account, in_turn, page, rows, run
from tests.scenarios.source.secure import Authority


async def _refused(it: Account, *texts: str) -> None:
    read, error = await it.read_until_error()
    assert read == []
    assert isinstance(error, Unavailable)
    assert all(text in str(error) for text in (f"127.0.0.1:{it.server.port}", *texts))
    assert it.server.asked == []


def test_an_unknown_authority(tmp_path: Path) -> None:
    async def story() -> None:
        async with account(in_turn(page([])), served_with=Authority(tmp_path).server()) as it:
            await _refused(it, "not trusted", "tls.ca_file")
            assert it.seen(RequestRetried) == []

    run(story())


def test_a_certificate_of_somebody_else(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def story() -> None:
        served = authority.server("other.example")
        async with account(in_turn(page([])), served_with=served, tls=authority.trusted) as it:
            await _refused(it, "not trusted", "tls.server_name")

    run(story())


def test_a_version_that_is_too_old(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def story() -> None:
        served = authority.server()
        served.maximum_version = ssl.TLSVersion.TLSv1_2
        modern = TlsOptions(ca_file=authority.file, minimum="1.3")
        async with account(in_turn(page([])), served_with=served, tls=modern) as it:
            await _refused(it)

    run(story())


def test_a_port_that_does_not_speak_tls() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def story() -> None:
        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with account(in_turn(page([])), origin=f"https://127.0.0.1:{port}") as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert "no TLS on this port" in str(error)
        server.close()

    run(story())


@pytest.mark.parametrize("mended", [True, False])
def test_an_authority_that_was_put_right_in_its_file_is_believed_without_a_restart(
    tmp_path: Path, *, mended: bool
) -> None:
    (tmp_path / "old").mkdir()
    authority, old = Authority(tmp_path), Authority(tmp_path / "old")

    async def story() -> None:
        options = TlsOptions(ca_file=old.file)
        async with account(in_turn(page(rows(0, 1))), served_with=authority.server(), tls=options) as it:
            await _refused(it, "not trusted")
            if mended:
                old.file.write_bytes(authority.file.read_bytes())
                assert await it.ids() == ["record-0"]
            else:
                await _refused(it, "not trusted")

    run(story())
