"""Output ``splunk_hec``: settings and class; Splunk's HTTP Event Collector with indexer acknowledgement."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.facts import AcknowledgementDowngraded
from connector.interfaces import Clock, Observe
from connector.model import Event, Limits, Receipt
from connector.net.clock import utc_now
from connector.outputs.shared.failover import Failover, MultiUrlSettings, check_each
from connector.outputs.splunk_hec.channel import AckPolling, Channel, Channels, Unconfirmable
from connector.outputs.splunk_hec.codes import NO_DATA, read
from connector.outputs.splunk_hec.request import JSON, Endpoint, HecRequest, Metadata, RequestEncoder
from connector.quantity_fields import Duration
from connector.secret import Secret

# Payload only: envelopes add about 200 bytes per event, and a request should stay below Splunk's 1 MB.
_LIMITS = Limits(events=500, bytes=900_000)
_ADVICE = "accepted now means received, not indexed; turn it on for the token, or set ack: off"
_NOT_FOUND = 404

IndexName = Annotated[str, StringConstraints(min_length=1)]
FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.:-]*$")]


class SplunkHecSettings(MultiUrlSettings):
    """Posts events to Splunk's HTTP Event Collector."""

    type: Literal["splunk_hec"] = "splunk_hec"
    token: Secret = Field(description="HEC token.")
    index: str | None = Field(default=None, min_length=1, description="Index; by default that of the token.")
    indexes: dict[str, IndexName] = Field(
        default_factory=dict,
        description="Indexes by event code, such as email.malicious*: mail_alerts; the first match overrides "
        "index.",
    )
    source: str = Field(
        default="cloudflare:email_security", min_length=1, description="Source of all events."
    )
    sourcetype: str | None = Field(
        default=None,
        min_length=1,
        description="Source type of all events; by default that of the add-on: cloudflare:email:security, "
        "with :cef appended for CEF.",
    )
    host: str | None = Field(
        default=None, min_length=1, description="Host of all events; by default this machine's host name."
    )
    fields: dict[FieldName, str] = Field(
        default_factory=dict, description="Additional indexed fields, the same for all events."
    )
    endpoint: Endpoint = Field(
        default="auto",
        description="event (and auto) sends each event in an envelope with its time; raw sends lines.",
    )
    ack: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Wait until a batch is indexed: on requires it, auto waits if the token allows it.",
    )
    ack_timeout: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="A batch that is not indexed within this time is sent again.",
    )
    ack_pending: int = Field(default=8, ge=1, le=32, description="Maximum batches awaiting acknowledgement.")

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> SplunkHecSettings:
        if self.endpoint == "raw" and self.fields:
            raise ValueError("fields has no effect with endpoint: raw")
        if self.endpoint == "raw" and self.indexes:
            raise ValueError("indexes has no effect with endpoint: raw, where the index applies per request")
        if self.ack == "off" and not {"ack_timeout", "ack_pending"}.isdisjoint(self.model_fields_set):
            raise ValueError("ack_timeout and ack_pending have no effect with ack: off")
        return self

    def build(self, name: str, observe: Observe) -> SplunkHecOutput:
        """Build the output."""
        return SplunkHecOutput(name, self, observe, utc_now)


class SplunkHecOutput:
    """Accepted means: indexed, where indexer acknowledgement is on for the token; else received.

    ``concurrency`` bounds the requests, ``ack_pending`` the batches that await acknowledgement.

    Args:
        name: the output's name.
        settings: of the output.
        observe: receives facts.
        clock: the wall clock, for dates in ``Retry-After``.
        polling: how often to query whether a batch is indexed.
    """

    def __init__(
        self,
        name: str,
        settings: SplunkHecSettings,
        observe: Observe,
        clock: Clock,
        polling: AckPolling | None = None,
    ) -> None:
        limits = settings.batch.applied(_LIMITS)
        waiting = settings.concurrency if settings.ack == "off" else settings.ack_pending
        sends = max(settings.concurrency, waiting)
        self._limits = Limits(limits.events, limits.bytes, None, sends, limits.linger)
        self._name = name
        self._settings = settings
        self._observe = observe
        self._polling = polling or AckPolling()
        metadata = Metadata(
            settings.host or socket.gethostname(),
            settings.source,
            settings.sourcetype,
            settings.index,
            settings.fields,
            settings.indexes,
        )
        self._encoder = RequestEncoder(metadata, settings.endpoint, settings.compressed)
        self._channels = Channels(settings, self._headers, clock)
        self._failover = Failover(len(settings.urls))
        self._posting = asyncio.Semaphore(settings.concurrency)
        self._fault: Retryable | Hold | None = None
        self._ack_unavailable = False
        self._weakened_reason = ""

    @property
    def limits(self) -> Limits:
        """Limits of one ``send``."""
        return self._limits

    async def open(self) -> None:
        """Read rotated credentials again; with ``ack: on``, check that the token has acknowledgement."""
        self._settings.token.refresh()
        if self._settings.proxy is not None:
            self._settings.proxy.refresh()
        for url in self._settings.urls:
            url.refresh()
        await self._channels.close()
        self._ack_unavailable = False
        if self._settings.ack == "on":
            with self._failover.attempt() as target:
                await self._require_ack(target)

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Post all events in one request, and wait until they are indexed if the token allows it."""
        request = self._encoder.request(events)
        fault_before = self._fault
        async with self._posting:
            if self._fault is not fault_before:
                raise _repeated(self._fault)
            with self._failover.attempt() as target:
                channel = self._channels.acquire(target)
                try:
                    number, slow = await self._post(channel, request, events)
                except BaseException as error:
                    self._fault = error if isinstance(error, (Retryable, Hold)) else self._fault
                    await self._channels.release(channel, reusable=isinstance(error, Refused))
                    raise
        await self._confirm(channel, number)
        return Receipt(busy=slow)

    async def close(self) -> None:
        """Close all connections."""
        await self._channels.close()

    async def check(self) -> str:
        """Check each collector's health and whether it accepts the token; no event is sent."""
        return await check_each(self._check(target) for target in range(len(self._settings.urls)))

    async def _post(
        self, channel: Channel, request: HecRequest, events: Sequence[Event]
    ) -> tuple[int | None, bool]:
        """Post a batch; return its ackId, if any, and whether to slow down."""
        # The raw endpoint of older versions requires a channel in any case.
        named = self._settings.ack != "off" or request.path.startswith("/raw")
        answer = await channel.post(request, named=named)
        verdict = channel.classify(answer, events, routed=self._encoder.routed(events))
        if isinstance(verdict, DeliveryError):
            raise verdict
        return (read(answer.body).ack_id if self._settings.ack != "off" else None), verdict

    async def _confirm(self, channel: Channel, ack_id: int | None) -> None:
        try:
            if self._settings.ack != "off" and not self._ack_unavailable:
                await self._wait_indexed(channel, ack_id)
        except BaseException as error:
            # A late acknowledgement must not be mistaken for one of this channel's next batch.
            await self._channels.release(channel, reusable=False)
            if isinstance(error, Retryable):
                self._failover.advance(channel.target)
            raise
        await self._channels.release(channel, reusable=True)

    async def _wait_indexed(self, channel: Channel, ack_id: int | None) -> None:
        if ack_id is None:
            self._weaken(channel.ack_disabled())
            return
        try:
            await channel.wait_indexed(ack_id, self._polling, self._settings.ack_timeout.total_seconds())
        except Unconfirmable as error:
            self._weaken(error)
            self._ack_unavailable = True
        else:
            self._weakened_reason = ""

    def _weaken(self, error: Unconfirmable) -> None:
        """Continue without acknowledgement if that is allowed, and report it once."""
        if self._settings.ack == "on":
            raise Hold(f"{error.reason}, but ack: on requires it; turn it on for the token, or set ack: auto")
        if error.reason != self._weakened_reason:
            self._weakened_reason = error.reason
            self._observe(AcknowledgementDowngraded(self._name, f"{error.reason}; {_ADVICE}"))

    async def _require_ack(self, target: int) -> None:
        """Query a batch that does not exist: the response says whether acknowledgement is on."""
        channel = self._channels.acquire(target)
        try:
            await channel.is_indexed(0)
        except Unconfirmable as error:
            # Any other error may be about the channel, which carried nothing yet.
            if error.off:
                self._weaken(error)
        finally:
            await self._channels.release(channel, reusable=False)

    async def _check(self, target: int) -> str:
        channel = self._channels.acquire(target)
        try:
            health = await channel.health()
            verdict = channel.classify(health)
            if isinstance(verdict, DeliveryError) and health.status != _NOT_FOUND:
                raise verdict
            # A request without events is refused only after the token was checked.
            answer = await channel.post(HecRequest("/event", b"", JSON), named=self._settings.ack != "off")
            verdict = channel.classify(answer)
            if isinstance(verdict, DeliveryError) and read(answer.body).code != NO_DATA:
                raise verdict
            return f"{channel.origin} accepts the token; {await self._acceptance(channel)}"
        finally:
            await self._channels.release(channel, reusable=False)

    async def _acceptance(self, channel: Channel) -> str:
        """What "accepted" will mean."""
        if self._settings.ack == "off":
            return "accepted means received, not indexed"
        try:
            await channel.is_indexed(0)
        except Unconfirmable as error:
            if self._settings.ack == "on":
                self._weaken(error)
            state = "is off for the token" if error.off else f"does not respond ({error.reason})"
            return f"indexer acknowledgement {state}: accepted means received, not indexed"
        return "accepted means indexed"

    def _headers(self) -> Mapping[str, str]:
        return {"authorization": f"Splunk {self._settings.token.reveal()}"}


def _repeated(fault: Retryable | Hold | None) -> Retryable | Hold:
    """The failure of the previous request, for a request that waited behind it and would fail too."""
    if isinstance(fault, Retryable):
        return Retryable(fault.reason, fault.after)
    return Hold(fault.reason if fault else "")
