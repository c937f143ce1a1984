"""``HttpClient``: the only module that uses the HTTP library, so that replacing the library is one change."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Mapping, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Protocol

from connector import __version__
from connector.errors import ConfigurationError, Problem
from connector.import_guard import absent
from connector.masking import mask_secrets
from connector.net.failures import classify_error
from connector.net.gzip import BodyTooLarge, BoundedBody, CorruptBody
from connector.net.no_proxy import ProxyEnvironment, with_scheme
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
"""Bytes of a response, unpacked: sixteen times what 1000 ordinary records take."""

_CONNECTIONS = 8
"""Connections of one client by default: a request beyond them waits for one."""

_KEEP_ALIVE = 30.0
"""Seconds that an unused connection is kept: less than the 60 s after which load balancers close it."""

_CONNECT = 10.0
"""Seconds for a connection with its TLS handshake: three lost SYN packets are sent again within 7 s."""
_SPENT = httpx.ByteStream(b"")


@functools.cache
def _default_context() -> ssl.SSLContext:
    # Reading the trust store costs tens of milliseconds; all clients without options share one. It is not
    # shared with other protocols, because the HTTP library sets ALPN for HTTP in it.
    return client_context()


class _Closeable(Protocol):
    """The part of a connection that is used here."""

    async def aclose(self) -> None:
        """Close it. Idempotent."""
        ...


class HttpClient:
    """A connection pool for one account or one output.

    Redirects are never followed, responses never cached. After an exchange that failed or was cancelled, the
    next one starts with new connections and reads certificate files and proxy again; exchanges in progress
    finish on the old connections. Closing is final.

    Args:
        tls: TLS options; by default the system's trust store.
        proxy: URL of an HTTP proxy; by default the environment decides (see ``no_proxy``).
        timeout: seconds for a whole exchange, including the wait for a connection.
        max_body: most bytes of a response, compressed and decompressed, before ``TooLarge``.
        user_agent: value of ``User-Agent``.
        cookies: keep cookies, for collectors behind a load balancer with sticky sessions.
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

        self._proxy = proxy
        self._timeout = timeout
        self._max_body = max_body
        self._clients = Replaceable(build, httpx.AsyncClient.aclose)
        # The pool has its own queue, but a request queued behind a cancelled connection waits for ever:
        # no request enters the pool before there is a free connection.
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
        """Send one request and read the whole response, whatever its status.

        *params* are added to the query of *url*. Raises a ``TransportError`` when there is no complete
        response in time.
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
            raise TimedOut(f"{peer}: no complete response within {allowed:g} s") from None
        except (httpx.HTTPError, OSError) as error:
            # TLS alerts after the handshake pass through the library unchanged.
            failure = _failure(peer, error)
            raise type(failure)(self.mask(failure.reason)) from None
        except ConfigurationError as error:
            # It was valid when the client was created: a certificate file has become unusable since.
            raise Untrusted(f"{peer}: {error}") from None
        return Response(status, answered, body, loop.time() - begun)

    def mask(self, text: str) -> str:
        """Mask the credentials of the proxies in *text*, should a peer have repeated them."""
        configured = self._proxy.reveal() if isinstance(self._proxy, Secret) else self._proxy
        proxies = [url for _, url in ProxyEnvironment().proxies.values()]
        return mask_secrets(text, [*([configured] if configured else []), *proxies])

    def renew(self) -> None:
        """Make the next exchange use new connections, for example after a credential was rotated."""
        self._clients.replace()

    async def close(self) -> None:
        """Close all connections, also those in use. Idempotent."""
        await self._clients.close()

    async def _exchange(
        self, client: httpx.AsyncClient, request: httpx.Request, peer: str
    ) -> tuple[int, dict[str, str], bytes]:
        response = await client.send(request, stream=True)
        try:
            body = await self._read(response, peer)
        finally:
            await response.aclose()
            # The library's stream and response reference each other and keep both bodies alive.
            response.stream = _SPENT
        return response.status_code, dict(response.headers), body

    async def _read(self, response: httpx.Response, peer: str) -> bytes:
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in {"identity", "", "gzip", "x-gzip"}:
            raise TransportError(f"{peer}: unexpected content encoding {coding[:20]!r}")
        body = BoundedBody(self._max_body, gzip="gzip" in coding)
        try:
            async for chunk in response.aiter_raw():
                body.feed(chunk)
            return body.finish()
        except BodyTooLarge:
            raise TooLarge(f"{peer}: the response is larger than {self._max_body} bytes") from None
        except CorruptBody:
            raise TransportError(f"{peer}: the compressed response is damaged or truncated") from None


_UNSENDABLE = "the request cannot be written as HTTP: check URL and header values for stray characters"
"""The library's own text would show the URL or the header, and with it a credential."""


class _Handshake:
    """Tracks how a connection is made, and closes one whose TLS handshake is cancelled.

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
    configured = proxy.reveal() if isinstance(proxy, Secret) else proxy
    limits = httpx.Limits(
        max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=_KEEP_ALIVE
    )
    client = httpx.AsyncClient(
        transport=_RoutedTransport(context, limits, configured or None),
        trust_env=False,
        follow_redirects=False,
        cookies=jar,
        timeout=httpx.Timeout(None, connect=_CONNECT),
    )
    client.headers = httpx.Headers(dict(headers))
    return client


class _RoutedTransport(httpx.AsyncBaseTransport):
    """Sends each request directly or through a proxy, as the setting or the environment decides.

    The HTTP library reads the variables itself, but knows no networks in ``NO_PROXY`` and fails for IPv6.
    """

    def __init__(self, context: ssl.SSLContext, limits: httpx.Limits, configured: str | None) -> None:
        self._configured = configured
        self._environment = ProxyEnvironment()
        self._transports: dict[str | None, httpx.AsyncHTTPTransport] = {}
        proxies = [("proxy setting", with_scheme(configured))] if configured else []
        proxies = proxies or list(self._environment.proxies.values())
        for name, url in (("", None), *proxies):
            self._transports[url] = _transport(context, limits, url, name)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* the way its host is reached."""
        url = request.url
        if self._configured:
            proxy: str | None = with_scheme(self._configured)
        else:
            proxy = self._environment.route(url.scheme, url.host, url.port).proxy
        return await self._transports[proxy].handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections of every way."""
        await asyncio.gather(*(transport.aclose() for transport in self._transports.values()))


def _transport(
    context: ssl.SSLContext, limits: httpx.Limits, proxy: str | None, name: str
) -> httpx.AsyncHTTPTransport:
    try:
        return httpx.AsyncHTTPTransport(
            verify=context, proxy=proxy, limits=limits, trust_env=False, http2=False
        )
    except (ValueError, ImportError, httpx.InvalidURL):
        raise ConfigurationError(
            Problem(
                f"the proxy cannot be used: {name} is not the URL of an HTTP proxy",
                hint="write it as http://user:password@host:port; SOCKS is not supported",
            )
        ) from None


def _failure(peer: str, error: httpx.HTTPError | OSError) -> TransportError:
    if isinstance(error, httpx.ConnectTimeout):
        return Unreachable(f"{peer}: no connection within {_CONNECT:g} s")
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(f"{peer}: no response in time")
    if isinstance(error, httpx.ProxyError):
        return Unreachable(f"{peer}: the proxy refused to connect ({_proxy_status(error)})")
    if isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol)):
        return Unsendable(
            f"{peer}: the request cannot be written as HTTP; check header values for line breaks"
        )
    if isinstance(error, httpx.RemoteProtocolError):
        return TransportError(f"{peer}: the connection closed before the response was complete")
    return classify_error(peer, error, connecting=isinstance(error, httpx.ConnectError))


def _proxy_status(error: httpx.ProxyError) -> str:
    """Return the proxy's status line, such as ``407 ...``: all of the error that is safe to show."""
    return "".join(letter for letter in str(error) if letter.isprintable())[:200]
