"""Output ``otlp``: settings and class; logs by the OpenTelemetry Protocol over HTTP, as protobuf."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, StringConstraints, model_validator

from connector import __version__
from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.facts import OutputWarning
from connector.formats.otlp import Attributes, Body, Layout, LogsEncoder, read_response, read_status
from connector.interfaces import Clock, Observe
from connector.model import Event, Limits, Receipt
from connector.net.clock import utc_now
from connector.net.transport import Response
from connector.outputs.common import TOO_LARGE
from connector.outputs.http.auth import AuthSettings, HeaderName, header_secrets
from connector.outputs.http.oauth import ClientCredentials
from connector.outputs.shared.answer_text import excerpt
from connector.outputs.shared.failover import Failover, MultiUrlSettings, check_each
from connector.outputs.shared.http_client import HttpSender
from connector.outputs.shared.tokens import AccessToken, TokenSource
from connector.quantity_fields import Size
from connector.secret import Secret

_LIMITS = Limits(events=500, bytes=1_000_000)
_PATH = "/v1/logs"
_SERVICE = "cloudflare-email-security"
_SCOPE = "cloudflare-email-connector"
_PROTOBUF = "application/x-protobuf"

_UNAUTHORIZED = 401
_BAD_REQUEST = 400
_UNSUPPORTED = 415

_REMIND = 3600.0
"""Seconds after which a collector's warning that does not change is reported again."""

AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class OtlpSettings(MultiUrlSettings):
    """Posts events as OpenTelemetry log records."""

    type: Literal["otlp"] = "otlp"
    auth: AuthSettings | None = None
    headers: dict[HeaderName, Secret] = Field(
        default_factory=dict, description="Additional headers; their values are secret."
    )
    body: Body = Field(
        default="message",
        description="Body of a log record: the event's message, or json for the whole event.",
    )
    attributes: Attributes = Field(
        default="flat",
        description="Attributes of a log record: flat has one per field with a dotted name, nested one per "
        "top-level field, none has the fields in the body only.",
    )
    resource: dict[AttributeName, bool | int | float | str] = Field(
        default_factory=dict,
        description="Attributes of the resource, beside service.name, which is cloudflare-email-security "
        "unless it is set here.",
    )
    max_request_bytes: Size = Field(
        default=20 << 20,
        ge=1024,
        le=100 << 20,
        description="Maximum request before compression; larger ones are split.",
    )

    # The only parameters of a request are those of the URL.
    reserved_parameters: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _unambiguous(self) -> OtlpSettings:
        names = [name.lower() for name in self.headers]
        if self.auth is not None:
            names += ["authorization" if self.auth.header is None else self.auth.header.name.lower()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"headers set twice: {', '.join(twice)}")
        if "content-type" in names:
            raise ValueError("the connector sets the header Content-Type itself")
        return self

    @model_validator(mode="after")
    def _for_logs(self) -> OtlpSettings:
        paths = {url.parts.path.rstrip("/") for url in self.urls}
        if any(path.endswith(("/v1/traces", "/v1/metrics")) for path in paths):
            raise ValueError(
                "url is for traces or metrics; use the base URL, or the one that ends with /v1/logs"
            )
        return self

    @model_validator(mode="after")
    def _nothing_is_lost(self) -> OtlpSettings:
        if self.attributes == "none" and self.body == "message":
            raise ValueError("attributes: none requires body: json, or nothing but the message would be sent")
        return self

    def secrets(self) -> Iterator[Secret]:
        """Every credential in the headers."""
        yield from self.headers.values()
        if self.auth is not None:
            yield from self.auth.secrets()

    def build(self, name: str, observe: Observe) -> OtlpOutput:
        """Build the output."""
        return OtlpOutput(name, self, observe, utc_now)


class OtlpOutput:
    """Accepted means: the collector answered 2xx with an export response that rejects nothing.

    Args:
        name: the output's name.
        settings: of the output.
        observe: receives facts.
        clock: the wall clock, for dates in ``Retry-After``.
    """

    def __init__(self, name: str, settings: OtlpSettings, observe: Observe, clock: Clock) -> None:
        limits = settings.batch.applied(_LIMITS)
        self._limits = replace(limits, concurrency=settings.concurrency)
        self._name = name
        self._settings = settings
        self._observe = observe
        layout = Layout(settings.body, settings.attributes)
        resource = {"service.name": _SERVICE, **settings.resource}
        self._encoder = LogsEncoder(resource, (_SCOPE, __version__), layout)
        self._senders = [HttpSender(settings, url, settings.secrets(), clock) for url in settings.urls]
        self._failover = Failover(len(self._senders))
        oauth2 = settings.auth.oauth2 if settings.auth else None
        self._tokens = TokenSource(ClientCredentials(oauth2, settings, clock)) if oauth2 else None
        self._warning = ""
        self._warned = float("-inf")

    @property
    def limits(self) -> Limits:
        """Limits of one ``send``."""
        return self._limits

    async def open(self) -> None:
        """Read rotated credentials again."""
        if self._tokens is not None:
            await self._tokens.open()
        for sender in self._senders:
            await sender.open()

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Send all events in one request."""
        request = self._encoder.request(events)
        most = self._settings.max_request_bytes
        if len(request) > most:
            raise Refused(
                f"{TOO_LARGE}: a request of {len(request)} bytes, of at most {most}", too_large=True
            )
        with self._failover.attempt() as target:
            answer, secrets = await self._post(target, request, events)
            return self._receipt(target, answer, secrets, events)

    async def close(self) -> None:
        """Close all connections."""
        if self._tokens is not None:
            await self._tokens.close()
        for sender in self._senders:
            await sender.close()

    async def check(self) -> str:
        """Send each URL a request without log records, which a collector accepts by the specification."""
        return await check_each(self._check(target) for target in range(len(self._senders)))

    async def _check(self, target: int) -> str:
        reached = await self._senders[target].probe()
        try:
            answer, secrets = await self._post(target, b"", ())
            self._receipt(target, answer, secrets, ())
        except Refused as error:
            return (
                f"{reached}; it refused a request without records, so nothing else was tested: {error.reason}"
            )
        return f"{reached}; it accepts requests"

    async def _post(
        self, target: int, request: bytes, events: Sequence[Event]
    ) -> tuple[Response, Sequence[str]]:
        """Post *request*; return the answer, which is a 2xx, and the texts that no error may show."""
        sender = self._senders[target]
        token = await self._tokens.get() if self._tokens else None
        credentials = self._credentials(token)
        secrets = [*header_secrets(credentials), *(one.reveal() for one in self._settings.secrets())]
        body, encoding = sender.compressed(request) if request else (request, {})
        headers = {"content-type": _PROTOBUF, **encoding, **credentials}
        answer = await sender.post(body, headers, url=endpoint(self._settings.urls[target].reveal()))
        error = self._error(sender, answer, secrets, events)
        if self._tokens is not None and token is not None:
            if error is None:
                self._tokens.accepted(token)
            elif answer.status == _UNAUTHORIZED and self._tokens.refused(token):
                origin = self._settings.urls[target].origin
                raise Retryable(f"{origin} rejects the access token; fetching a new one")
        if error is not None:
            raise error
        return answer, secrets

    def _error(
        self, sender: HttpSender, answer: Response, secrets: Sequence[str], events: Sequence[Event]
    ) -> DeliveryError | None:
        if answer.ok:
            return None
        message = read_status(answer.body)
        shown = answer if message is None else replace(answer, body=message.encode())
        if answer.status == _UNSUPPORTED:
            reason = sender.describe(answer, sender.safe_excerpt(shown, secrets, events))
            return Hold(f"{reason}; this URL does not take OTLP as protobuf: check the URL")
        return sender.classify(shown, secrets, events)

    def _receipt(
        self, target: int, answer: Response, secrets: Sequence[str], events: Sequence[Event]
    ) -> Receipt:
        """What a 2xx says of *events*."""
        sender, size = self._senders[target], len(events)
        try:
            response = read_response(answer.body, answer.headers.get("content-type", ""))
        except ValueError as error:
            shown = sender.safe_excerpt(answer, secrets, events)
            reason = sender.describe(answer, f"{shown} ({error})" if shown else str(error))
            raise Hold(
                f"{reason}; this is no answer of an OTLP collector: check the URL and proxies"
            ) from None
        message = excerpt(response.message.encode(), secrets, events)
        if not response.rejected:
            self._warn(message)
            return Receipt()
        reason = sender.describe(answer, message or "no reason given")
        if response.rejected >= size:
            # All of them: each is known to be refused, and none was taken.
            return Receipt(rejected=dict.fromkeys(range(size), reason))
        return Receipt(unnamed=response.rejected, unnamed_reason=reason)

    def _warn(self, message: str) -> None:
        """Report what a collector that accepted everything has to say."""
        now = asyncio.get_running_loop().time()
        if message and (message != self._warning or now - self._warned >= _REMIND):
            self._warning, self._warned = message, now
            self._observe(OutputWarning(self._name, f"the collector accepts events and warns: {message}"))

    def _credentials(self, token: AccessToken | None) -> dict[str, str]:
        headers = {name.lower(): value.reveal() for name, value in self._settings.headers.items()}
        if token is not None:
            return {**headers, "authorization": f"Bearer {token.text}"}
        return headers | (self._settings.auth.headers() if self._settings.auth else {})


def endpoint(url: str) -> str:
    """The URL for logs: *url* itself if its path ends with ``/logs``, else below it, as exporters do.

    https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if not path.endswith("/logs"):
        path += _PATH
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))
