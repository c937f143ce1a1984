"""TLS over real sockets: who is trusted, and what a person reads when it does not work."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from connector.errors import ConfigurationError
from connector.net import http
from connector.net.http import HttpClient, TransportError, Untrusted
from connector.net.tls import TlsOptions, client_context
from connector.secret import Secret
from tests.support.scripted_http import Reply, scripted


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def server_context(authority: trustme.CA, name: str, *, clients: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    if clients:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def _ask(context: ssl.SSLContext, options: TlsOptions | None) -> int:
    async with scripted(lambda _: Reply(204), tls=context) as server:
        client = HttpClient(tls=options, timeout=5)
        try:
            return (await client.request("GET", server.url)).status
        finally:
            await client.close()


async def test_a_private_authority_is_trusted_once_it_is_named(authority: trustme.CA, ca_file: Path) -> None:
    assert await _ask(server_context(authority, "127.0.0.1"), TlsOptions(ca_file=ca_file)) == 204


async def test_an_unknown_authority_is_untrusted_and_the_text_says_what_to_set(authority: trustme.CA) -> None:
    with pytest.raises(Untrusted, match=r"not trusted.*tls\.ca_file"):
        await _ask(server_context(authority, "127.0.0.1"), None)


async def test_a_certificate_for_another_name_is_untrusted(authority: trustme.CA, ca_file: Path) -> None:
    with pytest.raises(Untrusted, match="not trusted"):
        await _ask(server_context(authority, "siem.example"), TlsOptions(ca_file=ca_file))


@pytest.mark.parametrize(
    ("name", "days", "advice"),
    [
        ("127.0.0.1", (-30, -1), r"has expired; renew the certificate.* check the clock of this host$"),
        ("127.0.0.1", (10, 30), r"not yet valid; check the clock of this host"),
        ("127.0.0.2", (-1, 1), r"mismatch.*; set tls\.server_name if it was issued for another name$"),
    ],
)
async def test_the_advice_about_a_certificate_fits_what_is_wrong_with_it(
    authority: trustme.CA, ca_file: Path, name: str, days: tuple[int, int], advice: str
) -> None:
    begin, end = (datetime.now(UTC) + timedelta(days=day) for day in days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_before=begin, not_after=end).configure_cert(context)
    with pytest.raises(Untrusted, match=advice) as raised:
        await _ask(context, TlsOptions(ca_file=ca_file))
    assert "tls.ca_file" not in raised.value.reason


async def test_a_second_response_in_a_record_of_its_own_is_not_taken_for_that_of_the_next_request(
    authority: trustme.CA, ca_file: Path
) -> None:
    context = server_context(authority, "127.0.0.1")
    taken, refused = (b"HTTP/1.1 %d x\r\ncontent-length: 0\r\n\r\n" % status for status in (200, 503))
    responses = iter([[taken, taken], [refused]])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        asked = b""
        while data := await reader.read(65536):
            incoming.write(data)
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                while True:
                    asked += tls.read(65536)
            if asked.endswith(b"{}"):
                asked = b""
                for response in next(responses):
                    tls.write(response)
            writer.write(outgoing.read())  # both records in one segment
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        client = HttpClient(timeout=5, tls=TlsOptions(ca_file=ca_file))
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        answers = [(await client.request("POST", url, content=b"{}")).status for _ in range(2)]
        await client.close()
    assert answers == [200, 503]


async def test_server_name_says_which_name_to_expect(authority: trustme.CA, ca_file: Path) -> None:
    options = TlsOptions(ca_file=ca_file, server_name="siem.example")
    assert await _ask(server_context(authority, "siem.example"), options) == 204


async def test_without_verification_anything_is_accepted(authority: trustme.CA) -> None:
    assert await _ask(server_context(authority, "other.example"), TlsOptions(verify=False)) == 204


async def test_a_client_certificate_is_shown(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    pair = tmp_path / "client.pem"
    authority.issue_cert("connector@example.com").private_key_and_cert_chain_pem.write_to_path(str(pair))
    context = server_context(authority, "127.0.0.1", clients=True)
    assert await _ask(context, TlsOptions(ca_file=ca_file, cert_file=pair)) == 204


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_missing_client_certificate_is_a_matter_for_an_operator(
    authority: trustme.CA, ca_file: Path, version: ssl.TLSVersion
) -> None:
    context = server_context(authority, "127.0.0.1", clients=True)
    context.maximum_version = version

    # The event loop's own server hangs up without the alert that real servers send.
    async def handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = context.wrap_bio(incoming, outgoing, server_side=True)
        over = False
        while not over:
            incoming.write(await reader.read(65536))
            try:
                session.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                over = True
            writer.write(outgoing.read())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handshake, "127.0.0.1", 0)
    client = HttpClient(tls=TlsOptions(ca_file=ca_file), timeout=5)
    with pytest.raises(Untrusted, match="cert_file"):
        await client.request("GET", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await client.close()
    server.close()


async def test_a_port_without_tls_is_named_as_such() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    client = HttpClient(timeout=5)
    with pytest.raises(TransportError, match="no TLS on this port"):
        await client.request("GET", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await client.close()
    server.close()


@pytest.mark.parametrize("name", ["ca_file", "cert_file"])
@pytest.mark.parametrize("content", [None, b"no pem"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / "broken.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=rf"tls\.{name}.*broken\.pem"):
        client_context(TlsOptions.model_validate({name: path}))


def test_a_wrong_key_password_is_named_and_not_shown(authority: trustme.CA, tmp_path: Path) -> None:
    leaf = authority.issue_cert("connector@example.com")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"right"),
    )
    cert, sealed = tmp_path / "cert.pem", tmp_path / "key.pem"
    leaf.cert_chain_pems[0].write_to_path(str(cert))
    sealed.write_bytes(locked)

    def options(password: str) -> TlsOptions:
        return TlsOptions(cert_file=cert, key_file=sealed, key_password=Secret(password))

    client_context(options("right"))
    for wrong in (options("canary-wrong"), TlsOptions(cert_file=cert, key_file=sealed)):
        with pytest.raises(ConfigurationError, match="key_password") as caught:
            client_context(wrong)
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong", [{"key_file": "/k"}, {"key_password": "x"}, {"minimum": "1.1"}, {"server_name": ""}, {"ca": "x"}]
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        TlsOptions.model_validate(wrong)


@pytest.mark.parametrize(
    ("minimum", "expected"), [("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3)]
)
def test_the_minimum_version_is_set(minimum: str, expected: ssl.TLSVersion) -> None:
    assert client_context(TlsOptions.model_validate({"minimum": minimum})).minimum_version == expected


async def test_clients_without_options_share_the_trust_store_once_one_of_them_speaks_tls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads: list[object] = []
    real: Callable[[], ssl.SSLContext] = client_context

    def counting() -> ssl.SSLContext:
        loads.append(None)
        return real()

    monkeypatch.setattr(http, "client_context", counting)
    http._default_context.cache_clear()
    clients = [HttpClient(timeout=5) for _ in range(3)]
    for scheme, expected in (("http", 0), ("https", 1)):
        for client in clients:
            with pytest.raises(http.TransportError):
                await client.request("GET", f"{scheme}://127.0.0.1:1/")
        assert len(loads) == expected
