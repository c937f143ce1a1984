"""Request and response types of the simulator, independent of any web framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from connector.simulator.message import Message

Kind: TypeAlias = Literal[
    "first", "next", "poll", "record", "detections", "action_log", "trace", "verify", "unknown"
]
"""Kind of request: first page of a search, next page, poll of a deferred search, and so on."""

JSON_TYPE = "application/json"
HTML_TYPE = "text/html; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request. Header names are lower case; *origin* is scheme, host and port as the client sees them."""

    kind: Kind
    method: str
    path: str
    account: str | None
    record: str | None
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    origin: str

    @property
    def cursor(self) -> str | None:
        """The ``cursor`` parameter, if any."""
        return next((value for name, value in self.query if name == "cursor" and value), None)


@dataclass(slots=True)
class ApiReply:
    """A response. *served* lists the records in the body, each with the number of its version."""

    status: int
    body: bytes
    type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    served: list[tuple[Message, int]] = field(default_factory=list)
