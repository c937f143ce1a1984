from itertools import pairwise

import pytest

from connector.app.collectors import start_delays


def test_a_single_feed_begins_at_once() -> None:
    assert list(start_delays(1)) == [0.0]


@pytest.mark.parametrize("count", [2, 20, 500, 5000])
def test_feeds_begin_one_after_the_other_and_all_within_half_a_minute(count: int) -> None:
    """In step they would hold a page each, and ask all at the same second for ever."""
    seconds = start_delays(count)

    assert len(seconds) == count
    assert seconds[0] == 0
    assert all(earlier < later for earlier, later in pairwise(seconds))
    assert seconds[-1] <= 30
