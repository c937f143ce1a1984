"""Output ``splunk_hec``: events to Splunk's HTTP Event Collector, with indexer acknowledgement."""

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
from connector.outputs.shared.failover import Failover, MultiUrlSettings
from connector.outputs.splunk_hec.channel import AckPolling, Channel, Channels, Unconfirmable
from connector.outputs.splunk_hec.codes import NO_DATA, read
from connector.outputs.splunk_hec.request import Endpoint, Metadata, Request, RequestEncoder
from connector.quantities import Duration
from connector.secret import Secret

# Payload only: envelopes add about 200 bytes to each event, and all together shall stay under 1 MB.
_LIMITS = Limits(events=500, bytes=900_000)
_ADVICE = "accepted now means received, not indexed; turn it on for the token, or write ack: off"
_NOT_FOUND = 404

IndexName = Annotated[str, StringConstraints(min_length=1)]
FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.:-]*$")]


class SplunkHecSettings(MultiUrlSettings):
    """Posts events to Splunk."""

    type: Literal["splunk_hec"] = "splunk_hec"
    token: Secret = Field(description="Token of the HTTP Event Collector.")
    index: str | None = Field(default=None, min_length=1, description="Index; by default the token's own.")
    indexes: dict[str, IndexName] = Field(
        default_factory=dict,
        description="Indexes by event code, such as email.malicious*: mail_alerts; the first that fits wins "
        "over index.",
    )
    source: str = Field(
        default="cloudflare:email_security", min_length=1, description="Source of all events."
    )
    sourcetype: str = Field(
        default="cloudflare:email:security", min_length=1, description="Source type of all events."
    )
    host: str | None = Field(
        default=None, min_length=1, description="Host of all events; by default this machine's name."
    )
    fields: dict[FieldName, str] = Field(
        default_factory=dict, description="Further indexed fields, the same for all events."
    )
    endpoint: Endpoint = Field(
        default="auto",
        description="event sends envelopes, raw sends lines; auto sends JSON as event and text as raw.",
    )
    ack: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Wait until a batch is indexed: on insists, auto waits where the token allows it.",
    )
    ack_timeout: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="A batch that is not indexed within this is sent again.",
    )
    ack_pending: int = Field(
        default=8, ge=1, le=32, description="Batches that may wait for being indexed at once."
    )

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> SplunkHecSettings:
        if self.endpoint == "raw" and self.fields:
            raise ValueError("fields have no effect with endpoint: raw")
        if self.endpoint == "raw" and self.indexes:
            raise ValueError("indexes have no effect with endpoint: raw; an index there is that of a request")
        if self.ack == "off" and not {"ack_timeout", "ack_pending"}.isdisjoint(self.model_fields_set):
            raise ValueError("ack_timeout and ack_pending have no effect with ack: off")
        return self

    def build(self, name: str, observe: Observe) -> SplunkHecOutput:
        """Make the output."""
        return SplunkHecOutput(name, self, observe, utc_now)


class SplunkHecOutput:
    """Accepted means: indexed, where indexer acknowledgement is on for the token; else received.

    Requests leave one after the other (``concurrency``), while several batches wait for being indexed.

    Args:
        name: the output's name.
        settings: where and how.
        observe: takes facts.
        clock: the wall clock, for dates in ``Retry-After``.
        pace: how often to ask whether a batch is indexed.
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
        lanes = max(settings.concurrency, waiting)
        self._limits = Limits(limits.events, limits.bytes, None, lanes, limits.linger)
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
        self._encoder = RequestEncoder(metadata, settings.endpoint)
        self._channels = Channels(settings, self._headers, clock)
        self._failover = Failover(len(settings.urls))
        self._posting = asyncio.Semaphore(settings.concurrency)
        self._fault: Retryable | Hold | None = None
        self._silent = False
        self._weak = ""

    @property
    def limits(self) -> Limits:
        """What one ``send`` may hold."""
        return self._limits

    async def open(self) -> None:
        """Read rotated credentials again; with ``ack: on`` make sure that the token has it."""
        self._settings.token.refresh()
        if self._settings.proxy is not None:
            self._settings.proxy.refresh()
        for url in self._settings.urls:
            url.refresh()
        await self._channels.close()
        self._silent = False
        if self._settings.ack == "on":
            with self._failover.attempt() as target:
                await self._insist(target)

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Post all events in one request, and wait until they are indexed where that can be known."""
        request = self._encoder.request(events)
        before = self._fault
        async with self._posting:
            if self._fault is not before:
                raise _again(self._fault)
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
        """Ask each collector whether it is well and knows the token; no event is sent."""
        found = [await self._check(target) for target in range(len(self._settings.urls))]
        return "; ".join(found)

    async def _post(
        self, channel: Channel, request: Request, events: Sequence[Event]
    ) -> tuple[int | None, bool]:
        """Post a batch; return the number to ask for, where there is one, and whether to slow down."""
        # The raw endpoint of older versions wants a channel in any case.
        named = self._settings.ack != "off" or request.path.startswith("/raw")
        answer = await channel.post(request.path, request.body, named=named, compressed=True)
        verdict = channel.classify(answer, len(events), routed=self._encoder.routed(events))
        if isinstance(verdict, DeliveryError):
            raise verdict
        return (read(answer.body).ack_id if self._settings.ack != "off" else None), verdict

    async def _confirm(self, channel: Channel, number: int | None) -> None:
        try:
            if self._settings.ack != "off" and not self._silent:
                await self._await_index(channel, number)
        except BaseException as error:
            # What was asked for in vain must not be mistaken for what this channel carries next.
            await self._channels.release(channel, reusable=False)
            if isinstance(error, Retryable):
                self._failover.advance(channel.target)
            raise
        await self._channels.release(channel, reusable=True)

    async def _await_index(self, channel: Channel, number: int | None) -> None:
        if number is None:
            self._weaken(channel.off())
            return
        try:
            await channel.indexed(number, self._polling, self._settings.ack_timeout.total_seconds())
        except Unconfirmable as error:
            self._weaken(error)
            self._silent = True
        else:
            self._weak = ""

    def _weaken(self, error: Unconfirmable) -> None:
        """Go on without confirmation where that is allowed, and say so once."""
        if self._settings.ack == "on":
            raise Hold(f"{error.reason}; ack: on insists on it: turn it on for the token, or set ack: auto")
        if error.reason != self._weak:
            self._weak = error.reason
            self._observe(AcknowledgementDowngraded(self._name, f"{error.reason}; {_ADVICE}"))

    async def _insist(self, target: int) -> None:
        """Ask for a batch that never was: the answer tells whether there is acknowledgement at all."""
        channel = self._channels.acquire(target)
        try:
            await channel.ask(0)
        except Unconfirmable as error:
            # Any other complaint may be about the channel, which carried nothing yet.
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
            # A request without events goes as far as the token, and no further.
            answer = await channel.post("/event", b"", named=self._settings.ack != "off")
            verdict = channel.classify(answer)
            if isinstance(verdict, DeliveryError) and read(answer.body).code != NO_DATA:
                raise verdict
            return f"{channel.origin} takes the token; {await self._promise(channel)}"
        finally:
            await self._channels.release(channel, reusable=False)

    async def _promise(self, channel: Channel) -> str:
        """What acceptance will mean."""
        if self._settings.ack == "off":
            return "accepted means received, not indexed"
        try:
            await channel.ask(0)
        except Unconfirmable as error:
            if self._settings.ack == "on":
                self._weaken(error)
            why = "is off for the token" if error.off else f"gives no answer ({error.reason})"
            return f"indexer acknowledgement {why}: accepted means received, not indexed"
        return "accepted means indexed"

    def _headers(self) -> Mapping[str, str]:
        return {"authorization": f"Splunk {self._settings.token.reveal()}"}


def _again(fault: Retryable | Hold | None) -> Retryable | Hold:
    """What a request waiting in line makes of the failure before it: to try would only take time."""
    if isinstance(fault, Retryable):
        return Retryable(fault.reason, fault.after)
    return Hold(fault.reason if fault else "")
