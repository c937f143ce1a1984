"""The result of an HTTP exchange: a ``Response`` or a ``TransportError``. No text contains a credential."""

from __future__ import annotations

from collections.abc import Mapping

from connector.errors import ConnectorError
from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class Response:
    """One complete HTTP response. Header names are lower-case; the body is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004


class TransportError(ConnectorError):
    """There is no complete response. *reason* names host and port, never a credential."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TimedOut(TransportError):
    """Connected, but no complete response in time."""


class Unreachable(TransportError):
    """No connection: name resolution, refused, no route, connect timeout, or refused by the proxy."""


class ProxyDenied(Unreachable):
    """The proxy does not accept the credentials, or requires some: an operator has to act."""


class Untrusted(TransportError):
    """A certificate was not accepted, or there is no common TLS version: an operator has to act."""


class TooLarge(TransportError):
    """The response is larger than allowed, compressed or decompressed."""


class Unsendable(TransportError):
    """The request cannot be written as HTTP: an invalid URL, or a header with a line break."""
