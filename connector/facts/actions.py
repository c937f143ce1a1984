"""Facts about response actions: requests, changes of state and refusals."""

from __future__ import annotations

from typing import ClassVar

from connector.facts.base import Fact, Level, fact


@fact
class ActionsStarted(Fact):
    """Response actions are available to *callers* callers, at *url* (empty: only to the command line)."""

    event: ClassVar[str] = "actions_started"
    level: ClassVar[Level] = "info"

    url: str
    callers: int


@fact
class ActionStateChanged(Fact):
    """A response action entered *state*; *seconds* have passed since it was requested."""

    event: ClassVar[str] = "action_state_changed"
    level: ClassVar[Level] = "info"

    id: str
    action: str
    account: str
    caller: str
    state: str
    seconds: float


@fact
class ActionSent(Fact):
    """A request of a response action is about to leave, for *targets* messages or senders."""

    event: ClassVar[str] = "action_sent"

    id: str
    action: str
    account: str
    targets: int


@fact
class ActionAnswered(Fact):
    """A request of a response action ended; *outcome* is `answered`, `unknown`, `refused` or `not_sent`."""

    event: ClassVar[str] = "action_answered"

    id: str
    action: str
    account: str
    outcome: str


@fact
class ActionLookedUp(Fact):
    """The API was read to find out what became of a request; *targets* are still unknown."""

    event: ClassVar[str] = "action_looked_up"
    level: ClassVar[Level] = "info"

    id: str
    action: str
    account: str
    targets: int


@fact
class ActionPostponed(Fact):
    """A response action cannot go on now and is tried again after *after* seconds."""

    event: ClassVar[str] = "action_postponed"
    level: ClassVar[Level] = "warning"

    id: str
    action: str
    account: str
    reason: str
    after: float


@fact
class CallRefused(Fact):
    """A call to the API for response actions was refused; *status* is the HTTP status.

    *caller* is empty where none was recognised.
    """

    event: ClassVar[str] = "call_refused"
    level: ClassVar[Level] = "warning"

    caller: str
    status: int
    reason: str


@fact
class OpenActionsCounted(Fact):
    """Response actions that have not ended: how many await approval, are unknown, or are anything else."""

    event: ClassVar[str] = "open_actions_counted"

    awaiting_approval: int
    unknown: int
    others: int
