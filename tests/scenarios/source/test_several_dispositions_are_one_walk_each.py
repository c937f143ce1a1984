"""The API filters by one disposition at a time; a list means one complete walk per value."""

from __future__ import annotations

import pytest

from connector.errors import BadQuery
from connector.model import Query
from tests.scenarios.source.account import account, page, rows, run
from tests.support.scripted_http import Asked, Reply


def _by_disposition(asked: Asked) -> Reply:
    first = {"MALICIOUS": 0, "SPAM": 10}[asked.params["final_disposition"]]
    if "cursor" in asked.params:
        return page(rows(first + 1, 1))
    return page(rows(first, 1), next="more")


def test_each_value_is_walked_to_its_end() -> None:
    async def story() -> None:
        async with account(_by_disposition) as it:
            found = await it.ids(Query({"final_disposition": ("MALICIOUS", "SPAM")}))
            assert found == ["record-0", "record-1", "record-10", "record-11"]
            values = [asked.params["final_disposition"] for asked in it.searches]
        assert values == ["MALICIOUS", "MALICIOUS", "SPAM", "SPAM"]

    run(story())


def test_a_filter_that_the_api_does_not_have_is_refused_before_anything_is_asked() -> None:
    async def story() -> None:
        async with account(_by_disposition) as it:
            with pytest.raises(BadQuery, match="when"):
                await it.ids(Query({"final_disposition": ("MALICIOUS-BEC",)}))
            assert it.server.asked == []

    run(story())
