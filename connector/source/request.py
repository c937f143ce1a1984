"""``Requester``: sends one API request within the budget, retries it briefly and classifies its response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from connector.errors import OutcomeUnknown, SearchIncomplete, SourceError, Unavailable
from connector.facts import RequestAnswered, RequestRetried, RetryAfterCapped
from connector.interfaces import Clock, Observe
from connector.masking import mask_secrets
from connector.model import JsonObject, Priority
from connector.net.backoff import full_jitter, parse_retry_after
from connector.net.http import HttpClient
from connector.net.transport import (
    Response,
    TimedOut,
    TransportError,
    Unreachable,
    Unsendable,
    Untrusted,
)
from connector.source.budget import LONGEST_BLOCK, RequestBudget
from connector.source.credentials import Credentials
from connector.source.decode import Undecodable, decode
from connector.source.envelope import Envelope
from connector.source.error_mapping import (
    from_content,
    from_response,
    from_transport_error,
    is_gateway_timeout,
    is_retryable,
)
from connector.source.options import SourceOptions
from connector.source.pages import is_large, scan, too_large
from connector.source.raw_page import PageSplitter
from connector.source.server_clock import ServerClock
from connector.values import dataclass

_DEFAULT_LIMIT_WAIT = 300.0
"""Seconds assumed for a 429 without ``Retry-After``: Cloudflare blocks for five minutes."""

_MAX_LIMIT_WAITS = 2
"""Rate limits that one request waits for; a third means that the budget is wrong."""


_EXPLAINED = 1 << 20
"""Bytes of a failed response that are read for an explanation."""

_MAX_BACKOFF = 10.0
"""Longest backoff in seconds inside one request; longer outages are the caller's to wait for."""


_NOTHING_SENT = (Unreachable, Untrusted, Unsendable)
"""Failures of an exchange before any byte of the request left."""

OK = "ok"
DEFERRED = "deferred"
"""Outcomes of a request beside the ``kind`` of a ``SourceError``: public values of a metric label."""


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """A response with one of the accepted statuses, and its decoded document."""

    status: int
    headers: Mapping[str, str]
    envelope: Envelope
    url: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request.

    Args:
        endpoint: short name for facts and messages.
        url: the URL without *params*.
        params: query parameters.
        accept: statuses of success; all others are failures.
        expects_list: a 200 is a success only with a list as its result.
        splittable: a timeout means ``SearchIncomplete``: a smaller search may succeed.
        wait_for_limit: wait for a rate limit to end instead of failing and losing the progress of a search.
        patience: seconds to wait for the request budget; then nothing was sent. ``None``: however long.
        attempts: number of tries; ``None``: as configured for the source.
        method: HTTP method.
        content: JSON text to send.
        repeatable: whether the request may be sent again after an attempt that may have taken effect. If not,
            such an attempt is an ``OutcomeUnknown``; every other error means that nothing happened.
    """

    endpoint: str
    url: str
    params: Sequence[tuple[str, str]] = ()
    accept: frozenset[int] = frozenset({200, 202})
    expects_list: bool = False
    splittable: bool = False
    wait_for_limit: bool = False
    patience: float | None = None
    attempts: int | None = None
    method: str = "GET"
    content: bytes | None = None
    repeatable: bool = True


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
        budget: RequestBudget,
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
        self._splitter = PageSplitter(options.compared)
        self._random = random

    async def ask(self, ask: ApiRequest, priority: Priority) -> ApiResponse:
        """Return the response, or raise the ``SourceError`` of the last try."""
        loop = asyncio.get_running_loop()
        last = loop.time() + self._options.retry_for
        attempts = self._options.attempts if ask.attempts is None else ask.attempts
        tries = limits = 0
        while True:
            await self._acquire(ask, priority)
            outcome = await self._attempt(ask)
            if isinstance(outcome, ApiResponse):
                return outcome
            if self._waits_for_limit(ask, outcome.error) and limits < _MAX_LIMIT_WAITS:
                limits += 1
                continue
            tries += 1
            wait = self._wait(tries, outcome.error)
            if not outcome.repeat or tries >= attempts or loop.time() + wait > last:
                raise _final(ask, outcome)
            self._observe(RequestRetried(self.account, ask.endpoint, str(outcome.error), wait))
            await asyncio.sleep(wait)

    async def _acquire(self, ask: ApiRequest, priority: Priority) -> None:
        try:
            async with asyncio.timeout(ask.patience):
                await self._budget.acquire(priority, self.account)
        except TimeoutError:
            raise Unavailable("the request budget has no room", after=self._budget.blocked) from None

    @property
    def blocked(self) -> float:
        """Seconds for which a rate limit still stops all requests."""
        return self._budget.blocked

    def restore_pause(self) -> None:
        """Look for a stored pause of the account before the next request."""
        self._budget.restore_again()

    async def resume(self) -> bool:
        """End a rate limit's pause now; returns whether there was one."""
        return await self._budget.resume(self.account)

    def refresh(self) -> bool:
        """Read the credential from its source again; returns whether it changed."""
        return self._credentials.secret.refresh()

    def _waits_for_limit(self, ask: ApiRequest, error: SourceError) -> bool:
        limited = isinstance(error, Unavailable) and error.status == 429  # noqa: PLR2004
        return limited and ask.wait_for_limit and self._budget.blocked <= self._options.limit_wait

    def _wait(self, tries: int, error: SourceError) -> float:
        asked = error.after if isinstance(error, Unavailable) else None
        jitter = full_jitter(tries, base=self._options.retry_base, cap=_MAX_BACKOFF, random=self._random)
        return max(jitter, asked or 0.0)

    async def _attempt(self, ask: ApiRequest) -> ApiResponse | _Failure:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            response = await self._http.request(
                ask.method, ask.url, headers=self._headers(ask), params=ask.params, content=ask.content
            )
        except TransportError as error:
            known = from_transport_error(error)
            if not ask.repeatable and not isinstance(error, _NOTHING_SENT):
                known = OutcomeUnknown(error.reason)
            self._report(ask, known.kind, None, loop.time() - began, 0)
            repeat = isinstance(known, Unavailable) and not isinstance(error, Untrusted)
            return _Failure(known, repeat, slow=isinstance(error, TimedOut))
        result = await self._classify(ask, response)
        if isinstance(result, _Failure) and not ask.repeatable and _may_have_happened(response):
            failed = result.error
            unknown = OutcomeUnknown(failed.reason, status=failed.status, code=failed.code, ray=failed.ray)
            result = _Failure(unknown, repeat=False)
        outcome = result.error.kind if isinstance(result, _Failure) else OK
        if outcome == OK and response.status == 202:  # noqa: PLR2004
            outcome = DEFERRED
        self._report(ask, outcome, response.status, response.seconds, len(response.body))
        return result

    def _headers(self, ask: ApiRequest) -> Mapping[str, str]:
        sent = {} if ask.content is None else {"content-type": "application/json"}
        return {**self._credentials.headers(), "accept": "application/json", **sent}

    async def _classify(  # noqa: PLR0911, one line per verdict
        self, ask: ApiRequest, response: Response
    ) -> ApiResponse | _Failure:
        self._budget.learn(response.headers, self.account)
        if response.status == 429:  # noqa: PLR2004
            return await self._limited(response)
        try:
            envelope = await _read_envelope(response, self._splitter, is_page=ask.expects_list)
        except SearchIncomplete as error:
            return self._failed(response, error)
        if response.status not in ask.accept or (envelope is None and not response.ok):
            return self._failed(response, self._error_from(response))
        if envelope is None:
            return self._failed(response, self._undecodable(response))
        if envelope.failed and response.ok:
            return self._failed(response, self._error_from(response))
        if ask.expects_list and response.status == 200 and envelope.row_count is None:  # noqa: PLR2004
            return self._failed(response, from_content(response, "the result is not a list"))
        if response.ok:
            self.server.learn(response.headers.get("date"), response.seconds)
        return ApiResponse(response.status, response.headers, envelope, ask.url, len(response.body))

    async def _limited(self, response: Response) -> _Failure:
        asked = parse_retry_after(response.headers.get("retry-after"), self.server.now())
        seconds = _DEFAULT_LIMIT_WAIT if asked is None else max(asked, 1.0)
        await self._budget.block(seconds, self.account)
        seconds = min(seconds, LONGEST_BLOCK)
        error = self._error_from(response)
        limited = Unavailable(
            error.reason,
            after=seconds, status=429, code=error.code, ray=error.ray, hint=error.hint,
        )  # fmt: skip
        return _Failure(limited, repeat=False)

    def _failed(self, response: Response, error: SourceError) -> _Failure:
        if isinstance(error, Unavailable):
            asked = parse_retry_after(response.headers.get("retry-after"), self.server.now())
            if asked is not None and asked > LONGEST_BLOCK:
                self._observe(RetryAfterCapped(self.account, asked, LONGEST_BLOCK))
                asked = LONGEST_BLOCK
            error.after = asked
        return _Failure(error, is_retryable(response, error), slow=is_gateway_timeout(response))

    def _error_from(self, response: Response) -> SourceError:
        """Classify *response* with every secret masked that the peer may have repeated."""
        secrets = [self._credentials.secret.reveal()]
        mask = partial(mask_secrets, secrets=secrets)
        text = response.body[:_EXPLAINED].decode("utf-8", "surrogateescape")
        clean = replace(
            response,
            headers={name: self._http.mask(mask(value)) for name, value in response.headers.items()},
            body=self._http.mask(mask(text)).encode("utf-8", "surrogateescape"),
        )
        return from_response(clean, _decode_envelope(clean.body))

    def _undecodable(self, response: Response) -> SourceError:
        if "json" not in response.headers.get("content-type", "json").lower():
            return self._error_from(response)
        if not response.body.strip():
            return from_content(response, "the body is empty")
        return from_content(response, "the body is truncated or not a JSON object")

    def _report(self, ask: ApiRequest, outcome: str, status: int | None, seconds: float, size: int) -> None:
        self._observe(RequestAnswered(self.account, ask.endpoint, outcome, status, seconds, size))


def _may_have_happened(response: Response) -> bool:
    """Whether the API may have done what was asked, although the response is no success."""
    status = response.status
    return status == 408 or not 400 <= status < 500  # noqa: PLR2004


def _final(ask: ApiRequest, failure: _Failure) -> SourceError:
    error = failure.error
    if not (ask.splittable and failure.slow):
        return error
    return SearchIncomplete(
        "search_timeout", status=error.status, code=error.code, ray=error.ray, hint=error.reason
    )


async def _read_envelope(response: Response, splitter: PageSplitter, *, is_page: bool) -> Envelope | None:
    """Decode the response's JSON object, whatever its content type; ``None`` if there is none.

    Pages that are large, or that the splitter refuses, are decoded in slices. Everything else is decoded in
    one step: raises ``SearchIncomplete`` where that might take too much memory.
    """
    if not response.ok:
        return _decode_envelope(response.body[:_EXPLAINED])
    if is_page:
        page = splitter.split(response.body)
        if page is not None:
            return Envelope(page.document, raw=page)
        try:
            layout = await scan(response.body)
        except Undecodable:
            return None
        if layout is not None:
            return Envelope(layout.document, layout=layout, body=response.body)
    if is_large(response.body):
        raise too_large()
    return _decode_envelope(response.body)


def _decode_envelope(body: bytes) -> Envelope | None:
    try:
        decoded = decode(body)
    except Undecodable:
        return None
    if not isinstance(decoded.value, dict):
        return None
    return Envelope(cast("JsonObject", decoded.value), decoded.lenient)
