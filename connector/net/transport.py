"""What an HTTP exchange gives, or why it gave nothing. No text here ever holds a credential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connector.errors import ConnectorError


@dataclass(frozen=True, slots=True)
class Response:
    """One complete answer. Header names are lower-case; the body is unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the status is any 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004


class TransportError(ConnectorError):
    """There is no complete answer. *reason* names host and port, never a credential."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TimedOut(TransportError):
    """There was a connection, but no complete answer in time."""


class Unreachable(TransportError):
    """No connection: name resolution, refused, no route, nobody answers, or the proxy would not connect."""


class Untrusted(TransportError):
    """A certificate is not accepted, or there is no common TLS version: a person has to look."""


class TooLarge(TransportError):
    """The answer is larger than allowed, as sent or unpacked."""


class Unsendable(TransportError):
    """The request cannot be written as HTTP: an impossible URL or a header with a line break in it."""
