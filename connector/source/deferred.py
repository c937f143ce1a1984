"""A search that the API defers (202): looked after at ``Location`` until its result is there.

The answer to a deferred search is empty, and so may be the answer of a result that is not ready; neither
is ever taken for "there is nothing" before the search itself was repeated. Where that leads to the very
same place again, the API still works on it, unless it is known to say so with a 202 at that place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import parse_qs, urljoin, urlsplit

from connector.errors import BadQuery, Unavailable, WalkAborted
from connector.facts import SearchDeferred
from connector.interfaces import Clock, Observe
from connector.model import Priority
from connector.net.backoff import parse_retry_after
from connector.source.options import SourceOptions
from connector.source.request import Ask, Reply, Requester

_PORTS = {"http": 80, "https": 443}


class Foreign(Exception):
    """The address leads elsewhere, or is none."""


def resolved(base: str, location: str) -> str:
    """Return *location* made absolute against *base*; raises ``Foreign`` for another origin."""
    try:
        target = urljoin(base, location.strip())
        same = _origin(target) == _origin(base)
        parts = urlsplit(target)
    except ValueError:
        raise Foreign from None
    # A name or password in an address would replace the credentials that are sent.
    if not same or "@" in parts.netloc or any(not letter.isprintable() or letter == " " for letter in target):
        raise Foreign
    return parts._replace(fragment="").geturl()


def cursor_in(base: str, text: str) -> str | None:
    """Return the cursor of *text* where it is an address instead of a cursor; ``None`` where it is none.

    Raises ``Foreign`` for an address of another origin, or one without a cursor. A cursor may begin with a
    slash, so that a path counts as an address only when its query names a cursor.
    """
    absolute = text.lower().startswith(("http://", "https://"))
    rooted = text.startswith("/") and "cursor=" in text.partition("?")[2]
    if not absolute and not rooted:
        return None
    found = parse_qs(urlsplit(resolved(base, text)).query).get("cursor")
    if not found:
        raise Foreign
    return found[0]


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.hostname, parts.port or _PORTS.get(parts.scheme.lower())


Search: TypeAlias = Callable[[], Awaitable[Reply]]
_PENDING = 202
_GROWTH = 1.6


class Pending:
    """Waits for deferred searches of one account."""

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
        self._shown = False

    async def result(self, reply: Reply, search: Search, priority: Priority) -> Reply:
        """Return the reply with the result; *reply* was deferred, *search* asks the same again.

        Raises ``WalkAborted`` when it takes too long or leads elsewhere, other errors as they come.
        """
        watch = _Watch(
            self._requester.account,
            self._observe,
            asyncio.get_running_loop().time(),
            self._options.poll_first,
        )
        try:
            async with asyncio.timeout(self._options.pending_deadline):
                return await self._resolve(reply, search, priority, watch)
        except TimeoutError:
            watch.told("timeout")
            if self._requester.blocked:
                raise Unavailable(
                    "the API's rate limit stopped a search that it had deferred",
                    after=self._requester.blocked,
                ) from None
            raise WalkAborted(
                "pending_timeout",
                hint=f"the API did not finish the search within {self._options.pending_deadline:g} s",
            ) from None

    async def _resolve(self, reply: Reply, search: Search, priority: Priority, watch: _Watch) -> Reply:
        restarts = confirmations = 0
        while True:
            found = await self._follow(reply, search, priority, watch)
            if found is None:
                watch.told("expired")
                if restarts >= self._options.restarts:
                    raise WalkAborted("pending_expired", hint="the API forgot the search before it was done")
                restarts += 1
            elif not _empty(found) or confirmations >= self._options.confirmations:
                watch.told("empty" if _empty(found) else "ready")
                return found
            again = await search()
            if again.status != _PENDING:
                watch.told("empty" if _empty(again) else "ready")
                return again
            confirmations += found is not None and not self._unfinished(reply, again)
            reply = again

    def _unfinished(self, before: Reply, again: Reply) -> bool:
        """Whether a search that gave an empty end is still the same one and at work."""
        target = _target(again)
        return not self._shown and target is not None and target == _target(before)

    async def _follow(self, reply: Reply, search: Search, priority: Priority, watch: _Watch) -> Reply | None:
        """Look until the result is there; ``None`` when the API no longer knows the search."""
        target = None
        while reply.status == _PENDING:
            await asyncio.sleep(self._pause(reply, watch.wait))
            watch.wait = min(watch.wait * _GROWTH, self._options.poll_longest)
            watch.polls += 1
            target = _target(reply) or target
            # Where no address was ever given, asking the same again is the only way to look.
            found = await (search() if target is None else self._look(target, priority, watch))
            if found is None:
                return None
            reply = found
        return reply

    async def _look(self, target: str, priority: Priority, watch: _Watch) -> Reply | None:
        try:
            reply = await self._requester.ask(Ask("pending", target, listed=True), priority)
        except BadQuery as error:
            if error.status in {404, 410}:
                return None
            raise WalkAborted(
                "pending_refused", status=error.status, code=error.code, ray=error.ray, hint=error.reason
            ) from error
        except Unavailable:
            watch.told("unavailable")
            raise
        self._shown = self._shown or reply.status == _PENDING
        return reply

    def _pause(self, reply: Reply, wait: float) -> float:
        asked = parse_retry_after(reply.headers.get("retry-after"), self._clock()) or 0.0
        # Half of the pause is left to chance, so that many searches do not look at once.
        return max(asked, wait * (0.5 + self._random() / 2))


def _target(reply: Reply) -> str | None:
    location = reply.headers.get("location", "").strip()
    if not location:
        return None
    try:
        return resolved(reply.url, location)
    except Foreign:
        raise WalkAborted(
            "foreign_location",
            hint="the API deferred the search to another address than base_url; no credential was sent",
        ) from None


class _Watch:
    """Counts the looks of one deferred search, spaces them, and tells how it ended."""

    def __init__(self, account: str, observe: Observe, began: float, wait: float) -> None:
        self._account = account
        self._observe = observe
        self._began = began
        self.wait = wait
        self.polls = 0

    def told(self, outcome: str) -> None:
        seconds = asyncio.get_running_loop().time() - self._began
        self._observe(SearchDeferred(self._account, self.polls, seconds, outcome))


def _empty(reply: Reply) -> bool:
    return not reply.envelope.rows and not reply.envelope.info.get("next")
