"""A resource that is replaced after trouble: never closed under a user, always closed in the end."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.net.replaceable import Replaceable


class Resource:
    def __init__(self) -> None:
        self.closed = 0


class Workshop:
    """Makes resources and remembers them."""

    def __init__(self) -> None:
        self.made: list[Resource] = []
        self.renewal = Replaceable(self._make, self._close)

    def _make(self) -> Resource:
        self.made.append(Resource())
        return self.made[-1]

    async def _close(self, resource: Resource) -> None:
        await asyncio.sleep(0)
        resource.closed += 1

    async def visit(self, turns: int, ending: str) -> None:
        with contextlib.suppress(ValueError, asyncio.CancelledError):
            async with self.renewal.use() as resource:
                for _ in range(turns):
                    await asyncio.sleep(0)
                    assert not resource.closed
                if ending == "error":
                    raise ValueError
                if ending == "cancel":
                    raise asyncio.CancelledError


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from(["well", "error", "cancel", "renew"]))
    )
)
def test_no_user_loses_it_and_nothing_stays_open(visits: list[tuple[int, int, str]]) -> None:
    async def story() -> None:
        shop = Workshop()

        async def later(start: int, turns: int, ending: str) -> None:
            for _ in range(start):
                await asyncio.sleep(0)
            if ending == "renew":
                shop.renewal.replace()
            await shop.visit(turns, ending)

        await asyncio.gather(*(later(*visit) for visit in visits))
        await shop.renewal.close()
        assert [resource.closed for resource in shop.made] == [1] * len(shop.made)
        troubles = sum(ending != "well" for _, _, ending in visits)
        assert 1 <= len(shop.made) <= 1 + troubles

    asyncio.run(story())


async def test_the_next_use_after_an_error_has_another_one() -> None:
    shop = Workshop()
    await shop.visit(1, "well")
    async with shop.renewal.use() as same:
        assert same is shop.made[0]
    await shop.visit(1, "error")
    async with shop.renewal.use() as other:
        assert other is shop.made[1]
    await shop.renewal.close()


async def test_what_cannot_be_made_is_tried_again_at_the_next_use() -> None:
    shop = Workshop()
    await shop.visit(1, "error")
    shop.renewal._make = lambda: 1 // 0  # type: ignore[return-value, assignment]
    with pytest.raises(ZeroDivisionError):
        await shop.visit(1, "well")
    shop.renewal._make = shop._make
    await shop.visit(1, "well")
    await shop.renewal.close()


async def test_a_closing_that_is_broken_off_goes_on_by_itself() -> None:
    shop = Workshop()
    closing = asyncio.create_task(shop.renewal.close())
    await asyncio.sleep(0)
    closing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await closing
    await shop.renewal.close()
    assert shop.made[0].closed == 1
