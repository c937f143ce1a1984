"""One request of the API: within the budget, signed in, tried again briefly, its answer judged once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from connector.errors import SourceError, Unavailable, WalkAborted
from connector.facts import RequestAnswered, RequestRetried
from connector.interfaces import Clock, Observe
from connector.model import JsonObject, Priority
from connector.net.backoff import full_jitter, parse_retry_after
from connector.net.http import HttpClient
from connector.net.transport import Answer, TimedOut, TransportError, Untrusted
from connector.source.budget import Budget
from connector.source.credentials import Credentials, scrub
from connector.source.decode import Undecodable, decode
from connector.source.envelope import Envelope
from connector.source.error_mapping import (
    of_answer,
    of_content,
    of_transport,
    takes_too_long,
    worth_repeating,
)
from connector.source.options import SourceOptions
from connector.source.server_clock import ServerClock

_SILENT_LIMIT = 300.0
"""Cloudflare blocks for five minutes; assumed where a 429 does not say how long."""

_LIMITS_SAT_OUT = 2
_LONGEST_WAIT = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with one of the statuses that were accepted, and its document."""

    status: int
    headers: Mapping[str, str]
    envelope: Envelope
    url: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Ask:
    """What to ask.

    Args:
        endpoint: short name for facts and messages.
        url: the whole address, without what *params* adds.
        params: query parameters.
        accept: statuses that are an answer; all others are failures.
        listed: a 200 is an answer only with a list as its result.
        divisible: an answer that takes too long means ``WalkAborted``: less may be asked for at once.
        patient: sit out a rate limit instead of failing, because a walk's progress would be lost.
        attempts: tries; ``None`` takes the source's.
    """

    endpoint: str
    url: str
    params: Sequence[tuple[str, str]] = ()
    accept: frozenset[int] = frozenset({200, 202})
    listed: bool = False
    divisible: bool = False
    patient: bool = False
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class _Failure:
    error: SourceError
    repeat: bool
    slow: bool = False


class Requester:
    """Asks for one account; see the module."""

    def __init__(
        self,
        account: str,
        credentials: Credentials,
        http: HttpClient,
        budget: Budget,
        server: ServerClock,
        *,
        observe: Observe,
        clock: Clock,
        options: SourceOptions,
        random: Callable[[], float],
    ) -> None:
        self.account = account
        self.server = server
        self._credentials = credentials
        self._http = http
        self._budget = budget
        self._observe = observe
        self._clock = clock
        self._options = options
        self._random = random

    async def ask(self, ask: Ask, priority: Priority) -> Reply:
        """Return the reply, or raise the ``SourceError`` of the last try."""
        loop = asyncio.get_running_loop()
        last = loop.time() + self._options.retry_for
        attempts = self._options.attempts if ask.attempts is None else ask.attempts
        tries = limits = 0
        while True:
            await self._budget.acquire(priority, self.account)
            outcome = await self._once(ask)
            if isinstance(outcome, Reply):
                return outcome
            if self._sits_out(ask, outcome.error) and limits < _LIMITS_SAT_OUT:
                limits += 1
                continue
            tries += 1
            wait = self._wait(tries, outcome.error)
            if not outcome.repeat or tries >= attempts or loop.time() + wait > last:
                raise _final(ask, outcome)
            self._observe(RequestRetried(self.account, ask.endpoint, str(outcome.error), wait))
            await asyncio.sleep(wait)

    @property
    def blocked(self) -> float:
        """Seconds that a rate limit still stops all requests."""
        return self._budget.blocked

    def refresh(self) -> bool:
        """Read the credential again where it came from; says whether it changed."""
        return self._credentials.secret.refresh()

    def _sits_out(self, ask: Ask, error: SourceError) -> bool:
        limited = isinstance(error, Unavailable) and error.status == 429  # noqa: PLR2004
        return limited and ask.patient and self._budget.blocked <= self._options.limit_wait

    def _wait(self, tries: int, error: SourceError) -> float:
        asked = error.after if isinstance(error, Unavailable) else None
        jitter = full_jitter(tries, base=self._options.retry_base, cap=_LONGEST_WAIT, random=self._random)
        return max(jitter, asked or 0.0)

    async def _once(self, ask: Ask) -> Reply | _Failure:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            answer = await self._http.request(
                "GET",
                ask.url,
                headers={**self._credentials.headers(), "accept": "application/json"},
                params=ask.params,
            )
        except TransportError as error:
            known = of_transport(error)
            self._told(ask, type(known).__name__, None, loop.time() - began, 0)
            repeat = isinstance(known, Unavailable) and not isinstance(error, Untrusted)
            return _Failure(known, repeat, slow=isinstance(error, TimedOut))
        judged = await self._judge(ask, answer)
        outcome = type(judged.error).__name__ if isinstance(judged, _Failure) else "ok"
        if outcome == "ok" and answer.status == 202:  # noqa: PLR2004
            outcome = "pending"
        self._told(ask, outcome, answer.status, answer.seconds, len(answer.body))
        return judged

    async def _judge(self, ask: Ask, answer: Answer) -> Reply | _Failure:
        self._budget.learn(answer.headers, self.account)
        if answer.status == 429:  # noqa: PLR2004
            return await self._limited(answer)
        envelope = _document(answer)
        if answer.status not in ask.accept or (envelope is None and not answer.ok):
            return self._failed(answer, self._refusal(answer))
        if envelope is None:
            return self._failed(answer, self._unreadable(answer))
        if envelope.failed and answer.ok:
            return self._failed(answer, self._refusal(answer))
        if ask.listed and answer.status == 200 and envelope.rows is None:  # noqa: PLR2004
            return self._failed(answer, of_content(answer, "its result is no list"))
        if answer.ok:
            self.server.learn(answer.headers.get("date"), answer.seconds)
        return Reply(answer.status, answer.headers, envelope, ask.url, len(answer.body))

    async def _limited(self, answer: Answer) -> _Failure:
        asked = parse_retry_after(answer.headers.get("retry-after"), self.server.now())
        seconds = _SILENT_LIMIT if asked is None else max(asked, 1.0)
        await self._budget.block(seconds, self.account)
        error = self._refusal(answer)
        limited = Unavailable(
            error.reason,
            after=seconds, status=429, code=error.code, ray=error.ray, hint=error.hint,
        )  # fmt: skip
        return _Failure(limited, repeat=False)

    def _failed(self, answer: Answer, error: SourceError) -> _Failure:
        if isinstance(error, Unavailable):
            error.after = parse_retry_after(answer.headers.get("retry-after"), self.server.now())
        return _Failure(error, worth_repeating(answer, error), slow=takes_too_long(answer))

    def _refusal(self, answer: Answer) -> SourceError:
        clean = replace(answer, body=scrub(answer.body, self._credentials))
        return of_answer(clean, _document(clean))

    def _unreadable(self, answer: Answer) -> SourceError:
        if "json" not in answer.headers.get("content-type", "json").lower():
            return self._refusal(answer)
        if not answer.body.strip():
            return of_content(answer, "with an empty body")
        return of_content(answer, "with a body that is cut off or no JSON object")

    def _told(self, ask: Ask, outcome: str, status: int | None, seconds: float, size: int) -> None:
        self._observe(RequestAnswered(self.account, ask.endpoint, outcome, status, seconds, size))


def _final(ask: Ask, failure: _Failure) -> SourceError:
    error = failure.error
    if not (ask.divisible and failure.slow):
        return error
    return WalkAborted(
        "search_timeout", status=error.status, code=error.code, ray=error.ray, hint=error.reason
    )


def _document(answer: Answer) -> Envelope | None:
    """The answer's JSON object, whatever its content type says; ``None`` where there is none."""
    try:
        decoded = decode(answer.body)
    except Undecodable:
        return None
    if not isinstance(decoded.value, dict):
        return None
    return Envelope(cast("JsonObject", decoded.value), decoded.tolerant)
