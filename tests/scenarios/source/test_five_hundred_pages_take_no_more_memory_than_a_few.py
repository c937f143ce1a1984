"""Memory stays flat along a walk: what is kept of pages long gone does not grow with their records."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from connector.model import Query
from tests.scenarios.source.account import HOUR, account, run
from tests.support.scripted_http import Asked, Reply

PAGES = 500
ROWS = 40
SLACK = 1 << 19


def _page(asked: Asked) -> Reply:
    number = int(asked.params.get("cursor", "0"))
    row = '{"id":"4Wx1Qp7mK2z9sNH-2026-11-18T09:41:07-%08d","subject":"hello"}'
    count = ROWS if number + 1 < PAGES else 1
    rows = ",".join(row % (number * ROWS + step) for step in range(count))
    following = f'"{number + 1}"' if number + 1 < PAGES else "null"
    body = f'{{"success":true,"result":[{rows}],"result_info":{{"next":{following}}}}}'
    return Reply(200, body.encode(), {"content-type": "application/json"})


@pytest.mark.slow
def test_what_is_held_early_on_is_enough_for_five_hundred_pages() -> None:
    async def story() -> None:
        held: list[int] = []
        async with account(_page) as it:
            tracemalloc.start()
            try:
                pages = records = 0
                async for page in it.source.search(Query(per_page=1000), HOUR):
                    pages, records = pages + 1, records + len(page.records)
                    if pages % 100 == 0:
                        it.server.asked.clear()
                        it.facts.clear()
                        del page
                        gc.collect()
                        held.append(tracemalloc.get_traced_memory()[0])
            finally:
                tracemalloc.stop()
        assert (pages, records) == (PAGES, (PAGES - 1) * ROWS + 1)
        assert max(held[2:]) - max(held[:2]) < SLACK
        assert max(held) < 6 << 20

    run(story())
