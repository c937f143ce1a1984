"""The size of pages follows their bytes, and survives a process that died inside one."""

from __future__ import annotations

import pytest

from connector.errors import JournalFull
from connector.source.page_size import PageSize

MIB = 1 << 20


class Store:
    """A key-value store in memory that may be full."""

    def __init__(self) -> None:
        self.values: dict[str, str | None] = {}
        self.writes = 0
        self.full = False

    async def get_value(self, key: str) -> str | None:
        return self.values.get(key)

    async def set_value(self, key: str, value: str | None) -> None:
        if self.full:
            raise JournalFull("no room")
        self.writes += 1
        self.values[key] = value


async def test_ordinary_pages_are_requested_as_configured_and_cost_two_writes_in_all() -> None:
    store = Store()
    size = PageSize("a", store)
    for _ in range(100):
        assert await size.choose(1000) == 1000
        async with size.processing(1000):
            size.learn(1000, 1000, 4 * MIB)
    assert store.writes == 2
    assert await PageSize("a", store).choose(1000) == 1000


async def test_large_pages_make_the_next_ones_smaller_and_small_ones_larger_again() -> None:
    size = PageSize("a", None)
    size.learn(1000, 1000, 35 * MIB)
    assert await size.choose(1000) == 228
    size.learn(228, 1000, 7 * MIB)
    assert await size.choose(1000) == 228
    for expected in (456, 912, 1000):
        size.learn(await size.choose(1000), 1000, MIB)
        assert await size.choose(1000) == expected


async def test_a_start_after_a_death_inside_a_page_requests_a_smaller_one() -> None:
    store = Store()
    asked = []
    for _ in range(5):
        size = PageSize("a", store)
        asked.append(await size.choose(1000))
        # The process dies: nothing after this line of the block ever runs.
        await size.processing(asked[-1]).__aenter__()
    assert asked == [1000, 250, 62, 15, 3]


async def test_the_smaller_size_survives_an_ordinary_restart() -> None:
    store = Store()
    size = PageSize("a", store)
    async with size.processing(1000):
        size.learn(1000, 1000, 35 * MIB)
    assert await PageSize("a", store).choose(1000) == 228
    assert await PageSize("a", store).choose(50) == 50


async def test_a_page_that_fails_is_not_a_death() -> None:
    store = Store()
    size = PageSize("a", store)
    with pytest.raises(RuntimeError):
        async with size.processing(1000):
            raise RuntimeError
    assert await PageSize("a", store).choose(1000) == 1000


async def test_a_journal_without_room_stops_nothing() -> None:
    store = Store()
    store.full = True
    size = PageSize("a", store)
    async with size.processing(1000):
        size.learn(1000, 1000, 35 * MIB)
    assert await size.choose(1000) == 228
    assert await size.shrink(228)
    assert await size.choose(1000) == 57
