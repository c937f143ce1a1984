"""Output ``sentinel``: settings and class; rows of a table by the Logs Ingestion API.

Source: learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import orjson
from pydantic import Field, StringConstraints, model_validator

from connector.errors import DeliveryError, Hold, Retryable
from connector.formats.json import instant
from connector.interfaces import Clock, Observe
from connector.model import Event, Limits, Receipt
from connector.net.clock import utc_now
from connector.net.loopback import is_loopback
from connector.net.transport import Response
from connector.outputs.common import TOO_LARGE
from connector.outputs.sentinel.entra import EntraSettings
from connector.outputs.shared.answer_text import is_page
from connector.outputs.shared.http_client import HttpSender, SingleUrlSettings
from connector.outputs.shared.tokens import AccessToken, TokenSource

_REQUEST = 1_000_000
"""Most bytes of a request before compression; the service allows 1 MB."""
_AROUND = 100
"""Bytes for brackets, comma and TimeGenerated of an event, at most."""
_LIMITS = Limits(events=500, bytes=900_000, event_bytes=_REQUEST - _AROUND)
_TIME = b'{"TimeGenerated":'
_VERSION = "2023-01-01"
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404
_ROLE = (
    "assign the role Monitoring Metrics Publisher on the data collection rule; "
    "a new assignment takes up to 30 minutes"
)

RuleId = Annotated[str, StringConstraints(pattern="^dcr-[0-9a-f]{32}$")]
Stream = Annotated[str, StringConstraints(pattern="^(Custom|Microsoft)-[A-Za-z][A-Za-z0-9_-]*$")]


class SentinelSettings(SingleUrlSettings):
    """Sends rows to a data collection rule of Azure Monitor, and so to a table of Microsoft Sentinel."""

    type: Literal["sentinel"] = "sentinel"
    rule: RuleId = Field(description="Immutable id of the data collection rule: dcr- and 32 hex digits.")
    stream: Stream = Field(
        default="Custom-CloudflareEmailSecurity_CL",
        description="Stream of the rule, Custom-NAME or Microsoft-NAME; by default that of the generated "
        "rule.",
    )
    auth: EntraSettings
    mapping: str = Field(
        default="asim", min_length=1, description="Name of the mapping that produces the rows."
    )
    gzip: bool = Field(default=True, description="Compress requests.")

    @model_validator(mode="after")
    def _the_endpoint_alone(self) -> SentinelSettings:
        if self.url.parts.path.strip("/") or self.url.parts.query:
            raise ValueError(
                "url is the endpoint alone, such as https://NAME.REGION-1.ingest.monitor.azure.com; "
                "the connector adds rule and stream"
            )
        if not self.url.secure and not is_loopback(self.url.host):
            raise ValueError("url must be https: requests carry an access token")
        if not self.auth.fits(self.url.host):
            raise ValueError(
                "url belongs to another cloud than auth.cloud; set auth.cloud to that of the endpoint"
            )
        if (self.batch.bytes or 0) > _REQUEST:
            raise ValueError("batch.bytes must be at most 1 MB: Azure refuses larger requests")
        return self

    @property
    def needs_json(self) -> bool:
        """Rows are JSON objects."""
        return True

    def build(self, name: str, observe: Observe) -> SentinelOutput:  # noqa: ARG002, delivery reports all facts
        """Build the output."""
        return SentinelOutput(self, utc_now)


class SentinelOutput:
    """Accepted means: Azure Monitor answered 2xx, and not with a page.

    It answers for a request as a whole, never for one row.

    Args:
        settings: of the output.
        clock: the wall clock, for assertions and for dates in ``Retry-After``.
    """

    def __init__(self, settings: SentinelSettings, clock: Clock) -> None:
        limits = settings.batch.applied(_LIMITS)
        self._limits = Limits(
            limits.events, limits.bytes, limits.event_bytes, settings.concurrency, limits.linger
        )
        self._settings = settings
        self._sender = HttpSender(settings, settings.url, settings.auth.secrets(), clock)
        self._tokens = TokenSource(settings.auth.grant(settings, clock))
        base = settings.url.reveal().rstrip("/")
        path = f"/dataCollectionRules/{settings.rule}/streams/{settings.stream}"
        self._target = f"{base}{path}?api-version={_VERSION}"

    @property
    def limits(self) -> Limits:
        """Limits of one ``send``."""
        return self._limits

    async def open(self) -> None:
        """Read rotated credentials again."""
        await self._tokens.open()
        await self._sender.open()

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Send all events in one request; those that no request could hold are rejected."""
        longest = self._limits.event_bytes or _REQUEST
        rejected = {n: TOO_LARGE for n, event in enumerate(events) if len(event.payload) > longest}
        sent = [event for n, event in enumerate(events) if n not in rejected]
        if sent:
            await self._post(sent)
        return Receipt(rejected=rejected)

    async def close(self) -> None:
        """Close all connections."""
        await self._tokens.close()
        await self._sender.close()

    async def check(self) -> str:
        """Connect and get a token; no row is sent, and no right to read the rule's columns is needed."""
        reached = await self._sender.probe()
        await self._tokens.get()
        return f"{reached}, got an access token"

    async def _post(self, events: Sequence[Event]) -> None:
        body, encoding = self._sender.compressed(b"[" + b",".join(map(_row, events)) + b"]")
        token = await self._tokens.get()
        headers = {
            "content-type": "application/json",
            **encoding,
            "authorization": f"Bearer {token.text}",
        }
        answer = await self._sender.post(body, headers, url=self._target)
        error = self._classify(answer, token, events)
        if error is not None:
            raise error

    def _classify(self, answer: Response, token: AccessToken, sent: Sequence[Event]) -> DeliveryError | None:
        error = self._sender.classify(answer, self._secrets(token), sent)
        if error is None and is_page(answer.body):
            shown = self._sender.safe_excerpt(answer, self._secrets(token), sent)
            return Hold(
                f"{self._sender.describe(answer, shown)}; this is a page, no answer of Azure Monitor: "
                "check url and proxies"
            )
        if error is None:
            self._tokens.accepted(token)
        elif answer.status == _UNAUTHORIZED and self._tokens.refused(token):
            return Retryable(f"{self._sender.origin} rejects the access token; fetching a new one")
        elif answer.status == _FORBIDDEN:
            return Hold(f"{error.reason}; {_ROLE}")
        elif answer.status == _NOT_FOUND:
            return Hold(f"{error.reason}, rule (the immutable id) and stream; all three belong together")
        return error

    def _secrets(self, token: AccessToken) -> Iterator[str]:
        yield token.text
        for secret in self._settings.auth.secrets():
            yield secret.reveal()


def _row(event: Event) -> bytes:
    """The payload of *event*, with the column that every table requires."""
    payload = event.payload
    if payload.startswith(_TIME):
        return payload
    if not payload.startswith(b"{"):
        raise Hold(
            "sentinel requires a mapping that produces JSON objects; change mapping, for example to asim"
        )
    if b'"TimeGenerated"' in payload and "TimeGenerated" in orjson.loads(payload):
        return payload
    rest = payload[1:]
    comma = b"" if rest.lstrip().startswith(b"}") else b","
    return _TIME + b'"' + instant(event.time).encode() + b'"' + comma + rest
