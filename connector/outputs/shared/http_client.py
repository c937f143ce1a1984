"""The HTTP client of outputs: common settings, sending a request, and what a status means for delivery."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from typing import Self
from urllib.parse import SplitResult

from pydantic import Field, model_validator

from connector.errors import ConfigurationError, DeliveryError, Hold, Refused, Retryable
from connector.interfaces import Clock
from connector.model import Event
from connector.net.backoff import parse_retry_after
from connector.net.http import HttpClient
from connector.net.no_proxy import route_of
from connector.net.tls import TlsOptions, client_context
from connector.net.transport import ProxyDenied, Response, TransportError, Unsendable, Untrusted
from connector.outputs.common import OutputSettings
from connector.outputs.shared.answer_text import excerpt
from connector.outputs.shared.tcp import connect
from connector.outputs.shared.url import Url
from connector.secret import Secret, urlsplit_uncached

# zlib writes the gzip format with 16 added to the window size. Level 1: events compress about 8:1 already.
_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 1
"""Level 6 takes nearly three times the processor time, to save a quarter of the bytes of ECS events."""


def gzip(body: bytes) -> bytes:
    """Return *body* as one gzip member without a time stamp."""
    return _compressor()(body)


@cache
def _compressor() -> Callable[[bytes], bytes]:
    # Cached: a failed import takes as long as compressing a few events.
    try:
        from isal import isal_zlib  # noqa: PLC0415, absent where it has no wheel
    except ImportError:
        return _zlib_gzip
    return lambda body: bytes(isal_zlib.compress(body, _LEVEL, _GZIP))


def _zlib_gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return compressor.compress(body) + compressor.flush()


def delivery_error(error: TransportError | ConfigurationError) -> DeliveryError:
    """A hold for what only an operator can fix (certificate, proxy, setting); anything else is retryable."""
    if isinstance(error, ConfigurationError):
        return Hold("; ".join(str(problem) for problem in error.problems))
    if isinstance(error, (Untrusted, Unsendable, ProxyDenied)):
        return Hold(error.reason)
    return Retryable(error.reason)


# Longest response that is read, in bytes: a _bulk response to the largest batch takes about 1 MB.
_MAX_RESPONSE = 16 << 20
_TOO_LARGE = 413
_TOO_MANY = 429
# Timeout, too early, too many requests: the same request may succeed later.
_BUSY = {408, 425, _TOO_MANY}
# The address, credentials or contract with the collector are wrong, not the events.
_HOLD_REASONS = {
    401: "the collector does not accept the credentials",
    402: "the collector requires payment",
    403: "the credentials lack the permission",
    404: "not found: check the URL",
    405: "this URL does not accept POST",
    407: "the proxy requires credentials",
    410: "this URL no longer exists",
    501: "this URL does not accept POST",
}


class HttpSettingsBase(OutputSettings):
    """Settings of every output that speaks HTTP, with one URL or several."""

    url: Url | tuple[Url, ...]
    concurrency: int = Field(
        default=1, ge=1, le=8, description="Concurrent requests; with more than 1, order is not preserved."
    )
    gzip: bool = Field(default=False, description="Compress requests.")
    tls: TlsOptions | None = Field(default=None, description="TLS options for https.")
    proxy: Secret | None = Field(
        default=None, description="URL of an HTTP proxy; by default HTTPS_PROXY and NO_PROXY apply."
    )

    @property
    def urls(self) -> tuple[Url, ...]:
        """All URLs, in failover order."""
        return self.url if isinstance(self.url, tuple) else (self.url,)

    def compressed(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """Return *body* compressed if ``gzip`` is set, and the headers for it.

        Keep no name for *body* while a request is under way: a collector that is slow or down would have it
        kept in memory a second time, with megabytes for every output.
        """
        return (gzip(body), {"content-encoding": "gzip"}) if self.gzip else (body, {})

    @model_validator(mode="after")
    def _tls_has_effect(self) -> Self:
        if self.tls is not None and not self.urls[0].secure:
            raise ValueError("tls has no effect with an http URL; use https")
        return self


class SingleUrlSettings(HttpSettingsBase):
    """Settings of every collector with one URL."""

    url: Url = Field(description="URL of the collector. Path and query are secret and never shown.")


class HttpSender:
    """Sends requests to one collector. Usable before ``open`` and by concurrent sends.

    Args:
        settings: proxy, TLS, timeout, compression.
        url: of the collector.
        secrets: further credentials that ``open`` reads again, in case they were rotated.
        clock: the wall clock, for dates in ``Retry-After``.
        cookies: keep cookies, so that a load balancer routes requests to the same collector.
        connections: most concurrent requests; by default ``settings.concurrency``.
        direct: never use a proxy.
    """

    def __init__(
        self,
        settings: HttpSettingsBase,
        url: Url,
        secrets: Iterable[Secret],
        clock: Clock,
        *,
        cookies: bool = False,
        connections: int | None = None,
        direct: bool = False,
    ) -> None:
        self._settings = settings
        self._direct = direct
        self._url = url
        self._cookies = cookies
        self._connections = connections or settings.concurrency
        self._secrets = tuple(secrets)
        self._clock = clock
        self._client: HttpClient | None = None

    @property
    def origin(self) -> str:
        """Scheme, host and port of the collector."""
        return self._url.origin

    async def open(self) -> None:
        """Read rotated credentials again; raises ``Hold`` if a certificate or the proxy is unusable."""
        for secret in self._secrets:
            secret.refresh()
        self._url.refresh()
        client = self._open_client()
        if self._settings.proxy is not None and self._settings.proxy.refresh():
            client.renew()

    async def post(self, body: bytes, headers: Mapping[str, str], *, url: str | None = None) -> Response:
        """Send *body*; return the response, whatever its status. *url* replaces the configured one."""
        return await self.request("POST", headers, body=body, url=url)

    async def request(
        self, method: str, headers: Mapping[str, str], *, body: bytes | None = None, url: str | None = None
    ) -> Response:
        """Like ``post``, with another method."""
        try:
            return await self._open_client().request(
                method, url or self._url.reveal(), headers=headers, content=body
            )
        except TransportError as error:
            raise delivery_error(error) from None

    def compressed(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """See ``HttpSettingsBase.compressed``."""
        return self._settings.compressed(body)

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def probe(self) -> str:
        """Connect (with TLS for https) and describe the peer; no request is sent."""
        settings, url = self._settings, self._url
        host, port, secure, reached, tls = url.host, url.port, url.secure, url.origin, settings.tls
        proxy = _proxy_for(url, settings.proxy)
        if proxy is not None:
            secure, tls = proxy.scheme == "https", None
            host, port = proxy.hostname or "", proxy.port or (443 if secure else 80)
            reached = f"the proxy for {url.origin}; the connection beyond it was not tested"
        try:
            context = client_context(tls) if secure else None
            stream = await connect(host, port, context=context, timeout=settings.timeout.total_seconds())
        except (TransportError, ConfigurationError) as error:
            raise delivery_error(error) from None
        protocol = stream.protocol
        await stream.close()
        return f"reached {reached} ({protocol})"

    def classify(
        self, answer: Response, secrets: Iterable[str], sent: Sequence[Event] = ()
    ) -> DeliveryError | None:
        """What the status of *answer* means for the whole request; ``None`` for any 2xx.

        The error shows neither *secrets* nor any text of the events *sent*.
        """
        if answer.ok:
            return None
        return self.error_for_status(answer, self.safe_excerpt(answer, secrets, sent))

    def safe_excerpt(self, answer: Response, secrets: Iterable[str], sent: Sequence[Event] = ()) -> str:
        """The beginning of the response without *secrets*, secret parts of the URL and text of *sent*."""
        proxy = route_of(self._url.reveal(), _reveal(self._settings.proxy)).proxy
        return excerpt(answer.body, [*secrets, self._url.reveal(), *([proxy] if proxy else [])], sent)

    def error_for_status(self, answer: Response, detail: str) -> DeliveryError:
        """The error for a status other than 2xx, with *detail* as the excerpt of the response."""
        reason = self.describe(answer, detail)
        if answer.status == _TOO_LARGE:
            return Refused(reason, too_large=True)
        if answer.status < 400:  # noqa: PLR2004
            return Hold(f"{reason}; redirects are not followed: correct url")
        if answer.status in _HOLD_REASONS:
            return Hold(f"{reason}; {_HOLD_REASONS[answer.status]}")
        if answer.status >= 500 or answer.status in _BUSY:  # noqa: PLR2004
            after = parse_retry_after(answer.headers.get("retry-after"), self._clock())
            return Retryable(reason, after, busy=answer.status == _TOO_MANY)
        return Refused(reason)

    def describe(self, answer: Response, detail: str) -> str:
        """One line: origin, status and *detail*, an excerpt of the response."""
        return f"{self._url.origin} answered {_status(answer.status)}" + (f": {detail}" if detail else "")

    def _open_client(self) -> HttpClient:
        if self._client is None:
            settings = self._settings
            try:
                self._client = HttpClient(
                    tls=settings.tls,
                    proxy=None if self._direct else settings.proxy,
                    timeout=settings.timeout.total_seconds(),
                    max_body=_MAX_RESPONSE,
                    cookies=self._cookies,
                    connections=self._connections,
                    direct=self._direct,
                )
            except ConfigurationError as error:
                raise delivery_error(error) from None
        return self._client


def _proxy_for(url: Url, configured: Secret | None) -> SplitResult | None:
    """The proxy that the HTTP client will use: the configured one, or that of the environment."""
    proxy = route_of(url.reveal(), _reveal(configured)).proxy
    return urlsplit_uncached(proxy) if proxy else None


def _reveal(secret: Secret | None) -> str | None:
    return secret.reveal() if secret is not None else None


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
