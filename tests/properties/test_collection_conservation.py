"""One feed, whatever happens to it: every record, every state that was there to see, once, in its order.

Time passes, mail comes, late and changing, leaves its search or is deleted; the API fails; the process is
killed before or after a commit; a clock steps or lies; revisit ages, overlap and settling change; the search
is taken out of the configuration for a while. Then all is quiet until the last revisit has passed.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.collect.resume import note_unconfigured
from connector.errors import SearchIncomplete, SourceError, Unavailable
from connector.model import Commit, Revision
from tests.support.examples import examples
from tests.support.jumping_loop import run
from tests.unit.collect.feed_under_test import FEED, FeedUnderTest, feed_under_test

MINUTE = timedelta(minutes=1)
LAST = timedelta(hours=1)
"""The last age of every configuration: what happens to younger records must be told."""

AGES = ((5 * MINUTE, LAST), (LAST,), (10 * MINUTE, 30 * MINUTE, LAST))
STATES = ("MALICIOUS", "SPAM", "SUSPICIOUS")

Step: TypeAlias = tuple[str, int, int]


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Story:
    """A desk, and what truly happened to each record."""

    desk: FeedUnderTest
    states: dict[str, list[str]] = field(default_factory=dict)
    scanned: dict[str, timedelta] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    reported: list[Revision] = field(default_factory=list)
    local: timedelta = timedelta(0)
    server: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        self.began = self.desk.now
        self.desk.source.now = lambda: self.desk.now + self.server  # type: ignore[method-assign]
        self.build()

    def build(self) -> None:
        """A daemon starts."""
        self.desk.collector = self.desk.build()
        self.desk.collector._clock = lambda: self.desk.now + self.local

    async def tell(self, step: Step) -> None:
        """Let *step* happen."""
        kind, first, second = step
        await getattr(self, f"_{kind}")(first, second)

    async def _wait(self, minutes: int, _: int) -> None:
        self.desk.now += minutes * MINUTE
        await self.desk.collector.once()

    async def _mail(self, age: int, late: int) -> None:
        name = f"m{len(self.states)}"
        at = self.desk.now - age * MINUTE / 10
        self.states[name], self.scanned[name] = [STATES[0]], at - self.began
        self.desk.source.add(name, at, late=late % 50 * MINUTE, final_disposition=STATES[0])

    async def _burst(self, count: int, _: int) -> None:
        for _ in range(count):
            await self._mail(0, 0)

    async def _change(self, which: int, state: int) -> None:
        if name := self._young(which):
            self.states[name].append(STATES[state % len(STATES)])
            self.desk.source.change(name, final_disposition=self.states[name][-1])

    async def _leave(self, which: int, _: int) -> None:
        if name := self._young(which):
            self.states[name].append("NONE")
            self.desk.source.change(name, final_disposition="NONE")
            self.desk.source.hide(name)

    async def _remove(self, which: int, _: int) -> None:
        if name := self._young(which):
            self.removed.add(name)
            self.desk.source.remove(name)

    async def _fault(self, kind: int, times: int) -> None:
        errors: tuple[SourceError, ...] = (Unavailable("HTTP 503"), SearchIncomplete("repeated_cursor"))
        self.desk.source.faults += [errors[kind % 2]] * (times % 4)

    async def _kill(self, nth: int, after: int) -> None:
        """End at one of the next commits, before or after it is durable."""
        whole, left = self.desk.journal.commit, nth % 5

        async def commit(commit: Commit) -> None:
            nonlocal left
            left -= 1
            if left >= 0:
                return await whole(commit)
            if after % 2:
                await whole(commit)
            raise Killed

        self.desk.journal.commit = commit  # type: ignore[method-assign]
        try:
            await self._wait(5, 0)
        except Killed:
            pass
        finally:
            self.desk.journal.commit = whole  # type: ignore[method-assign]
        self.build()

    async def _local(self, minutes: int, sign: int) -> None:
        self.local, self.server = minutes * MINUTE * (1 if sign % 2 else -1), timedelta(0)

    async def _server(self, minutes: int, sign: int) -> None:
        self.server, self.local = minutes * MINUTE * (1 if sign % 2 else -1), timedelta(0)

    async def _configure(self, ages: int, seconds: int) -> None:
        timing = replace(self.desk.config.timing, overlap=timedelta(seconds=seconds % 200))
        timing = replace(timing, settle=timedelta(seconds=seconds % 7))
        self.desk.config = replace(self.desk.config, ages=AGES[ages % len(AGES)], timing=timing)
        self.build()

    async def _away(self, minutes: int, _: int) -> None:
        await note_unconfigured(self.desk.journal, [FEED], [], self.desk.now)
        self.desk.now += minutes * MINUTE
        self.build()
        await self._wait(0, 0)

    def _young(self, which: int) -> str | None:
        """One of the records that no last revisit can have passed, and that are still in their search."""
        at = self.desk.now - self.began
        young = [
            name
            for name, scanned in self.scanned.items()
            if at - scanned < LAST - MINUTE and name not in self.removed and self.states[name][-1] != "NONE"
        ]
        return young[which % len(young)] if young else None

    async def quieten(self) -> None:
        """All is well again, until every sweep has passed what happened."""
        self.local = self.server = timedelta(0)
        self.desk.source.faults.clear()
        for _ in range(16):
            await self._wait(10, 0)
        self.reported = await self.desk.delivered()

    def judge(self) -> None:
        """Compare what was told with what was."""
        reported = defaultdict[str, list[Revision]](list)
        for revision in self.reported:
            reported[revision.record.id].append(revision)
        for name, states in self.states.items():
            revisions = reported.pop(name, [])
            if not revisions:
                assert name in self.removed or states[-1] == "NONE", f"{name} is lost"
                continue
            assert [one.number for one in revisions] == list(range(1, len(revisions) + 1)), "doubled"
            assert len({one.identity for one in revisions}) == len(revisions), "two with one identity"
            assert [one.gone for one in revisions].count(True) == (name in self.removed), "gone, or not"
            seen = [one.record.body["final_disposition"] for one in revisions if not one.gone]
            assert all(one != other for one, other in pairwise(seen)), "nothing changed"
            assert _in_order(seen, states), f"{name} was never {seen}"
            assert name in self.removed or seen[-1] == states[-1], f"{name} is stale"
        assert not reported, "told, and never there"


def _in_order(seen: list[str], states: list[str]) -> bool:
    left = iter(states)
    return all(any(one == state for state in left) for one in seen)


def _step(kind: str, first: int, second: int = 7) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(kind), st.integers(0, first), st.integers(0, second))


_TROUBLE = (_step("fault", 1), _step("kill", 4), _step("local", 80), _step("server", 80), _step("away", 110))
_ANY = st.one_of(
    _step("wait", 20), _step("wait", 150), _step("mail", 40, 60), _step("burst", 8), _step("change", 5),
    _step("change", 5), _step("leave", 5), _step("remove", 5), _step("configure", 2, 200), *_TROUBLE,
)  # fmt: skip
_PUNCTUAL = st.one_of(_step("wait", 150), _step("burst", 9), _step("burst", 9), *_TROUBLE)


_ORDER = st.sampled_from([None, "newest", "oldest"])


async def _tell(
    directory: Path, steps: list[Step], ages: tuple[timedelta, ...], order: Literal["newest", "oldest"] | None
) -> None:
    async with feed_under_test(directory) as desk:
        desk.source.order = order
        # Longer than any absence here, so that each of them is caught up with.
        timing = replace(desk.config.timing, start=timedelta(hours=4))
        desk.config = replace(desk.config, ages=ages, timing=timing)
        story = Story(desk)
        await desk.collector.once()
        for step in steps:
            await story.tell(step)
        await story.quieten()
        story.judge()


@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_ANY, min_size=4, max_size=25), _ORDER)
def test_nothing_is_lost_doubled_stale_or_invented(
    steps: list[Step], order: Literal["newest", "oldest"] | None
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        run(_tell(Path(directory), steps, AGES[0], order))


@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_PUNCTUAL, min_size=4, max_size=25), _ORDER)
def test_what_is_there_when_it_is_polled_needs_no_revisit(
    steps: list[Step], order: Literal["newest", "oldest"] | None
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        run(_tell(Path(directory), steps, (), order))
