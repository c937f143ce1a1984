"""A 429 is kept in the journal: whoever starts anew, with the same credential, waits for the rest of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from connector.app.sources import open_sources
from connector.errors import Unavailable
from connector.journal import Journal
from connector.model import Query
from connector.settings import load
from connector.source.client import CloudflareSource
from tests.scenarios.source.account import ACCOUNT, HOUR, failure, in_turn, page, rows, run
from tests.support.jumping_loop import EPOCH, wall_clock
from tests.support.scripted_http import ScriptedServer, scripted

CONFIGURATION = """\
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{url}/client/v4"}}
searches:
  detections: {{every: 60s}}
outputs:
  siem: {{type: stdout}}
"""
LIMIT = failure(429, 10100, "More than 1200 requests per 300 seconds reached", **{"retry-after": "900"})


@contextlib.asynccontextmanager
async def _started(
    directory: Path, server: ScriptedServer, start: datetime, token: str = "one"
) -> AsyncIterator[CloudflareSource]:
    """The journal and the source of an account, as a process has them that starts now."""
    clock = wall_clock(asyncio.get_running_loop(), start)
    file = directory / "connector.yaml"
    file.write_text(CONFIGURATION.format(account=ACCOUNT, url=server.url))
    settings = load(file, {"TOKEN": token}).settings
    async with (
        Journal.open(directory / "state", observe=lambda _: None, clock=clock) as journal,
        open_sources(settings, journal, observe=lambda _: None, clock=clock) as sources,
    ):
        yield sources["prod"]


async def _limited(source: CloudflareSource) -> None:
    with pytest.raises(Unavailable) as caught:
        await anext(source.search(Query(), HOUR))
    assert caught.value.after == 900


async def _waited(source: CloudflareSource) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await anext(source.search(Query(), HOUR))
    return loop.time() - began


@pytest.mark.parametrize(
    ("token", "later", "rest"),
    [("one", 0, 900), ("one", 600, 300), ("one", 901, 0), ("two", 600, 0)],
    ids=["at once", "in between", "afterwards", "with another credential"],
)
def test_the_rest_of_it_is_waited_for(tmp_path: Path, token: str, later: int, rest: float) -> None:
    async def story() -> None:
        (tmp_path / "state").mkdir()
        async with scripted(in_turn(LIMIT, page(rows(0, 1)))) as server:
            async with _started(tmp_path, server, EPOCH) as source:
                await _limited(source)
            async with _started(tmp_path, server, EPOCH + timedelta(seconds=later), token) as source:
                assert await _waited(source) == pytest.approx(rest, abs=1)
            assert len(server.asked) == 2

    run(story())
