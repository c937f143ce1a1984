"""A cursor that expired is a matter of the walk; it is never taken for a bad search."""

from __future__ import annotations

import pytest

from connector.errors import SearchIncomplete
from tests.scenarios.source.account import account, failure, in_turn, page, rows, run


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_a_refusal_with_a_cursor_aborts(status: int) -> None:
    async def story() -> None:
        async with account(in_turn(page(rows(0, 1), next="a"), failure(status, 1000, "bad cursor"))) as it:
            with pytest.raises(SearchIncomplete, match=r"refused_cursor.*bad cursor") as caught:
                await it.ids()
            assert (caught.value.status, caught.value.code) == (status, 1000)

    run(story())
