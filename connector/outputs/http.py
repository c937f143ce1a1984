"""Output ``http``: events to anything that takes a POST."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field, model_validator

from connector.errors import Hold
from connector.formats.framing import line, one_line
from connector.interfaces import Clock, Observe
from connector.model import Event, Limits, Receipt
from connector.outputs.parts.credentials import AuthSettings, HeaderName, SigningSettings, traces
from connector.outputs.parts.web import Web, WebSettings, utc_now
from connector.secret import Secret

_LIMITS = Limits(events=500, bytes=1_000_000)
_TEXT = "text/plain; charset=utf-8"
_TYPES = {"ndjson": "application/x-ndjson", "array": "application/json", "single": "application/json"}


class HttpSettings(WebSettings):
    """Posts events to a URL."""

    type: Literal["http"] = "http"
    body: Literal["ndjson", "array", "single"] = Field(
        default="ndjson",
        description="ndjson: one event per line; array: a JSON array; single: one event per request.",
    )
    headers: dict[HeaderName, Secret] = Field(
        default_factory=dict, description="Further headers; their values are kept secret."
    )
    auth: AuthSettings | None = None
    signing: SigningSettings | None = None

    @model_validator(mode="after")
    def _unambiguous(self) -> HttpSettings:
        names = [name.lower() for name in self.headers]
        if self.auth is not None:
            names += ["authorization" if self.auth.header is None else self.auth.header.name.lower()]
        if self.signing is not None:
            names += [self.signing.header.lower(), self.signing.time_header.lower()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"these headers are set twice: {', '.join(twice)}")
        if self.body == "single" and (self.batch.events or 1) > 1:
            raise ValueError(
                "batch.events has no effect with body: single, which sends one event per request"
            )
        return self

    def build(self, name: str, observe: Observe) -> HttpOutput:  # noqa: ARG002, delivery tells it all
        """Make the output."""
        return HttpOutput(self, utc_now)

    def secrets(self) -> Iterator[Secret]:
        """Every credential in the headers."""
        yield from self.headers.values()
        if self.auth is not None:
            yield from self.auth.secrets()
        if self.signing is not None:
            yield self.signing.secret


class HttpOutput:
    """Accepted means: the collector answered the request with any 2xx.

    Args:
        settings: where and how.
        clock: the wall clock, for signatures and for dates in ``Retry-After``.
    """

    def __init__(self, settings: HttpSettings, clock: Clock) -> None:
        limits = settings.batch.applied(_LIMITS)
        events = 1 if settings.body == "single" else limits.events
        self._limits = Limits(events, limits.bytes, None, settings.concurrency, limits.linger)
        self._settings = settings
        self._clock = clock
        self._web = Web(settings, settings.url, settings.secrets(), clock)

    @property
    def limits(self) -> Limits:
        """What one ``send`` may hold."""
        return self._limits

    async def open(self) -> None:
        """Read rotated credentials again."""
        await self._web.open()

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Post all events in one request."""
        is_json = all(event.payload[:1] == b"{" for event in events)
        if self._settings.body == "array" and not is_json:
            raise Hold("body: array needs a mapping that makes JSON; choose another mapping, or body: ndjson")
        body, packing = self._web.packed(self._body(events))
        secret_headers = self._secret_headers()
        headers = {
            "content-type": _TYPES[self._settings.body] if is_json else _TEXT,
            "idempotency-key": _key(events),
            **packing,
            **secret_headers,
        }
        if self._settings.signing is not None:
            headers |= self._settings.signing.headers(body, self._clock())
        answer = await self._web.post(body, headers)
        error = self._web.judge(answer, self._traces(secret_headers))
        if error is not None:
            raise error
        return Receipt()

    async def close(self) -> None:
        """Close all connections."""
        await self._web.close()

    async def check(self) -> str:
        """Connect and say what was reached; nothing is sent."""
        return await self._web.reach()

    def _body(self, events: Sequence[Event]) -> bytes:
        if self._settings.body == "array":
            return b"[" + b",".join(event.payload for event in events) + b"]"
        if self._settings.body == "single":
            return b"\n".join(one_line(event.payload) for event in events)
        return b"".join(line(event.payload) for event in events)

    def _secret_headers(self) -> dict[str, str]:
        # In lower case, so that a person's Content-Type replaces ours instead of standing beside it.
        configured = {name.lower(): value.reveal() for name, value in self._settings.headers.items()}
        return configured | (self._settings.auth.headers() if self._settings.auth else {})

    def _traces(self, secret_headers: dict[str, str]) -> Iterator[str]:
        yield from traces(secret_headers)
        for secret in self._settings.secrets():
            yield secret.reveal()


def _key(events: Sequence[Event]) -> str:
    """The same for the same events, so that a collector can tell a repeated request."""
    return hashlib.sha256("\n".join(event.revision.identity for event in events).encode()).hexdigest()
