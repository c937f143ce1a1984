"""The ids of a walk are exactly those that were added, however they came, in a few bytes each."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from connector.collect.id_hashes import IdHashSet

TEXTS = st.text(max_size=3)


@given(st.lists(st.lists(TEXTS)), st.lists(TEXTS))
def test_it_holds_what_was_added_and_nothing_else(pages: list[list[str]], others: list[str]) -> None:
    ids = IdHashSet()
    for page in pages:
        ids.add(page)
    added = {one for page in pages for one in page}
    for one in [*added, *others]:
        assert (one in ids) == (one in added)


def test_what_is_added_after_a_question_is_known_too() -> None:
    ids = IdHashSet()
    ids.add(["b"])
    assert "a" not in ids
    ids.add(["a"])
    assert "a" in ids


def test_a_hundred_thousand_take_about_a_megabyte_and_never_much_more() -> None:
    tracemalloc.start()
    try:
        ids = IdHashSet()
        for start in range(0, 100_000, 1000):
            ids.add(str(number) for number in range(start, start + 1000))
        assert "99999" in ids
        assert "100000" not in ids
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1_500_000
    assert most < 3_000_000
