"""Deferred searches (HTTP 202): polled at ``Location`` until the result is ready.

The body of a 202 is empty, and so may be the body of a result that is not ready yet. Neither
counts as "no records" before the search was repeated. If the repetition returns the same ``Location``, the
search is still running, unless the API was seen to answer 202 there while it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import parse_qs, urljoin, urlsplit

from connector.errors import BadQuery, SearchIncomplete, Unavailable
from connector.facts import SearchDeferred
from connector.interfaces import Clock, Observe
from connector.model import Priority
from connector.net.backoff import parse_retry_after
from connector.source.options import SourceOptions
from connector.source.request import ApiRequest, ApiResponse, Requester

_PORTS = {"http": 80, "https": 443}


class ForeignOrigin(Exception):
    """The text is not a URL, or a URL of another origin."""


def resolve_same_origin(base: str, location: str) -> str:
    """Return *location* made absolute against *base*; raises ``ForeignOrigin`` for another origin."""
    try:
        target = urljoin(base, location.strip())
        same = _origin(target) == _origin(base)
        parts = urlsplit(target)
    except ValueError:
        raise ForeignOrigin from None
    # A user name or password in the URL would replace the credentials that are sent.
    if not same or "@" in parts.netloc or any(not letter.isprintable() or letter == " " for letter in target):
        raise ForeignOrigin
    return parts._replace(fragment="").geturl()


def cursor_from(base: str, text: str) -> str | None:
    """Return the cursor of *text* where it is an address instead of a cursor; ``None`` where it is none.

    Raises ``ForeignOrigin`` for an address of another origin or without a cursor. A cursor may start with a
    slash, so a path counts as an address only when its query names a cursor.
    """
    absolute = text.lower().startswith(("http://", "https://"))
    rooted = text.startswith("/") and "cursor=" in text.partition("?")[2]
    if not absolute and not rooted:
        return None
    cursors = parse_qs(urlsplit(resolve_same_origin(base, text)).query).get("cursor")
    if not cursors:
        raise ForeignOrigin
    return cursors[0]


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.hostname, parts.port or _PORTS.get(parts.scheme.lower())


Search: TypeAlias = Callable[[], Awaitable[ApiResponse]]
_PENDING = 202
_GROWTH = 1.6
"""Each wait between two polls is this much longer: from one second to the longest in seven polls."""


class DeferredSearches:
    """Polls deferred searches of one account."""

    def __init__(
        self,
        requester: Requester,
        *,
        observe: Observe,
        clock: Clock,
        options: SourceOptions,
        random: Callable[[], float],
    ) -> None:
        self._requester = requester
        self._observe = observe
        self._clock = clock
        self._options = options
        self._random = random
        self._seen_pending = False

    async def result(self, reply: ApiResponse, search: Search, priority: Priority) -> ApiResponse:
        """Return the response with the result; *reply* was deferred, *search* repeats the search.

        Raises ``SearchIncomplete`` when it takes too long or leads to another origin, other errors unchanged.
        """
        polling = _Polling(
            self._requester.account,
            self._observe,
            asyncio.get_running_loop().time(),
            self._options.first_poll,
        )
        try:
            async with asyncio.timeout(self._options.deferred_deadline):
                return await self._resolve(reply, search, priority, polling)
        except TimeoutError:
            polling.report("timeout")
            if self._requester.blocked:
                raise Unavailable(
                    "the API's rate limit interrupted a deferred search",
                    after=self._requester.blocked,
                ) from None
            raise SearchIncomplete(
                "pending_timeout",
                hint=f"the API did not finish the search within {self._options.deferred_deadline:g} s",
            ) from None

    async def _resolve(
        self, reply: ApiResponse, search: Search, priority: Priority, polling: _Polling
    ) -> ApiResponse:
        restarts = confirmations = 0
        while True:
            result = await self._follow(reply, search, priority, polling)
            if result is None:
                polling.report("expired")
                if restarts >= self._options.restarts:
                    raise SearchIncomplete(
                        "pending_expired", hint="the API discarded the search before it was finished"
                    )
                restarts += 1
            elif not _empty(result) or confirmations >= self._options.confirmations:
                polling.report("empty" if _empty(result) else "ready")
                return result
            again = await search()
            if again.status != _PENDING:
                polling.report("empty" if _empty(again) else "ready")
                return again
            confirmations += result is not None and not self._still_running(reply, again)
            reply = again

    def _still_running(self, before: ApiResponse, again: ApiResponse) -> bool:
        """Whether a search with an empty result is still the same one and still running."""
        target = _poll_url(again)
        return not self._seen_pending and target is not None and target == _poll_url(before)

    async def _follow(
        self, reply: ApiResponse, search: Search, priority: Priority, polling: _Polling
    ) -> ApiResponse | None:
        """Poll until the result is ready; ``None`` when the API has discarded the search."""
        target = None
        while reply.status == _PENDING:
            await asyncio.sleep(self._pause(reply, polling.wait))
            polling.wait = min(polling.wait * _GROWTH, self._options.longest_poll)
            polling.polls += 1
            target = _poll_url(reply) or target
            # Without a Location, repeating the search is the only way to poll.
            polled = await (search() if target is None else self._poll(target, priority, polling))
            if polled is None:
                return None
            reply = polled
        return reply

    async def _poll(self, target: str, priority: Priority, polling: _Polling) -> ApiResponse | None:
        try:
            reply = await self._requester.ask(ApiRequest("pending", target, expects_list=True), priority)
        except BadQuery as error:
            if error.status in {404, 410}:
                return None
            raise SearchIncomplete(
                "pending_refused", status=error.status, code=error.code, ray=error.ray, hint=error.reason
            ) from error
        except Unavailable:
            polling.report("unavailable")
            raise
        self._seen_pending = self._seen_pending or reply.status == _PENDING
        return reply

    def _pause(self, reply: ApiResponse, wait: float) -> float:
        asked = parse_retry_after(reply.headers.get("retry-after"), self._clock()) or 0.0
        # Half of the interval is random, so that many searches do not poll at once.
        return max(asked, wait * (0.5 + self._random() / 2))


def _poll_url(reply: ApiResponse) -> str | None:
    location = reply.headers.get("location", "").strip()
    if not location:
        return None
    try:
        return resolve_same_origin(reply.url, location)
    except ForeignOrigin:
        raise SearchIncomplete(
            "foreign_location",
            hint="the API deferred the search to another origin than base_url; no credential was sent",
        ) from None


class _Polling:
    """Counts the polls of one deferred search and reports how it ended."""

    def __init__(self, account: str, observe: Observe, began: float, wait: float) -> None:
        self._account = account
        self._observe = observe
        self._began = began
        self.wait = wait
        self.polls = 0

    def report(self, outcome: str) -> None:
        seconds = asyncio.get_running_loop().time() - self._began
        self._observe(SearchDeferred(self._account, self.polls, seconds, outcome))


def _empty(reply: ApiResponse) -> bool:
    return not reply.envelope.row_count and not reply.envelope.info.get("next")
