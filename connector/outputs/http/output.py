"""Output ``http``: settings and class; POST requests to any collector, webhook or SOAR endpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from connector.errors import DeliveryError, Hold, Retryable
from connector.formats import json
from connector.formats.escaping import Escaping, escape
from connector.interfaces import Clock, Observe
from connector.model import Event, JsonObject, Limits, Receipt
from connector.net.clock import utc_now
from connector.net.transport import Response
from connector.outputs.common import TemplateOption
from connector.outputs.http.auth import AuthSettings, HeaderName, SigningSettings, header_secrets
from connector.outputs.http.body import EVENTS, BodyEncoder, body_encoder, surrounds, tokens
from connector.outputs.http.oauth import ClientCredentials
from connector.outputs.http.status_rules import Rules, Status, accepts_by_body, action_for, error_of
from connector.outputs.shared.http_client import HttpSender, SingleUrlSettings
from connector.outputs.shared.tokens import AccessToken, TokenSource
from connector.secret import Secret

_LIMITS = Limits(events=500, bytes=1_000_000)
_TEXT = "text/plain; charset=utf-8"
_UNAUTHORIZED = 401


class RequestSettings(BaseModel):
    """One kind of request, for the events that match ``when``."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    when: JsonObject | None = Field(
        default=None, description="Which events, by their new state; the last request has none."
    )
    path: str = Field(
        default="",
        max_length=1000,
        description="Template of what is added to the path of url, with an optional query: "
        "/{$event.id}/close?notify=true.",
    )
    method: Literal["POST", "PUT", "PATCH"] = Field(default="POST", description="HTTP method.")
    body: JsonObject | list[object] = Field(repr=False, description="Template of the body.")


class HttpSettings(SingleUrlSettings):
    """Posts events to a URL."""

    type: Literal["http"] = "http"
    body: Literal["ndjson", "array", "single"] | JsonObject | list[object] = Field(
        default="ndjson",
        repr=False,
        description="ndjson: one event per line; array: a JSON array; single: one event per request; or a "
        "tree of templates: one event per request, or all events in place of {$events}.",
    )
    event: JsonObject | list[object] | None = Field(
        default=None,
        repr=False,
        description="Template of each event; without it, events are the mapped documents.",
    )
    requests: list[RequestSettings] | None = Field(
        default=None,
        min_length=1,
        max_length=20,
        description="Requests by condition, instead of body: the first that matches is sent, one per event.",
    )
    escape: Escaping = Field(
        default="plain", description="What displays the text of templates, so that its markup is escaped."
    )
    defang: bool = Field(default=True, description="Defang links and host names in the text of templates.")
    headers: dict[HeaderName, Secret] = Field(
        default_factory=dict, description="Additional headers; their values are secret."
    )
    auth: AuthSettings | None = None
    signing: SigningSettings | None = None
    status: dict[Status, Rules] = Field(
        default_factory=dict,
        description="What a status means, such as 409, or 5xx for the rest of its class: accept, retry, "
        "dead_letter (the batch is halved until the culprit is alone) or hold; {body: TEXT, action: ACTION} "
        "applies to responses that contain TEXT; of a list the first match applies.",
    )

    @model_validator(mode="after")
    def _unambiguous(self) -> HttpSettings:
        names = [name.lower() for name in self.headers]
        if self.auth is not None:
            names += ["authorization" if self.auth.header is None else self.auth.header.name.lower()]
        if self.signing is not None:
            names += [self.signing.header.lower(), self.signing.time_header.lower()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"headers set twice: {', '.join(twice)}")
        return self

    @model_validator(mode="after")
    def _requests_stand_alone(self) -> HttpSettings:
        if self.requests is None:
            return self
        if not {"body", "event"}.isdisjoint(self.model_fields_set):
            raise ValueError("requests and body (or event) are mutually exclusive: each request has a body")
        if self.requests[-1].when is not None:
            raise ValueError("the last of requests must have no `when`: it is for all other events")
        if any(request.when is None for request in self.requests[:-1]):
            raise ValueError("only the last of requests may lack `when`: those after it would never be sent")
        if any(surrounds(request.body) for request in self.requests):
            raise ValueError(f"requests are sent for one event each: {EVENTS} has no meaning in them")
        return self

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> HttpSettings:
        if self.single and (self.batch.events or 1) > 1:
            raise ValueError("batch.events has no effect with a body of one event per request")
        if accepts_by_body(self.status) and not self.single:
            raise ValueError(
                "a status rule that accepts by body requires one event per request, as body: single"
            )
        if self.event is not None and self._templated_body():
            raise ValueError(f"`event` requires {EVENTS} in `body`")
        if self.template() is not None and self.heartbeat is not None:
            raise ValueError("heartbeats cannot be rendered by templates: send them to an output without any")
        if self.template() is None and not {"escape", "defang"}.isdisjoint(self.model_fields_set):
            raise ValueError("escape and defang require templates, under body, event or requests")
        return self

    def template(self) -> TemplateOption | None:
        """The settings key of the event template, and its escaping."""
        escaping = escape(self.escape, defang=self.defang)
        if self.requests is not None:
            return TemplateOption("requests", escaping, requests=True)
        key = "event" if self.event is not None else "body" if self._templated_body() else None
        return TemplateOption(key, escaping) if key else None

    @property
    def single(self) -> bool:
        """Whether each request carries one event."""
        return self.requests is not None or body_encoder(self.body).single

    def build(self, name: str, observe: Observe) -> HttpOutput:  # noqa: ARG002, delivery reports all facts
        """Build the output."""
        return HttpOutput(self, utc_now)

    def secrets(self) -> Iterator[Secret]:
        """Every credential in the headers."""
        yield from self.headers.values()
        if self.auth is not None:
            yield from self.auth.secrets()
        if self.signing is not None:
            yield self.signing.secret

    @property
    def needs_json(self) -> bool:
        """Whether the body holds events as JSON values. A template makes JSON of text, too."""
        return self.template() is None and body_encoder(self.body).needs_json

    def _templated_body(self) -> bool:
        return not isinstance(self.body, str) and not surrounds(self.body)


class HttpOutput:
    """Accepted means: the collector responded with any 2xx, or as a ``status`` rule accepts.

    Args:
        settings: of the output.
        clock: the wall clock, for signatures and for dates in ``Retry-After``.
    """

    def __init__(self, settings: HttpSettings, clock: Clock) -> None:
        limits = settings.batch.applied(_LIMITS)
        self._body_encoder: BodyEncoder = body_encoder(settings.body if settings.requests is None else {})
        events = 1 if settings.single else limits.events
        self._limits = Limits(events, limits.bytes, None, settings.concurrency, limits.linger)
        self._settings = settings
        self._clock = clock
        self._sender = HttpSender(settings, settings.url, settings.secrets(), clock)
        oauth2 = settings.auth.oauth2 if settings.auth else None
        self._token_source = TokenSource(ClientCredentials(oauth2, settings, clock)) if oauth2 else None

    @property
    def limits(self) -> Limits:
        """Limits of one ``send``."""
        return self._limits

    async def open(self) -> None:
        """Read rotated credentials again."""
        if self._token_source is not None:
            await self._token_source.open()
        await self._sender.open()

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Send all events in one request."""
        is_json = {event.payload[:1] for event in events} <= {b"{", b"["}
        if self._body_encoder.needs_json and not is_json:
            raise Hold("this body requires a mapping that produces JSON; change mapping, or set body: ndjson")
        method, url, plain = self._request(events)
        body, encoding_headers = self._sender.compressed(plain)
        del plain
        token = await self._token_source.get() if self._token_source else None
        secret_headers = self._secret_headers(token)
        headers = {
            "content-type": self._body_encoder.content_type if is_json else _TEXT,
            "idempotency-key": _key(events),
            **encoding_headers,
            **secret_headers,
        }
        if self._settings.signing is not None:
            headers |= self._settings.signing.headers(body, self._clock())
        answer = await self._sender.request(method, headers, body=body, url=url)
        error = self._classify(answer, token, tuple(self._secret_texts(secret_headers)), events)
        if error is not None:
            raise error
        return Receipt()

    async def close(self) -> None:
        """Close all connections."""
        if self._token_source is not None:
            await self._token_source.close()
        await self._sender.close()

    async def check(self) -> str:
        """Connect and describe the peer; nothing is sent except a request for an OAuth token."""
        reached = await self._sender.probe()
        if self._token_source is None:
            return reached
        await self._token_source.get()
        return f"{reached}, got an access token"

    def _request(self, events: Sequence[Event]) -> tuple[str, str | None, bytes]:
        """Method, URL (``None``: the output's) and body of the request for *events*."""
        if self._settings.requests is None:
            return "POST", None, self._body_encoder.join([one.payload for one in events])
        [event] = events
        rendered = orjson.loads(event.payload)
        url = below(self._settings.url.reveal(), rendered["path"])
        return rendered["method"], url, json.encode(rendered["body"])

    def _classify(
        self, answer: Response, token: AccessToken | None, secrets: Sequence[str], sent: Sequence[Event]
    ) -> DeliveryError | None:
        action = action_for(answer, self._settings.status, sent)
        if action is None:
            error = self._sender.classify(answer, secrets, sent)
        else:
            description = self._sender.describe(answer, self._sender.safe_excerpt(answer, secrets, sent))
            error = error_of(action, answer, description, self._clock())
        if self._token_source is not None and token is not None:
            if error is None:
                self._token_source.accepted(token)
            elif answer.status == _UNAUTHORIZED and self._token_source.refused(token):
                return Retryable(f"{self._settings.url.origin} rejects the access token; fetching a new one")
        return error

    def _secret_headers(self, token: AccessToken | None) -> dict[str, str]:
        # In lower case, so that a configured Content-Type replaces the default instead of duplicating it.
        configured = {name.lower(): value.reveal() for name, value in self._settings.headers.items()}
        if token is not None:
            return {**configured, "authorization": f"Bearer {token.text}"}
        return configured | (self._settings.auth.headers() if self._settings.auth else {})

    def _secret_texts(self, secret_headers: dict[str, str]) -> Iterator[str]:
        yield from header_secrets(secret_headers)
        yield from tokens(self._settings.body)
        yield from tokens(self._settings.event)
        yield from tokens([request.body for request in self._settings.requests or ()])
        for secret in self._settings.secrets():
            yield secret.reveal()


def below(url: str, path: str) -> str:
    """*url* with *path*, which may have a query, added to its own; the host stays as it is."""
    base = urlsplit(url)
    added, _, query = path.partition("?")
    queries = "&".join(part for part in (base.query, query) if part)
    return urlunsplit(
        (base.scheme, base.netloc, base.path.rstrip("/") + added if added else base.path, queries, "")
    )


def _key(events: Sequence[Event]) -> str:
    """The same for the same events, so that a collector can recognize a repeated request."""
    whole = "\n".join([event.revision.state_key for event in events])
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
