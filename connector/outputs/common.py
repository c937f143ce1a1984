"""The settings that every output has, and the contract of the class that holds them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from connector.formats.escaping import Escape
from connector.interfaces import Observe, Output, Start
from connector.model import Backlog, JsonObject, Limits, WhenFull
from connector.quantities import Duration, Size


@dataclass(frozen=True, slots=True)
class Template:
    """Where in an output's settings a template of one event stands, and how text of mails is put into it."""

    key: str
    escape: Escape


@runtime_checkable
class Templated(Protocol):
    """Settings of an output that may have a template."""

    def template(self) -> Template | None:
        """Where it stands; ``None``: the payload is the mapped document."""
        ...


TOO_LARGE = "too_large"
"""The reason in a receipt for an event that is larger than the output can ever send."""


class BatchSettings(BaseModel):
    """How many events leave together; what is not given is the output type's own choice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: int | None = Field(default=None, ge=1, le=100_000, description="Most events in one send.")
    bytes: Size | None = Field(default=None, ge=1024, le=100 << 20, description="Most payload in one send.")
    linger: Duration | None = Field(
        default=None,
        ge=timedelta(0),
        le=timedelta(minutes=5),
        description="How long a batch waits for more events before it leaves.",
    )

    def applied(self, limits: Limits) -> Limits:
        """Return *limits* with what is set here."""
        return replace(
            limits,
            events=limits.events if self.events is None else self.events,
            bytes=limits.bytes if self.bytes is None else self.bytes,
            linger=limits.linger if self.linger is None else self.linger.total_seconds(),
        )


class BacklogSettings(BaseModel):
    """How much may wait for an output that does not take events, and what happens then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: Size = Field(default=1 << 30, ge=1 << 20, description="Most that may wait, in the journal.")
    when_full: WhenFull = Field(
        default=WhenFull.PAUSE,
        description="pause stops collecting until there is room; skip drops this output's oldest events "
        "and records the gap.",
    )

    def value(self, max_dead_letters: int) -> Backlog:
        """Return it as the journal takes it, with the most dead letters beside it."""
        return Backlog(self.max_bytes, self.when_full, max_dead_letters)


class DeadLetterSettings(BaseModel):
    """How many revisions that can never be delivered are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Dead letters to keep. At that the output holds, until a person replays or purges some.",
    )


class OutputSettings(BaseModel):
    """What can be set for every output. A type adds its own fields, ``type`` among them, and ``build``.

    A subclass MUST have a field ``type`` whose annotation is a ``Literal`` of the type's one name, MUST
    keep ``frozen`` and ``extra="forbid"``, MUST hold credentials in ``connector.secret.Secret``, and MUST
    NOT accept a setting that has no effect.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    mapping: str = Field(default="ecs", min_length=1, description="Name of the mapping that shapes events.")
    when: JsonObject | None = Field(default=None, description="Deliver only records that match this.")
    redact: dict[str, Literal["drop", "hash"]] | None = Field(
        default=None,
        description="Record fields that this output must not get, by name: drop, or hash with redaction.key.",
    )
    emit: Literal["all", "first"] = Field(
        default="all", description="first leaves out later changes of a record already delivered."
    )
    max_age: Duration | None = Field(
        default=None, gt=timedelta(0), description="Leave out records older than this, for pagers and chats."
    )
    heartbeat: Duration | None = Field(
        default=None,
        ge=timedelta(seconds=10),
        le=timedelta(days=1),
        description="Send a status event this often, so that a SIEM can alarm when none arrives.",
    )
    start: Start = Field(
        default="head",
        alias="from",
        description="Where a new output begins in what the journal still holds: head takes what comes "
        "from now on, beginning everything.",
    )
    batch: BatchSettings = BatchSettings()
    backlog: BacklogSettings = BacklogSettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    timeout: Duration = Field(
        default=timedelta(seconds=30),
        gt=timedelta(0),
        le=timedelta(minutes=10),
        description="The most that one send may take.",
    )

    def journal_limits(self) -> Backlog:
        """Return what the journal may keep for it."""
        return self.backlog.value(self.dead_letters.max)

    @abstractmethod
    def build(self, name: str, observe: Observe) -> Output:
        """Make the output called *name*. MUST NOT connect, read files or block: that is ``open``'s part.

        *observe* takes the output's facts; it MUST be called on the main loop only.
        """
        ...
