"""Proxies: taken from the setting or the environment, with their credentials kept out of every text."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from connector.errors import ConfigurationError
from connector.net.http import HttpClient, Unreachable
from connector.net.tls import TlsOptions
from connector.secret import Secret
from tests.support.collectors import free_port
from tests.support.scripted_http import Reply, scripted
from tests.unit.net.test_tls_options import server_context

SECRET = "canary-proxy"


async def test_a_plain_request_goes_through_the_given_proxy_with_its_credentials() -> None:
    async with scripted(lambda _: Reply(200, b"via proxy")) as proxy:
        client = HttpClient(timeout=5, proxy=Secret(f"user:{SECRET}@127.0.0.1:{proxy.port}"))
        answer = await client.request("GET", "http://collector.example/x")
        await client.close()
    asked = proxy.asked[0]
    assert answer.body == b"via proxy"
    assert asked.target == "http://collector.example/x"
    expected = base64.b64encode(f"user:{SECRET}".encode()).decode()
    assert asked.headers["proxy-authorization"] == f"Basic {expected}"


async def test_the_environment_decides_where_no_proxy_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted(lambda _: Reply(200, b"proxy")) as proxy, scripted(lambda _: Reply()) as direct:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        client = HttpClient(timeout=5)
        await client.request("GET", "http://collector.example/")
        await client.request("GET", direct.url)
        await client.close()
    assert (len(proxy.asked), len(direct.asked)) == (1, 1)


async def test_a_tunnel_expects_the_configured_server_name(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with (
        scripted(lambda _: Reply(204), tls=server_context(authority, "siem.example")) as target,
        _tunnel() as port,
    ):
        options = TlsOptions(ca_file=tmp_path / "ca.pem", server_name="siem.example")
        client = HttpClient(timeout=5, tls=options, proxy=f"http://127.0.0.1:{port}")
        answer = await client.request("GET", target.url)
        await client.close()
    assert answer.status == 204


async def test_a_proxy_that_refuses_is_named_without_its_password() -> None:
    async with scripted(lambda _: Reply(407)) as proxy:
        client = HttpClient(timeout=5, proxy=f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
        with pytest.raises(Unreachable, match=r"collector\.example:443.*proxy.*407") as caught:
            await client.request("GET", "https://collector.example/")
        await client.close()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_cannot_be_reached_is_named_not_the_collector(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, f"http://user:{SECRET}@proxy..example:3128")
    given = HttpClient(timeout=5, proxy=f"http://user:{SECRET}@127.0.0.1:{free_port()}")
    for client, proxy in (
        (given, r"127\.0\.0\.1:\d+ \(proxy setting\) for collector\.example:\d+: connection refused"),
        (
            HttpClient(timeout=5),
            rf"proxy\.\.example:3128 \({scheme.upper()}_PROXY\) for .*: .*not a host name",
        ),
    ):
        with pytest.raises(Unreachable, match=f"^the proxy {proxy}") as caught:
            await client.request("GET", f"{scheme}://collector.example/")
        await client.close()
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [f"ftp://{SECRET}", f"http://user:{SECRET}@host:port", f"socks5://{SECRET}:1"]
)
def test_a_proxy_that_is_no_url_is_a_configuration_error_without_its_value(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy") as caught:
        HttpClient(timeout=5, proxy=wrong)
    assert SECRET not in str(caught.value)


@contextlib.asynccontextmanager
async def _tunnel() -> AsyncIterator[int]:
    """The least proxy that can CONNECT."""
    tasks: set[asyncio.Task[None]] = set()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode().partition(":")
        upstream = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        tasks.add(asyncio.create_task(pipe(reader, upstream[1])))
        tasks.add(asyncio.create_task(pipe(upstream[0], writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)
