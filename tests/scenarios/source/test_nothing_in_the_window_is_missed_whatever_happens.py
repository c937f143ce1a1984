"""Pages, faults, arrivals and changes in any order: every record comes, or the walk says that it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from connector.errors import SourceError
from connector.model import Query
from connector.simulator import KINDS, Behaviour, Fault
from tests.scenarios.source.simulated import SPAN, Simulated, simulated
from tests.support.examples import examples
from tests.support.jumping_loop import EPOCH
from tests.support.jumping_loop import run as run_jumping

DAY = 86_400
FAULTS = tuple(sorted(KINDS.keys() - {"oversized"}))
SLOW_EDGE = Fault("html_error", status=504)

Happening = tuple[str, int]
"""Something in the world, and which record or moment it concerns."""


@dataclass
class Tale:
    """One walk and what happens along it. *happenings* lists what happens after each page."""

    records: Sequence[int]
    per_page: int
    faults: Sequence[str | Fault | None]
    happenings: Sequence[Sequence[Happening]]
    manner: dict[str, Any]
    ids: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)

    @property
    def shifting(self) -> bool:
        """Whether pages are cut out of a list that moves on: what leaves it moves others past the reader."""
        return bool(self.manner["order"] == "shifting")

    def begin(self, it: Simulated) -> None:
        """Fill the world."""
        self.ids = [self._add(it, second) for second in self.records]
        it.simulator.behaviour.script(self.faults)

    def happen(self, it: Simulated, page: int) -> None:
        """Let happen what happens after *page*."""
        for kind, number in self.happenings[page] if page < len(self.happenings) else ():
            if kind == "arrive" or not self.ids:
                self._add(it, number)
                continue
            chosen = self.ids[number % len(self.ids)]
            if chosen in self.gone:
                continue
            if kind == "change":
                it.simulator.world.change(chosen, is_quarantined=bool(number % 2))
            elif not self.shifting:
                self.gone.add(chosen)
                leave = it.simulator.world.remove if kind == "remove" else _clear(it)
                leave(chosen)

    def _add(self, it: Simulated, second: int) -> str:
        scanned = SPAN.start + timedelta(seconds=second % int(SPAN.length.total_seconds()))
        return it.simulator.world.add(scanned_at=scanned, final_disposition="MALICIOUS")


def _clear(it: Simulated) -> Any:
    return lambda chosen: it.simulator.world.change(chosen, final_disposition="NONE")


@st.composite
def tales(draw: st.DrawFn) -> Tale:
    """Walks of a few pages, with more faults and happenings than any real one meets."""
    seconds = st.integers(0, 7199)
    happening = st.tuples(st.sampled_from(["arrive", "change", "remove", "leave"]), seconds)
    manner = {
        "order": draw(st.sampled_from(["newest", "oldest", "unordered", "shifting"])),
        "last_page": draw(st.sampled_from(["null", "absent", "empty"])),
        "next_form": draw(st.sampled_from(["token", "url"])),
        "trailing_empty_page": draw(st.booleans()),
        "pending": draw(st.sampled_from(["never", "never", 1, 3])),
        "pending_on": draw(st.sampled_from(["first", "every"])),
        "pending_shown": draw(st.sampled_from(["202", "200-empty"])),
        "cursor_lifetime": draw(st.sampled_from([None, None, timedelta(minutes=1)])),
    }
    choices: list[str | Fault | None] = [*FAULTS, SLOW_EDGE, *[None] * 20]
    return Tale(
        draw(st.lists(seconds, min_size=draw(st.sampled_from([0, 5, 15])), max_size=25)),
        draw(st.integers(2, 8)),
        draw(st.lists(st.sampled_from(choices), max_size=12)),
        draw(st.lists(st.lists(happening, max_size=3), max_size=6)),
        manner,
    )


async def _walk(it: Simulated, tale: Tale) -> tuple[set[str], SourceError | None]:
    found: set[str] = set()
    pages = 0
    try:
        async with asyncio.timeout(DAY):
            async for page in it.source.search(Query(per_page=tale.per_page), SPAN):
                found.update(record.id for record in page.records)
                tale.happen(it, pages)
                pages += 1
    except SourceError as error:
        return found, error
    return found, None


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tales())
def test_a_walk_gives_all_of_it_or_a_classed_error_and_always_ends(tale: Tale) -> None:
    async def story() -> None:
        async with simulated(Behaviour(**tale.manner), backlog=0) as it:
            tale.begin(it)
            found, error = await _walk(it, tale)
            event(type(error).__name__ if error else "complete")
            if error is None:
                assert set(tale.ids) - tale.gone <= found
            assert it.clock() - EPOCH < timedelta(days=1)
            assert len(it.asked) < 400

    run_jumping(story(), grace=0.004)
