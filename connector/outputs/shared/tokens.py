"""Access tokens for the requests of an output: fetched by a grant, kept, renewed before they expire."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import field
from typing import Protocol

import orjson

from connector.errors import DeliveryError, Hold, Retryable
from connector.model import JsonObject
from connector.net.transport import Response
from connector.outputs.shared.answer_text import excerpt
from connector.outputs.shared.http_client import HttpSender
from connector.values import dataclass

# Assumed lifetime of a token whose server does not say (expires_in is only RECOMMENDED), in seconds.
_LIFETIME = 300.0
# A token is renewed this long before it expires, in seconds, or when a fifth of its lifetime is left.
_MARGIN = 60.0
_SHARE = 0.2
"""A token is renewed when a fifth of its lifetime is left, or ``_MARGIN`` seconds if that is more."""

_FORBIDDEN_IN_A_HEADER = frozenset("\r\n\0")


class Grant(Protocol):
    """How one kind of credentials gets an access token."""

    @property
    def sender(self) -> HttpSender:
        """Sends the request; ``TokenSource`` opens and closes it."""
        ...

    @property
    def hint(self) -> str:
        """What to check when the token endpoint refuses."""
        ...

    def credentials(self) -> str:
        """A text that changes when the credentials do, so that a new token is fetched; it may be secret."""
        ...

    def traces(self) -> Iterable[str]:
        """Every secret that a request holds, in every form: a server may quote the request."""
        ...

    async def request(self) -> Response:
        """Ask for a token; return the response, whatever its status. Raises ``Hold`` or ``Retryable``."""
        ...


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token, when to renew it (loop time), and the credentials that it was issued for."""

    text: str = field(repr=False)
    renew_at: float
    credentials: str = field(repr=False)


class TokenSource:
    """Provides a valid token; at most one request to the token endpoint at a time."""

    def __init__(self, grant: Grant) -> None:
        self._grant = grant
        self._token: AccessToken | None = None
        self._proven: AccessToken | None = None
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Read rotated credentials again; a changed one gets a new token."""
        await self._grant.sender.open()

    async def get(self) -> AccessToken:
        """A valid token. Raises ``Hold`` or ``Retryable``."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            token = self._token
            credentials = self._grant.credentials()
            if token is None or now >= token.renew_at or token.credentials != credentials:
                answer = await self._grant.request()
                if not answer.ok:
                    raise self._error(answer)
                self._token = token = self._read(answer, now, credentials)
            return token

    def accepted(self, token: AccessToken) -> None:
        """Note that the collector accepted *token*."""
        self._proven = token

    def refused(self, token: AccessToken) -> bool:
        """Forget *token*, which the collector refused; return whether it had accepted it before.

        If so the token was revoked or expired early, and a new one should work.
        """
        if self._token is token:
            self._token = None
        return self._proven is token

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        await self._grant.sender.close()

    def _error(self, answer: Response) -> DeliveryError:
        """Retryable statuses are retried; any refusal is about the credentials, not about events."""
        sender = self._grant.sender
        reason = f"the token endpoint: {sender.describe(answer, _oauth_error(answer, self._grant.traces()))}"
        error = sender.error_for_status(answer, "")
        if isinstance(error, Retryable):
            return Retryable(reason, error.after)
        return Hold(f"{reason}; {self._grant.hint}")

    def _read(self, answer: Response, now: float, credentials: str) -> AccessToken:
        body = json_object(answer.body)
        text = body.get("access_token")
        if not isinstance(text, str) or not text or _FORBIDDEN_IN_A_HEADER.intersection(text):
            raise Hold(f"{self._grant.sender.origin} answered without an access_token; {self._grant.hint}")
        lifetime = _seconds(body.get("expires_in"))
        margin = max(_MARGIN, lifetime * _SHARE)
        return AccessToken(text, now + max(lifetime - margin, lifetime * 0.5), credentials)


def json_object(body: bytes) -> JsonObject:
    """The object in *body*; an empty one if there is none."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _seconds(value: object) -> float:
    """``expires_in``, which some servers send as text."""
    try:
        seconds = float(value) if isinstance(value, str | int | float) else 0.0
    except ValueError:
        seconds = 0.0
    return seconds if 0 < seconds < 10**7 else _LIFETIME


def _oauth_error(answer: Response, secrets: Iterable[str]) -> str:
    """The error as in RFC 6749, section 5.2; an excerpt of the body if it is none."""
    body = json_object(answer.body)
    words = [body[key] for key in ("error", "error_description") if isinstance(body.get(key), str)]
    return excerpt(": ".join(words).encode("utf-8", "replace") or answer.body, secrets)
