"""The settings that every output has, and the contract of settings classes. Stable for plugins."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from datetime import timedelta
from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from connector.formats.escaping import Escape
from connector.interfaces import Observe, Output, Start
from connector.model import Backlog, JsonObject, Limits, WhenFull
from connector.quantity_fields import Duration, Size
from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class TemplateOption:
    """The settings key of an output's event template, and how text of messages is escaped in it.

    *requests*: the key holds a list of requests, each with a condition, a path and a body.
    """

    key: str
    escape: Escape
    requests: bool = False


@runtime_checkable
class Templated(Protocol):
    """Settings of an output that may have a template."""

    def template(self) -> TemplateOption | None:
        """The template; ``None`` if the payload is the mapped document."""
        ...


TOO_LARGE = "too_large"
"""Reason in a receipt: the event is larger than the output can ever send."""


class BatchSettings(BaseModel):
    """Batching. Values that are not set are the output type's defaults."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    events: int | None = Field(default=None, ge=1, le=100_000, description="Maximum events per send.")
    bytes: Size | None = Field(default=None, ge=1024, le=100 << 20, description="Maximum payload per send.")
    linger: Duration | None = Field(
        default=None,
        ge=timedelta(0),
        le=timedelta(minutes=5),
        description="How long a batch waits for more events before it is sent.",
    )

    def applied(self, limits: Limits) -> Limits:
        """Return *limits* with the values set here."""
        return replace(
            limits,
            events=limits.events if self.events is None else self.events,
            bytes=limits.bytes if self.bytes is None else self.bytes,
            linger=limits.linger if self.linger is None else self.linger.total_seconds(),
        )


class BacklogSettings(BaseModel):
    """Backpressure: how much may queue for an output that does not accept events, and what happens then."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    max_bytes: Size = Field(
        default=1 << 30, ge=1 << 20, description="Maximum undelivered data in the journal."
    )
    when_full: WhenFull = Field(
        default=WhenFull.PAUSE,
        description="pause stops collecting until there is room; skip drops this output's oldest events "
        "and records the gap.",
    )

    def value(self, max_dead_letters: int) -> Backlog:
        """Return the limits for the journal, with the maximum number of dead letters."""
        return Backlog(self.max_bytes, self.when_full, max_dead_letters)


class DeadLetterSettings(BaseModel):
    """How many undeliverable revisions are kept as dead letters."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    max: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Maximum dead letters. The output then holds until some are replayed or purged.",
    )


class ThrottleSettings(BaseModel):
    """The most events in a minute; what is beyond is summed up in a digest."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    per_minute: int = Field(
        ge=1,
        le=10_000,
        description="Maximum events per minute; one digest per minute stands for the rest.",
    )


class GroupBySettings(BaseModel):
    """What makes one alert of many events."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    fields: tuple[str, ...] = Field(
        min_length=1,
        max_length=8,
        description="Record fields or $names of the mapping. Events with equal values are one "
        "group: its first event is sent at once, a digest stands for the others.",
    )
    within: Duration = Field(
        ge=timedelta(seconds=10),
        le=timedelta(days=1),
        description="How long after its first event a group takes in others; then its digest is sent.",
    )


class OutputSettings(BaseModel):
    """Settings of every output. A type adds its own fields, ``type`` among them, and ``build``.

    A subclass MUST have a field ``type`` whose annotation is a ``Literal`` of the type's one name, MUST
    keep ``frozen`` and ``extra="forbid"``, MUST hold credentials in ``connector.secret.Secret``, and MUST
    NOT accept a setting that has no effect.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    mapping: str = Field(
        default="ecs", min_length=1, description="Name of the mapping that produces the events."
    )
    when: JsonObject | None = Field(default=None, description="Deliver only records that match this.")
    redact: dict[str, Literal["drop", "hash"]] | None = Field(
        default=None,
        description="Record fields to withhold from this output, by name: drop, or hash with redaction.key.",
    )
    emit: Literal["all", "first"] = Field(
        default="all", description="first omits later changes of a record that was already delivered."
    )
    max_age: Duration | None = Field(
        default=None, gt=timedelta(0), description="Omit records older than this; for pagers and chats."
    )
    throttle: ThrottleSettings | None = Field(
        default=None, description="Limit events per minute and sum up the rest; for pagers and chats."
    )
    group_by: GroupBySettings | None = Field(
        default=None, description="Send one alert per campaign and sum up the rest; for pagers and chats."
    )
    heartbeat: Duration | None = Field(
        default=None,
        ge=timedelta(seconds=10),
        le=timedelta(days=1),
        description="Send a status event at this interval, so that a SIEM can alert when none arrives.",
    )
    actions: bool = Field(default=False, description="Deliver the audit events of response actions too.")
    start: Start = Field(
        default="head",
        alias="from",
        description="Where a new output starts in the journal: head delivers only new revisions, beginning "
        "everything that the journal still holds.",
    )
    batch: BatchSettings = BatchSettings()
    backlog: BacklogSettings = BacklogSettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    timeout: Duration = Field(
        default=timedelta(seconds=30),
        gt=timedelta(0),
        le=timedelta(minutes=10),
        description="Maximum duration of one send.",
    )

    @property
    def needs_json(self) -> bool:
        """Whether the output takes JSON objects only; a mapping that writes text is refused at start then."""
        return False

    @property
    def required_format(self) -> str | None:
        """The one format that the mapping must have, such as ``ocsf``; ``None`` for any."""
        return None

    def journal_limits(self) -> Backlog:
        """Return what the journal may keep for this output."""
        return self.backlog.value(self.dead_letters.max)

    @abstractmethod
    def build(self, name: str, observe: Observe) -> Output:
        """Build the output called *name*. MUST NOT connect, read files or block; ``open`` does that.

        *observe* receives the output's facts; it MUST be called on the main loop only.
        """
        ...


class LocalSettings(OutputSettings):
    """Settings of an output whose destination is on one host, such as a file."""

    pinned_to: str | None = Field(
        default=None,
        min_length=1,
        description="Host name of the one replica that writes here; required with state.postgres.",
    )
