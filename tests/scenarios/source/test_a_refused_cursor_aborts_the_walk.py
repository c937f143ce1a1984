"""A cursor that expired is a matter of the walk; it is never taken for a bad search."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.errors import SearchIncomplete
from connector.source.windows import format_time
from tests.scenarios.source.account import HOUR, account, failure, in_turn, page, rows, run
from tests.support.scripted_http import Asked, Reply


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_a_refusal_with_a_cursor_aborts(status: int) -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 1), next="a"), failure(status, 1000, "bad cursor"))) as it:
            with pytest.raises(SearchIncomplete, match=r"refused_cursor.*bad cursor") as caught:
                await it.ids()
            assert (caught.value.status, caught.value.code) == (status, 1000)

    run(story())


def test_pages_in_order_each_but_not_together_are_not_continued_behind_one_of_them() -> None:
    """An index in three parts, each read in order of time: what is left lies not behind the first."""
    times = {f"r{number}": HOUR.start + timedelta(minutes=1, seconds=number) for number in range(91)}
    refused = [False, False]

    def script(asked: Asked) -> Reply:
        part = int(asked.params.get("cursor", "0"))
        if part and refused.pop(0):
            return failure(400, 1000, "bad cursor")
        named = [
            {"id": name, "scanned_at": format_time(at)}
            for name, at in reversed(times.items())
            if int(name[1:]) % 3 == part and asked.params["start"] <= format_time(at) < asked.params["end"]
        ]
        return page(named, next=str(part + 1) if part < 2 else None)

    async def story() -> None:
        async with account(script) as it:
            assert set(await it.ids()) == times.keys()

            refused.extend([True, *[False] * 10])
            read, error = await it.read_until_error()

            assert len(read) == 31
            assert isinstance(error, SearchIncomplete)
            assert error.reason == "refused_cursor"

    run(story())
