"""Windows leave no gap, whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from connector.collect.windows import (
    ReadRange,
    Timing,
    first_unread,
    live_window,
    merge_reads,
    next_slice,
    passed_by_every_sweep,
    revisit_start,
    revisit_window,
)
from connector.model import Window

NOW = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)
EARLY = datetime(2026, 1, 1, tzinfo=UTC)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
lengths = st.timedeltas(timedelta(0), timedelta(days=2))
timings = st.builds(Timing, settle=lengths, overlap=lengths, start=lengths)


def test_a_new_feed_begins_at_its_start_and_on_whole_seconds() -> None:
    assert Timing(start=timedelta(hours=24)).beginning(NOW) == datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert Timing(start=timedelta(0)).beginning(NOW) == datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_start_in_the_future_is_waited_for() -> None:
    timing = Timing(start=NOW + timedelta(days=1))

    assert timing.beginning(NOW) is None
    assert timing.beginning(NOW + timedelta(days=1)) == (NOW + timedelta(days=1)).replace(microsecond=0)


def test_the_overlap_is_read_again_but_never_below_the_floor() -> None:
    checkpoint = datetime(2026, 11, 22, 11, 59, tzinfo=UTC)
    floor = checkpoint - timedelta(seconds=30)

    free = live_window(checkpoint, None, NOW, Timing(overlap=timedelta(minutes=2)))
    bound = live_window(checkpoint, floor, NOW, Timing(overlap=timedelta(minutes=2)))

    assert free is not None
    assert bound is not None
    assert free.start == checkpoint - timedelta(minutes=2)
    assert bound.start == floor


@given(st.lists(moments, min_size=1, max_size=30), timings)
def test_live_windows_are_gapless_whatever_the_clock(clocks: list[datetime], timing: Timing) -> None:
    """However the clock jumps, all time up to the checkpoint was asked, and it never moves back."""
    floor = checkpoint = timing.beginning(clocks[0]) or clocks[0].replace(microsecond=0)
    for now in clocks:
        window = live_window(checkpoint, floor, now, timing)
        if window is None:
            continue
        assert window.start.microsecond == window.end.microsecond == 0
        assert window.end <= now - timing.settle
        assert floor <= window.start <= checkpoint < window.end
        checkpoint = window.end


@given(moments, lengths, st.timedeltas(timedelta(0), timedelta(hours=3)))
def test_slices_cover_their_window_without_gap_or_overlap(
    start: datetime, length: timedelta, longest: timedelta
) -> None:
    start = start.replace(microsecond=0)
    window = Window(start, start + timedelta(seconds=int(length.total_seconds() // 30)))
    position = window.start
    count = 0
    while position < window.end:
        part = next_slice(Window(position, window.end), max(longest, length / 50))
        assert part.start == position
        assert timedelta(0) < part.length <= max(longest, length / 50, timedelta(seconds=1))
        position = part.end
        count += 1
        assert count < 5000
    assert position == window.end


@given(st.lists(moments, min_size=2, max_size=20), st.timedeltas(timedelta(seconds=10), timedelta(days=7)))
def test_a_revisit_reads_all_time_behind_the_live_sweep_and_never_passes_it(
    clocks: list[datetime], age: timedelta
) -> None:
    clocks = sorted(clocks)
    live = clocks[0]
    checkpoint = revisit_start(age, None, live, clocks[0])
    for now in clocks:
        live = max(live, now)
        window = revisit_window(checkpoint, live, now, age)
        if window is not None:
            assert window.start == checkpoint
            assert window.end <= live
            assert now - window.end >= age
            checkpoint = window.end
        assert checkpoint <= live


def test_a_revisit_waits_until_a_tenth_of_its_age_came_together() -> None:
    age = timedelta(hours=1)
    checkpoint = NOW.replace(microsecond=0) - age

    assert revisit_window(checkpoint, NOW, NOW + timedelta(minutes=5), age) is None
    assert revisit_window(checkpoint, NOW, NOW + timedelta(minutes=6), age) is not None


def test_a_new_revisit_never_begins_before_the_floor_of_what_was_seen() -> None:
    floor = NOW - timedelta(hours=2)

    assert revisit_start(timedelta(days=7), floor, NOW, NOW) >= floor - timedelta(seconds=1)


def test_time_first_read_at_an_age_needs_no_revisit_at_that_age() -> None:
    ages = [timedelta(minutes=5), timedelta(hours=1), timedelta(days=1)]
    late = Window(NOW - timedelta(hours=3), NOW - timedelta(hours=2))
    reads = merge_reads((), late, NOW, ages)
    wide = Window(late.start - timedelta(hours=1), NOW)

    assert first_unread(late, timedelta(minutes=5), reads).length == timedelta(0)
    assert first_unread(late, timedelta(hours=1), reads).length == timedelta(0)
    assert first_unread(late, timedelta(days=1), reads) == late
    assert first_unread(wide, timedelta(hours=1), reads) == Window(wide.start, late.start)


def test_time_read_at_once_saves_no_revisit() -> None:
    ages = [timedelta(minutes=5)]

    assert merge_reads((), Window(NOW - timedelta(minutes=1), NOW), NOW + timedelta(seconds=3), ages) == ()


def test_of_a_long_slice_only_what_was_old_enough_saves_a_revisit() -> None:
    age = timedelta(minutes=5)
    slice_ = Window(NOW.replace(microsecond=0) - timedelta(hours=1), NOW.replace(microsecond=0))

    (read,) = merge_reads((), slice_, NOW, [age])

    assert read.window == Window(slice_.start, slice_.end - age)


seconds = st.integers(0, 300).map(lambda count: timedelta(seconds=count))
slices = st.tuples(seconds, seconds, seconds)


@given(st.lists(slices, max_size=12), st.sets(seconds, min_size=1, max_size=4), seconds, seconds)
def test_a_revisit_reads_exactly_what_was_not_read_at_its_age(
    walked: list[tuple[timedelta, timedelta, timedelta]],
    ages: set[timedelta],
    start: timedelta,
    length: timedelta,
) -> None:
    reads: tuple[ReadRange, ...] = ()
    done: dict[timedelta, set[int]] = {age: set() for age in ages}
    for begin, long, lateness in walked:
        window = Window(EARLY + begin, EARLY + begin + long)
        reads = merge_reads(reads, window, window.end + lateness - timedelta(minutes=2), ages)
        for age in ages:
            old = min(begin + long, begin + long + lateness - timedelta(minutes=2) - age)
            done[age] |= set(range(int(begin.total_seconds()), int(old.total_seconds())))
    for age in ages:
        window = Window(EARLY + start, EARLY + start + length)
        asked: set[int] = set()
        position = window.start
        while position < window.end:
            left = first_unread(Window(position, window.end), age, reads)
            assert left.end > position
            first, last = (int((moment - EARLY).total_seconds()) for moment in (left.start, left.end))
            asked |= set(range(first, last))
            position = left.end
        wanted = set(range(int(start.total_seconds()), int((start + length).total_seconds())))
        older = [done[other] for other in ages if other >= age]
        assert asked == wanted - set[int]().union(*older)


def test_nothing_is_forgotten_that_the_slowest_sweep_may_still_read() -> None:
    passed = passed_by_every_sweep([NOW, EARLY], timedelta(minutes=2))

    assert passed is not None
    assert passed < EARLY - timedelta(minutes=2)
