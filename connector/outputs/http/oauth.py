"""OAuth 2.0 client credentials grant (RFC 6749, section 4.4): fetching and renewing access tokens."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, quote_plus, urlencode

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from connector.errors import DeliveryError, Hold, Retryable
from connector.interfaces import Clock
from connector.model import JsonObject
from connector.net.tls import TlsOptions
from connector.net.transport import Response
from connector.outputs.shared.answer_text import excerpt
from connector.outputs.shared.http_client import HttpSender, HttpSettingsBase
from connector.outputs.shared.url import Url
from connector.secret import Secret

# Assumed lifetime of a token whose server does not say (expires_in is only RECOMMENDED), in seconds.
_LIFETIME = 300.0
# A token is renewed this long before it expires, in seconds, or when a fifth of its lifetime is left.
_MARGIN = 60.0
_SHARE = 0.2
"""A token is renewed when a fifth of its lifetime is left, or ``_MARGIN`` seconds if that is more."""

_FORBIDDEN_IN_A_HEADER = frozenset("\r\n\0")


class OAuth2Settings(BaseModel):
    """Where to get access tokens, and with which credentials."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    token_url: Url = Field(description="The token endpoint.")
    client_id: str = Field(min_length=1)
    client_secret: Secret
    scope: str | None = Field(default=None, min_length=1, description="Scopes, separated by spaces.")
    audience: str | None = Field(
        default=None, min_length=1, description="Audience, if the server requires one."
    )
    client_auth: Literal["body", "header"] = Field(
        default="body", description="Send the client's credentials in the body, or in a Basic header."
    )
    tls: TlsOptions | None = Field(
        default=None, description="TLS options for the token endpoint; the output's tls is for the collector."
    )

    @model_validator(mode="after")
    def _tls_has_effect(self) -> OAuth2Settings:
        if self.tls is not None and not self.token_url.secure:
            raise ValueError("tls has no effect with an http token_url; use https")
        return self


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token, when to renew it (loop time), and the client secret that it was issued for."""

    text: str = field(repr=False)
    renew_at: float
    secret: str = field(repr=False)


class TokenSource:
    """Provides a valid token; at most one request to the token endpoint at a time.

    Args:
        settings: where to get tokens.
        wire: the output's settings; proxy and timeout apply here too.
        clock: the wall clock.
    """

    def __init__(self, settings: OAuth2Settings, wire: HttpSettingsBase, clock: Clock) -> None:
        self._settings = settings
        own = wire.model_copy(update={"tls": settings.tls})
        self._sender = HttpSender(own, settings.token_url, [settings.client_secret], clock, connections=1)
        self._token: AccessToken | None = None
        self._proven: AccessToken | None = None
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Read rotated credentials again; a changed one gets a new token."""
        await self._sender.open()

    async def get(self) -> AccessToken:
        """A valid token. Raises ``Hold`` or ``Retryable``."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            token = self._token
            if token is None or now >= token.renew_at or token.secret != self._secret:
                self._token = token = self._read(await self._fetch(), now)
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
        await self._sender.close()

    async def _fetch(self) -> Response:
        settings = self._settings
        form = {"grant_type": "client_credentials"}
        form |= {"scope": settings.scope} if settings.scope else {}
        form |= {"audience": settings.audience} if settings.audience else {}
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if settings.client_auth == "header":
            headers["authorization"] = f"Basic {self._pair}"
        else:
            form |= {"client_id": settings.client_id, "client_secret": self._secret}
        answer = await self._sender.post(urlencode(form).encode(), headers)
        if not answer.ok:
            raise self._error(answer)
        return answer

    @property
    def _pair(self) -> str:
        # Both are form-encoded before they are joined: RFC 6749, section 2.3.1.
        pair = ":".join(quote(part, safe="") for part in (self._settings.client_id, self._secret))
        return base64.b64encode(pair.encode()).decode()

    @property
    def _traces(self) -> tuple[str, ...]:
        """The secret in every form that a request holds, because a server may quote the request."""
        return self._secret, quote(self._secret, safe=""), quote_plus(self._secret), self._pair

    @property
    def _secret(self) -> str:
        return self._settings.client_secret.reveal()

    def _error(self, answer: Response) -> DeliveryError:
        """Retryable statuses are retried; any refusal is about the credentials, not about events."""
        reason = f"the token endpoint: {self._sender.describe(answer, _said(answer, self._traces))}"
        error = self._sender.error_for_status(answer, "")
        if isinstance(error, Retryable):
            return Retryable(reason, error.after)
        return Hold(f"{reason}; check client_id, client_secret and scope")

    def _read(self, answer: Response, now: float) -> AccessToken:
        body = _object(answer.body)
        text = body.get("access_token")
        if not isinstance(text, str) or not text or _FORBIDDEN_IN_A_HEADER.intersection(text):
            raise Hold(f"{self._settings.token_url.origin} answered without an access_token; check token_url")
        lifetime = _seconds(body.get("expires_in"))
        margin = max(_MARGIN, lifetime * _SHARE)
        return AccessToken(text, now + max(lifetime - margin, lifetime * 0.5), self._secret)


def _object(body: bytes) -> JsonObject:
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


def _said(answer: Response, secrets: Iterable[str]) -> str:
    """The error as in RFC 6749, section 5.2; an excerpt of the body if it is none."""
    body = _object(answer.body)
    words = [body[key] for key in ("error", "error_description") if isinstance(body.get(key), str)]
    return excerpt(": ".join(words).encode("utf-8", "replace") or answer.body, secrets)
