"""HTTP as a client: the only module that knows the HTTP library, so that a successor is one change."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Mapping, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import NoReturn, Protocol

from connector import __version__
from connector.errors import ConfigurationError, Problem
from connector.import_guard import absent
from connector.net.failures import classify_error
from connector.net.gzip import BodyTooLarge, BoundedBody, CorruptBody
from connector.net.replaceable import Replaceable
from connector.net.tls import TlsOptions, client_context
from connector.net.transport import (
    Response,
    TimedOut,
    TooLarge,
    TransportError,
    Unreachable,
    Unsendable,
    Untrusted,
)
from connector.secret import Secret

with absent("pygments", "rich"):
    import httpx

__all__ = [
    "HttpClient",
    "Response",
    "TimedOut",
    "TooLarge",
    "TransportError",
    "Unreachable",
    "Unsendable",
    "Untrusted",
]

USER_AGENT = f"cloudflare-email-connector/{__version__}"
_MAX_BODY = 64 << 20
_CONNECTIONS = 8
_KEEP_ALIVE = 30.0
_CONNECT = 10.0
_SPENT = httpx.ByteStream(b"")


@functools.cache
def _default_context() -> ssl.SSLContext:
    # Reading the trust store costs tens of milliseconds; all clients without options share one. It is
    # not shared with other protocols, because the HTTP library announces HTTP in it.
    return client_context()


class _Closeable(Protocol):
    """A connection, as far as it matters here."""

    async def aclose(self) -> None:
        """Close it; safe to repeat."""
        ...


class HttpClient:
    """A pool of connections for one purpose: one account, or one output.

    Redirects are never followed and answers never cached. After an exchange that failed or was broken off,
    the next one begins with new connections, and with the certificate files and the proxy as they are then;
    exchanges under way finish on the old ones. Closing is final.

    Args:
        tls: options for ``https``; the system's trust store by default.
        proxy: URL of an HTTP proxy; by default ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` of the
            environment decide.
        timeout: seconds that one exchange may take as a whole, waiting for a connection included.
        max_body: bytes of an answer, as sent and unpacked, before ``TooLarge``.
        user_agent: what the client calls itself.
        cookies: keep cookies; for collectors behind a load balancer that needs them.
        connections: most connections open at once.
    """

    def __init__(
        self,
        *,
        tls: TlsOptions | None = None,
        proxy: Secret | str | None = None,
        timeout: float = 60.0,
        max_body: int = _MAX_BODY,
        user_agent: str = USER_AGENT,
        cookies: bool = False,
        connections: int = _CONNECTIONS,
    ) -> None:
        jar = CookieJar(None if cookies else DefaultCookiePolicy(allowed_domains=[]))
        headers = {"user-agent": user_agent, "accept": "*/*", "accept-encoding": "gzip"}

        def build() -> httpx.AsyncClient:
            context = _default_context() if tls is None or tls == TlsOptions() else client_context(tls)
            return _build(context, proxy, headers=headers, jar=jar, connections=connections)

        self._timeout = timeout
        self._max_body = max_body
        self._clients = Replaceable(build, httpx.AsyncClient.aclose)
        # The pool has a queue of its own, but whoever waits in there waits for ever behind a connection
        # that was broken off: nobody enters before there is a free place.
        self._places = asyncio.Semaphore(connections)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        content: bytes | None = None,
        timeout: float | None = None,  # noqa: ASYNC109, one deadline for all parts of the exchange
    ) -> Response:
        """Send one request and read its whole answer, whatever the status.

        *params* are added to a query that *url* already has. Raises a ``TransportError`` when there is no
        complete answer in time.
        """
        target = _target(url, params)
        peer = _peer(target)
        allowed = self._timeout if timeout is None else timeout
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            async with asyncio.timeout(allowed), self._places, self._clients.use() as client:
                request = _request(client, method, target, headers, content)
                status, answered, body = await self._exchange(client, request, peer)
        except TimeoutError:
            raise TimedOut(f"{peer}: no complete answer within {allowed:g} s") from None
        except (httpx.HTTPError, OSError) as error:
            # TLS alerts that arrive after the handshake pass through the library as they are.
            _raise(peer, error)
        except ConfigurationError as error:
            # It was fine when the client was made: a certificate was replaced by something unusable.
            raise Untrusted(f"{peer}: {error}") from None
        return Response(status, answered, body, loop.time() - begun)

    def renew(self) -> None:
        """Let the next exchange begin with new connections, such as after a credential was replaced."""
        self._clients.replace()

    async def close(self) -> None:
        """Close all connections, also those in use; safe to repeat."""
        await self._clients.close()

    async def _exchange(
        self, client: httpx.AsyncClient, request: httpx.Request, peer: str
    ) -> tuple[int, dict[str, str], bytes]:
        response = await client.send(request, stream=True)
        try:
            body = await self._read(response, peer)
        finally:
            await response.aclose()
            # The library's stream and response hold each other, and with them both bodies.
            response.stream = _SPENT
        return response.status_code, dict(response.headers), body

    async def _read(self, response: httpx.Response, peer: str) -> bytes:
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in {"identity", "", "gzip", "x-gzip"}:
            raise TransportError(f"{peer}: the answer is packed as {coding[:20]!r}, which was not asked for")
        body = BoundedBody(self._max_body, gzip="gzip" in coding)
        try:
            async for chunk in response.aiter_raw():
                body.feed(chunk)
            return body.finish()
        except BodyTooLarge:
            raise TooLarge(f"{peer}: the answer is larger than {self._max_body} bytes") from None
        except CorruptBody:
            raise TransportError(f"{peer}: the answer's compression is damaged or cut off") from None


_UNSENDABLE = "the request cannot be written as HTTP: check URL and header values for stray characters"
"""The library's own text would show the URL or the header, and with it a credential."""


class _Handshake:
    """Follows how a connection is made, and closes one whose TLS handshake is broken off.

    The library closes it after errors of its own, not after a cancellation or a deadline from outside: the
    socket would stay open for ever, because the loop keeps watching it.
    """

    def __init__(self) -> None:
        self._stream: _Closeable | None = None

    async def __call__(self, name: str, about: Mapping[str, _Closeable]) -> None:
        """Take an event of the library's extension ``trace``."""
        if name.endswith("connect_tcp.complete"):
            self._stream = about["return_value"]
        elif name.endswith("start_tls.failed") and self._stream is not None:
            await self._stream.aclose()


def _target(url: str, params: Mapping[str, str] | Sequence[tuple[str, str]] | None) -> httpx.URL:
    added = params.items() if isinstance(params, Mapping) else params or ()
    pairs: list[tuple[str, str | int | float | bool | None]] = list(added)
    try:
        target = httpx.URL(url)
        target = target.copy_merge_params(httpx.QueryParams(pairs)) if pairs else target
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise Unsendable(_UNSENDABLE) from None
    if target.scheme not in {"http", "https"} or not target.host:
        raise Unsendable("the URL is not one of http or https with a host")
    return target


def _request(
    client: httpx.AsyncClient,
    method: str,
    target: httpx.URL,
    headers: Mapping[str, str] | None,
    content: bytes | None,
) -> httpx.Request:
    try:
        return client.build_request(
            method, target, headers=headers, content=content, extensions={"trace": _Handshake()}
        )
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise Unsendable(_UNSENDABLE) from None


def _peer(url: httpx.URL) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{host}:{url.port or (443 if url.scheme == 'https' else 80)}"


def _build(
    context: ssl.SSLContext,
    proxy: Secret | str | None,
    *,
    headers: Mapping[str, str],
    jar: CookieJar,
    connections: int,
) -> httpx.AsyncClient:
    text = proxy.reveal() if isinstance(proxy, Secret) else proxy
    if text and "://" not in text:
        text = f"http://{text}"
    try:
        client = httpx.AsyncClient(
            verify=context,
            proxy=text or None,
            trust_env=not text,
            http2=False,
            follow_redirects=False,
            cookies=jar,
            timeout=httpx.Timeout(None, connect=_CONNECT),
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=_KEEP_ALIVE,
            ),
        )
    except (ValueError, ImportError, httpx.InvalidURL):
        raise ConfigurationError(
            Problem(
                "the proxy cannot be used: " + ("the proxy setting" if text else "HTTPS_PROXY or ALL_PROXY")
                + " is not the URL of an HTTP proxy",
                hint="write it as http://user:password@host:port; SOCKS is not supported",
            )
        ) from None  # fmt: skip
    client.headers = httpx.Headers(dict(headers))
    return client


def _raise(peer: str, error: httpx.HTTPError | OSError) -> NoReturn:
    if isinstance(error, httpx.ConnectTimeout):
        raise Unreachable(f"{peer}: no connection within {_CONNECT:g} s") from None
    if isinstance(error, httpx.TimeoutException):
        raise TimedOut(f"{peer}: no answer in time") from None
    if isinstance(error, httpx.ProxyError):
        raise Unreachable(f"{peer}: the proxy does not connect ({_proxy_status(error)})") from None
    if isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol)):
        raise Unsendable(
            f"{peer}: the request cannot be written as HTTP; check header values for line breaks"
        ) from None
    if isinstance(error, httpx.RemoteProtocolError):
        raise TransportError(f"{peer}: the connection ended before the answer was complete") from None
    raise classify_error(peer, error, connecting=isinstance(error, httpx.ConnectError)) from None


def _proxy_status(error: httpx.ProxyError) -> str:
    """The proxy's status line is all that is safe and useful of such an error, for example ``407 ...``."""
    return "".join(letter for letter in str(error) if letter.isprintable())[:80]
