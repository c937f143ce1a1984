"""Request and response types of the simulator, independent of any web framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from connector.simulator.message import Message

Kind: TypeAlias = Literal[
    "first", "next", "poll", "record", "detections", "action_log", "trace", "preview", "raw",
    "move", "release", "submissions", "submit", "blocks", "block", "change_block", "unblock",
    "audit_logs", "verify", "unknown",
]  # fmt: skip
"""Kind of request: first page of a search, next page, poll of a deferred search, and so on."""

WRITES: Final[frozenset[Kind]] = frozenset({"move", "release", "submit", "block", "change_block", "unblock"})
"""Kinds of requests that change something; they need the permission Cloud Email Security: Write."""

JSON_TYPE = "application/json"
HTML_TYPE = "text/html; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class SimulatedRequest:
    """A request. Header names are lower case; *origin* is scheme, host and port as the client sees them.

    *content* is the body of a request that has one.
    """

    kind: Kind
    method: str
    path: str
    account: str | None
    record: str | None
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    origin: str
    content: bytes = b""

    @property
    def cursor(self) -> str | None:
        """The ``cursor`` parameter, if any."""
        return next((value for name, value in self.query if name == "cursor" and value), None)


@dataclass(frozen=True, slots=True)
class Effect:
    """A change that a request made.

    Args:
        at: when it takes effect, in microseconds.
        operation: ``move``, ``release``, ``submission``, ``block``, ``change_block`` or ``unblock``.
        target: id of the message or of the blocked sender.
        detail: what was requested.
    """

    at: int
    operation: str
    target: str
    detail: Mapping[str, object]


@dataclass(slots=True)
class ApiReply:
    """A response.

    *served* lists the records in the body, each with the number of its version, *effects* what it changed.
    """

    status: int
    body: bytes
    type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    served: list[tuple[Message, int]] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
