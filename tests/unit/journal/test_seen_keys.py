"""Keys of seen rows: no two ids share one, every id comes back, and ids of one time lie together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.journal.seen import from_key, to_key

PIECES = st.lists(
    st.text(st.characters(codec=None), max_size=5)
    | st.sampled_from(["-", "2026-11-18T09:41:07", "0000-00-00T00:00:00", "9999-99-99T99:99:99", "x" * 300])
)


@given(PIECES.map("".join))
def test_every_id_comes_back(text: str) -> None:
    assert from_key(to_key(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "\x00", "\x01", "\ud800", "4Wx1Qp7mK2z9sNH-2026-11-18T09:41:07-2a539d65", "٢٠٢٦-11-18T09:41:07"],
)
def test_odd_ids_come_back(text: str) -> None:
    assert from_key(to_key(text)) == text


def test_ids_of_one_time_lie_together_whatever_they_begin_with() -> None:
    ids = [f"{part}-2026-11-{day}T09:41:07-{part}" for day in (17, 18, 19) for part in ("zz", "4W", "A")]
    ordered = [from_key(key) for key in sorted(map(to_key, ids))]
    assert [text.partition("-")[2][:10] for text in ordered] == ["2026-11-17"] * 3 + ["2026-11-18"] * 3 + [
        "2026-11-19"
    ] * 3


def test_keys_are_shorter_than_ids() -> None:
    assert len(to_key("4Wx1Qp7mK2z9sNH-2026-11-18T09:41:07-2a539d65")) == 33
