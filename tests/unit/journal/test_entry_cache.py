"""The cache of decoded entries stays within its bytes and never returns a wrong entry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connector.journal.reader import EntryCache
from connector.model import Entry
from connector.testing.journal import revision

REVISION = revision("a")


def _entry(first: int, count: int) -> Entry:
    return Entry(first, (REVISION,) * count)


def test_the_least_recently_used_entry_goes_first() -> None:
    cache = EntryCache(30)
    for first in (1, 11, 21):
        cache.put(_entry(first, 10), 10)
    assert cache.find(5) is not None
    cache.put(_entry(31, 10), 10)
    assert cache.find(15) is None
    assert [entry.first for at in (5, 25, 35) if (entry := cache.find(at))] == [1, 21, 31]


def test_an_entry_larger_than_the_cache_pushes_nothing_out() -> None:
    cache = EntryCache(30)
    cache.put(_entry(1, 10), 10)
    cache.put(_entry(11, 10), 31)
    assert cache.find(11) is None
    assert cache.find(1) is not None


def test_trimmed_and_cleared_entries_are_gone() -> None:
    cache = EntryCache(100)
    for first in (1, 11, 21):
        cache.put(_entry(first, 10), 10)
    cache.trim(20)
    assert [cache.find(at) is None for at in (1, 11, 21)] == [True, True, False]
    cache.clear()
    assert cache.find(21) is None
    cache.put(_entry(21, 10), 100)
    assert cache.find(30) is not None


@given(
    st.lists(st.tuples(st.sampled_from(["put", "find", "trim"]), st.integers(0, 20))),
    st.integers(0, 100),
)
def test_what_is_found_holds_the_number_asked_for(steps: list[tuple[str, int]], most: int) -> None:
    cache = EntryCache(most)
    for step, at in steps:
        first = at * 5 + 1
        if step == "put":
            cache.put(_entry(first, 5), 10)
        elif step == "trim":
            cache.trim(at * 5)
        found = cache.find(first + 2)
        assert found is None or (found.first, found.last) == (first, first + 4)
    held = {entry.first for number in range(110) if (entry := cache.find(number))}
    assert len(held) * 10 <= most
