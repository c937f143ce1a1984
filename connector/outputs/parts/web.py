"""What all HTTP collectors share: settings, one exchange, and what its status means for delivery."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import Field, model_validator

from connector.errors import ConfigurationError, DeliveryError, Hold, Refused, Retryable
from connector.interfaces import Clock
from connector.net.backoff import parse_retry_after
from connector.net.http import HttpClient
from connector.net.tls import TlsOptions, client_context
from connector.net.transport import Answer, TransportError
from connector.outputs.common import OutputSettings
from connector.outputs.parts.excerpt import excerpt
from connector.outputs.parts.faults import delivery_error
from connector.outputs.parts.packing import gzip
from connector.outputs.parts.stream import connect
from connector.outputs.parts.url import Url
from connector.secret import Secret

# An answer longer than this says nothing that matters, in bytes.
_MAX_ANSWER = 16 << 20
_TOO_LARGE = 413
_BUSY = {408, 425, 429}
# Not the events are wrong, but the address, the credentials or the contract with the collector.
_FOR_A_PERSON = {
    401: "it does not accept the credentials",
    402: "it wants to be paid first",
    403: "the credentials lack the permission",
    404: "there is nothing at this URL",
    405: "this URL takes no POST",
    407: "the proxy wants credentials",
    410: "what was at this URL is gone for good",
    501: "this URL takes no POST",
}


class WebSettings(OutputSettings):
    """What can be set for every HTTP collector."""

    url: Url = Field(description="Where to send. Path and query are kept out of messages and of this view.")
    concurrency: int = Field(
        default=1, ge=1, le=8, description="Requests under way at once; with more than 1 order is not kept."
    )
    gzip: bool = Field(default=False, description="Compress requests.")
    tls: TlsOptions | None = Field(default=None, description="For https.")
    proxy: Secret | None = Field(
        default=None, description="URL of an HTTP proxy; otherwise HTTPS_PROXY and NO_PROXY decide."
    )

    @model_validator(mode="after")
    def _tls_has_effect(self) -> WebSettings:
        if self.tls is not None and not self.url.secure:
            raise ValueError("tls has no effect with a URL of http; use https")
        return self


class _Lease:
    """A client and how many requests are under way with it."""

    def __init__(self, client: HttpClient) -> None:
        self.client = client
        self.users = 0


class Web:
    """Posts to one collector. Safe to use before ``open`` and by several sends at once.

    Args:
        settings: where and how.
        secrets: further credentials that are read again when a person may have renewed them.
        clock: the wall clock.
    """

    def __init__(self, settings: WebSettings, secrets: Iterable[Secret], clock: Clock) -> None:
        self._settings = settings
        self._secrets = tuple(secrets)
        self._clock = clock
        self._lease: _Lease | None = None

    async def open(self) -> None:
        """Read rotated credentials and certificates again; raises ``Hold`` when they cannot be used."""
        for secret in self._secrets:
            secret.refresh()
        self._settings.url.refresh()
        if self._settings.proxy is not None and self._settings.proxy.refresh():
            await self.close()
        self._leased()

    async def post(self, body: bytes, headers: Mapping[str, str], *, url: str | None = None) -> Answer:
        """Send *body* as it is; return the answer, whatever its status. *url* replaces the configured one."""
        lease = self._leased()
        lease.users += 1
        try:
            return await lease.client.request(
                "POST", url or self._settings.url.reveal(), headers=headers, content=body
            )
        except (TransportError, asyncio.CancelledError) as error:
            # A request that was broken off may keep its connection for ever, and certificates may be
            # renewed: the next request begins with a new client.
            self._lease = None if self._lease is lease else self._lease
            if isinstance(error, TransportError):
                raise delivery_error(error) from None
            raise
        finally:
            lease.users -= 1
            await self._return(lease)

    def packed(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """Return *body* as it goes over the wire, and the headers that say so."""
        return (gzip(body), {"Content-Encoding": "gzip"}) if self._settings.gzip else (body, {})

    async def close(self) -> None:
        """Close all connections; safe to repeat."""
        lease, self._lease = self._lease, None
        if lease is not None:
            await self._return(lease)

    async def reach(self) -> str:
        """Connect, with TLS where the URL says so, and say what was reached; nothing is sent."""
        settings, url = self._settings, self._settings.url
        host, port, secure, told = url.host, url.port, url.secure, url.origin
        proxy = _proxy_for(url, settings.proxy)
        if proxy is not None:
            host, port, secure = proxy.hostname or "", proxy.port or 80, proxy.scheme == "https"
            told = f"the proxy for {url.origin}; what is behind it was not tried"
        try:
            context = client_context(settings.tls) if secure else None
            stream = await connect(host, port, context=context, timeout=settings.timeout.total_seconds())
        except (TransportError, ConfigurationError) as error:
            raise delivery_error(error) from None
        protocol = stream.protocol
        await stream.close()
        return f"reached {told} ({protocol})"

    def judge(self, answer: Answer, traces: Iterable[str]) -> DeliveryError | None:
        """Say what the status of *answer* means for the whole request; ``None`` for any 2xx.

        *traces* are texts that the error must not show.
        """
        if answer.ok:
            return None
        origin = self._settings.url.origin
        said = excerpt(answer.body, [*traces, self._settings.url.reveal(), *_path_parts(self._settings.url)])
        reason = f"{origin} answered {_status(answer.status)}" + (f": {said}" if said else "")
        if answer.status == _TOO_LARGE:
            return Refused(reason, too_large=True)
        if answer.status < 400:  # noqa: PLR2004
            return Hold(f"{reason}; it wants another URL, redirects are not followed: correct url")
        if answer.status in _FOR_A_PERSON:
            return Hold(f"{reason}; {_FOR_A_PERSON[answer.status]}")
        if answer.status >= 500 or answer.status in _BUSY:  # noqa: PLR2004
            return Retryable(reason, parse_retry_after(answer.headers.get("retry-after"), self._clock()))
        return Refused(reason)

    def _leased(self) -> _Lease:
        if self._lease is None:
            settings = self._settings
            try:
                client = HttpClient(
                    tls=settings.tls,
                    proxy=settings.proxy,
                    timeout=settings.timeout.total_seconds(),
                    max_body=_MAX_ANSWER,
                    connections=settings.concurrency,
                )
            except ConfigurationError as error:
                raise delivery_error(error) from None
            self._lease = _Lease(client)
        return self._lease

    async def _return(self, lease: _Lease) -> None:
        """Close the client that nobody uses now or later."""
        if lease is not self._lease and lease.users == 0:
            await lease.client.close()


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def _proxy_for(url: Url, configured: Secret | None) -> SplitResult | None:
    """The proxy that the HTTP client will use: the configured one, or that of the environment."""
    found = configured.reveal() if configured else None
    if found is None and not proxy_bypass(url.host):
        known = getproxies()
        found = known.get(url.parts.scheme) or known.get("all")
    if not found:
        return None
    return urlsplit(found if "://" in found else f"http://{found}")


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _path_parts(url: Url) -> list[str]:
    """Pieces of path and query that may be a webhook's token."""
    return [piece for piece in (*url.parts.path.split("/"), url.parts.query) if len(piece) >= 8]  # noqa: PLR2004
