"""``HttpClient``: the only module that uses the HTTP library, so that replacing the library is one change."""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from connector import __version__
from connector.errors import ConfigurationError, Problem
from connector.import_guard import absent
from connector.masking import mask_secrets
from connector.net.asyncio_backend import AsyncioBackend
from connector.net.failures import classify_error
from connector.net.gzip import BodyTooLarge, BoundedBody, CorruptBody
from connector.net.no_proxy import ProxyEnvironment, ProxyRoute, route_of, with_scheme
from connector.net.replaceable import Replaceable
from connector.net.tls import TlsOptions, client_context
from connector.net.transport import (
    ProxyDenied,
    Response,
    TimedOut,
    TooLarge,
    TransportError,
    Unreachable,
    Unsendable,
    Untrusted,
)
from connector.secret import Secret
from connector.values import dataclass

with absent("pygments", "rich"):
    import httpcore
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

_CONTENT_CODINGS = frozenset({
    "aes128gcm", "br", "compress", "dcb", "dcz", "deflate", "exi", "gzip", "pack200-gzip", "x-compress",
    "x-gzip", "zstd",
})  # fmt: skip
"""Registered content codings, but for ``identity``. Anything else, such as ``utf-8``, is a server's mistake
and changes no byte of a body.

https://www.iana.org/assignments/http-parameters
"""
_CODING_NAME = re.compile(r"[^\s,]+")

_TARGETS = 16
"""URLs whose parts are remembered: an output has one or a few."""
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Methods that tell the length of their body even where there is none (RFC 9110, section 8.6)."""
_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
_Headers: TypeAlias = list[tuple[bytes, bytes]]


@functools.cache
def _default_context() -> ssl.SSLContext:
    # Reading the trust store costs tens of milliseconds; all clients without options share one. It is not
    # shared with other protocols, because the HTTP library sets ALPN for HTTP in it.
    return client_context()


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
        direct: use no proxy, whatever the environment says.
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
        direct: bool = False,
    ) -> None:
        headers = {"user-agent": user_agent, "accept": "*/*", "accept-encoding": "gzip"}
        self._headers = tuple((name.encode(), value.encode()) for name, value in headers.items())
        self._cookies = httpx.Cookies() if cookies else None
        self._target = functools.lru_cache(maxsize=_TARGETS)(_target)

        def build() -> _Routes:
            context = None if tls is None or tls == TlsOptions() else client_context(tls)
            return _Routes(context, proxy, connections, direct=direct)

        self._proxy = proxy
        self._is_direct = direct
        self._timeout = timeout
        self._max_body = max_body
        self._routes = Replaceable(build, _Routes.aclose)
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
        pairs = params.items() if isinstance(params, Mapping) else params or ()
        target = self._target(url, tuple(pairs))
        sent = self._prepared(method, target, headers, content)
        allowed = self._timeout if timeout is None else timeout
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            async with asyncio.timeout(allowed), self._places, self._routes.use() as routes:
                status, answered, body = await self._exchange(routes, sent, target.peer)
        except TimeoutError:
            raise TimedOut(f"{target.peer}: no complete response within {allowed:g} s") from None
        except (*_ERRORS, OSError) as error:
            # TLS alerts after the handshake pass through the library unchanged.
            failure = _failure(target.peer, error, self._route(target.url))
            raise type(failure)(self.mask(failure.reason)) from None
        except ConfigurationError as error:
            # It was valid when the pool was created: a certificate file has become unusable since.
            raise Untrusted(f"{target.peer}: {error}") from None
        if self._cookies is not None:
            self._keep_cookies(target, status, answered)
        answered_headers = _joined(answered)
        return Response(status, answered_headers, body, loop.time() - begun)

    def mask(self, text: str) -> str:
        """Mask the credentials of the proxies in *text*, should a peer have repeated them."""
        configured = self._configured_proxy()
        proxies = [url for _, url in ProxyEnvironment().proxies.values()]
        return mask_secrets(text, [*([configured] if configured else []), *proxies])

    def _configured_proxy(self) -> str | None:
        return self._proxy.reveal() if isinstance(self._proxy, Secret) else self._proxy

    def _route(self, url: httpx.URL) -> ProxyRoute:
        return ProxyRoute(None) if self._is_direct else route_of(str(url), self._configured_proxy())

    def renew(self) -> None:
        """Make the next exchange use new connections, for example after a credential was rotated."""
        self._routes.replace()

    async def close(self) -> None:
        """Close all connections, also those in use. Idempotent."""
        await self._routes.close()

    def _prepared(
        self, method: str, target: _Target, headers: Mapping[str, str] | None, content: bytes | None
    ) -> httpcore.Request:
        """The request as the connection writes it."""
        try:
            given = [
                (name.lower().encode("ascii"), value.encode("ascii"))
                for name, value in (headers or {}).items()
            ]
        except UnicodeError:
            raise Unsendable(_UNSENDABLE) from None
        lines = [(b"host", target.host), *given]
        names = {name for name, _ in given}
        lines += [line for line in self._headers if line[0] not in names]
        if content is not None or method in _WITH_BODY:
            lines.append((b"content-length", b"%d" % len(content or b"")))
        if target.authorization is not None:
            lines = [line for line in lines if line[0] != b"authorization"]
            lines.append((b"authorization", target.authorization))
        if self._cookies:
            asking = httpx.Request(method, target.url)
            self._cookies.set_cookie_header(asking)
            lines += [(b"cookie", value.encode("ascii")) for value in asking.headers.get_list("cookie")]
        extensions = {"timeout": {"connect": _CONNECT}}
        return httpcore.Request(method, target.parts, headers=lines, content=content, extensions=extensions)

    def _keep_cookies(self, target: _Target, status: int, headers: _Headers) -> None:
        if self._cookies is not None and any(name.lower() == b"set-cookie" for name, _ in headers):
            asked = httpx.Request("GET", target.url)
            self._cookies.extract_cookies(httpx.Response(status, headers=headers, request=asked))

    async def _exchange(
        self, routes: _Routes, request: httpcore.Request, peer: str
    ) -> tuple[int, _Headers, bytes]:
        response = await routes.pool_for(request.url).handle_async_request(request)
        try:
            body = await self._read(response, peer)
            if _has_more(response):
                self.renew()
        finally:
            await response.aclose()
        return response.status, response.headers, body

    async def _read(self, response: httpcore.Response, peer: str) -> bytes:
        codings = [value for name, value in response.headers if name.lower() == b"content-encoding"]
        coding = b", ".join(codings).decode("latin-1").strip().lower() or "identity"
        if coding not in {"gzip", "x-gzip"} and not _CONTENT_CODINGS.isdisjoint(_CODING_NAME.findall(coding)):
            raise TransportError(f"{peer}: unexpected content encoding {coding[:20]!r}")
        body = BoundedBody(self._max_body, gzip=coding in {"gzip", "x-gzip"})
        try:
            async for chunk in response.aiter_stream():
                body.feed(chunk)
            return body.finish()
        except BodyTooLarge:
            raise TooLarge(f"{peer}: the response is larger than {self._max_body} bytes") from None
        except CorruptBody:
            raise TransportError(f"{peer}: the compressed response is damaged or truncated") from None


_UNSENDABLE = "the request cannot be written as HTTP: check URL and header values for stray characters"
"""The library's own text would show the URL or the header, and with it a credential."""


_PROXY_CREDENTIALS = "407"
_INCOMPLETE = "the connection closed before the response was complete"
_NOT_HTTP = "the answer is not valid HTTP: check scheme and port of the URL"


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a request goes, worked out once per URL: *host* and *authorization* are header values."""

    url: httpx.URL
    parts: httpcore.URL
    host: bytes
    peer: str
    authorization: bytes | None


def _target(url: str, params: tuple[tuple[str, str], ...]) -> _Target:
    pairs: list[tuple[str, str | int | float | bool | None]] = list(params)
    try:
        target = httpx.URL(url)
        target = target.copy_merge_params(httpx.QueryParams(pairs)) if pairs else target
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise Unsendable(_UNSENDABLE) from None
    if target.scheme not in {"http", "https"} or not target.host:
        raise Unsendable("the URL is not one of http or https with a host")
    credentials = f"{target.username}:{target.password}".encode() if target.userinfo else b""
    return _Target(
        target,
        httpcore.URL(
            scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path
        ),
        target.netloc,
        _peer(target),
        b"Basic " + b64encode(credentials) if credentials else None,
    )


def _has_more(response: httpcore.Response) -> bool:
    """Whether bytes follow the response: the library would take them for the response to the next request."""
    stream = cast("Any", response.stream)
    try:
        return bool(stream._stream._connection._h11_state.trailing_data[0])  # noqa: SLF001, nothing public tells
    except AttributeError:
        return False


def _peer(url: httpx.URL) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{host}:{url.port or (443 if url.scheme == 'https' else 80)}"


def _joined(headers: _Headers) -> dict[str, str]:
    """Header values by lower-case name; several of one name as one, as RFC 9110, section 5.3 has it."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), _header_text(raw_value)
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _header_text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


class _Routes:
    """Connection pools: one for direct requests, one for each proxy that the setting or environment names.

    The HTTP library reads the variables itself, but knows no networks in ``NO_PROXY`` and fails for IPv6.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None,
        proxy: Secret | str | None,
        connections: int,
        *,
        direct: bool = False,
    ) -> None:
        configured = proxy.reveal() if isinstance(proxy, Secret) else proxy
        self._configured = with_scheme(configured) if configured else None
        self._environment = ProxyEnvironment()
        self._context = context
        self._connections = connections
        self._direct: dict[bytes, httpcore.AsyncConnectionPool] = {}
        proxies = [("proxy setting", self._configured)] if self._configured else []
        others = () if direct else proxies or self._environment.proxies.values()
        self._proxied = {
            url: _proxy_pool(context or _default_context(), connections, url, name) for name, url in others
        }

    def pool_for(self, url: httpcore.URL) -> httpcore.AsyncConnectionPool:
        """The pool by which the host of *url* is reached."""
        if not self._proxied:
            return self._direct_pool(url.scheme)
        if self._configured:
            return self._proxied[self._configured]
        host = url.host.decode("ascii")
        proxy = self._environment.route(url.scheme.decode("ascii"), host, url.port).proxy
        return self._direct_pool(url.scheme) if proxy is None else self._proxied[proxy]

    def _direct_pool(self, scheme: bytes) -> httpcore.AsyncConnectionPool:
        # By scheme: a client that speaks plain HTTP needs no certificate authorities.
        if scheme not in self._direct:
            context = self._context or (_default_context() if scheme == b"https" else None)
            self._direct[scheme] = httpcore.AsyncConnectionPool(
                context,
                max_connections=self._connections,
                keepalive_expiry=_KEEP_ALIVE,
                network_backend=AsyncioBackend(),
            )
        return self._direct[scheme]

    async def aclose(self) -> None:
        """Close the connections of every route."""
        await asyncio.gather(*(pool.aclose() for pool in (*self._direct.values(), *self._proxied.values())))


def _proxy_pool(
    context: ssl.SSLContext, connections: int, proxy: str, name: str
) -> httpcore.AsyncConnectionPool:
    try:
        parsed = httpx.Proxy(proxy)
    except (ValueError, httpx.InvalidURL):
        raise _unusable_proxy(name) from None
    if parsed.url.scheme not in {"http", "https"}:
        raise _unusable_proxy(name)
    url = httpcore.URL(
        scheme=parsed.url.raw_scheme,
        host=parsed.url.raw_host,
        port=parsed.url.port,
        target=parsed.url.raw_path,
    )
    return httpcore.AsyncHTTPProxy(
        url,
        parsed.raw_auth,
        ssl_context=context,
        max_connections=connections,
        keepalive_expiry=_KEEP_ALIVE,
        network_backend=AsyncioBackend(),
    )


def _unusable_proxy(name: str) -> ConfigurationError:
    return ConfigurationError(
        Problem(
            f"the proxy cannot be used: {name} is not the URL of an HTTP proxy",
            hint="write it as http://user:password@host:port; SOCKS is not supported",
        )
    )


def _failure(target: str, error: Exception, route: ProxyRoute) -> TransportError:
    peer = target if route.proxy is None else f"{target} {route}"
    if isinstance(error, httpcore.ConnectTimeout):
        return Unreachable(f"{peer}: no connection within {_CONNECT:g} s")
    if isinstance(error, httpcore.TimeoutException):
        return TimedOut(f"{peer}: no response in time")
    if isinstance(error, httpcore.ProxyError):
        status = _proxy_status(error)
        denied = status.startswith(_PROXY_CREDENTIALS)
        return (ProxyDenied if denied else Unreachable)(f"{peer}: the proxy refused to connect ({status})")
    if isinstance(error, (httpcore.LocalProtocolError, httpcore.UnsupportedProtocol)):
        return Unsendable(
            f"{peer}: the request cannot be written as HTTP; check header values for line breaks"
        )
    if isinstance(error, httpcore.RemoteProtocolError):
        ended = any(word in str(error) for word in ("disconnected", "closed connection"))
        return TransportError(f"{peer}: {_INCOMPLETE if ended else _NOT_HTTP}")
    connecting = isinstance(error, httpcore.ConnectError)
    if connecting and route.proxy is not None and not isinstance(error.__cause__, ssl.SSLError):
        # Only the proxy is connected to; it reports in a status that it cannot reach the target.
        peer = f"the proxy {route.address} for {target}"
    return classify_error(peer, error, connecting=connecting)


def _proxy_status(error: httpcore.ProxyError) -> str:
    """Return the proxy's status line, such as ``407 ...``: all of the error that is safe to show."""
    return "".join(letter for letter in str(error) if letter.isprintable())[:200]
