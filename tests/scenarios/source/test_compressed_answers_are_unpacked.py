"""gzip is asked for and unpacked; damaged compression is a broken answer, not a broken record."""

from __future__ import annotations

import gzip

import pytest

from connector.errors import Unavailable
from connector.facts import PageDecoded
from connector.simulator import Behaviour
from tests.scenarios.source.account import account, in_turn, page, rows, run
from tests.scenarios.source.simulated import collect, simulated
from tests.support.scripted_http import Reply

WHOLE = page(rows(0, 300)).body


def _packed(body: bytes, coding: str = "gzip") -> Reply:
    return Reply(200, body, {"content-type": "application/json", "content-encoding": coding})


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
def test_the_page_is_read_and_counted_unpacked(coding: str) -> None:
    async def story() -> None:
        async with account(in_turn(_packed(gzip.compress(WHOLE), coding))) as it:
            assert len(await it.ids()) == 300
            assert it.searches[0].headers["accept-encoding"] == "gzip"
            assert it.seen(PageDecoded)[0].bytes == len(WHOLE)

    run(story())


BROKEN = {
    "cut off": gzip.compress(WHOLE)[:-20],
    "no gzip": WHOLE,
    "damaged": gzip.compress(WHOLE)[:200] + b"\x00" * 50 + gzip.compress(WHOLE)[250:],
}


@pytest.mark.parametrize("name", BROKEN)
def test_damaged_compression_is_asked_for_again(name: str) -> None:
    async def story() -> None:
        async with account(in_turn(_packed(BROKEN[name]), _packed(gzip.compress(WHOLE)))) as it:
            assert len(await it.ids()) == 300
        async with account(in_turn(_packed(BROKEN[name]))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert "damaged or truncated" in str(error)

    run(story())


def test_compression_that_nobody_asked_for_is_named() -> None:
    async def story() -> None:
        async with account(in_turn(_packed(WHOLE, "br"))) as it:
            _, error = await it.read_until_error()
            assert "'br'" in str(error)

    run(story())


@pytest.mark.parametrize("level", [None, 0, 9])
def test_every_level_of_the_emulator_gives_the_same(level: int | None) -> None:
    async def story() -> None:
        async with simulated(Behaviour(gzip=level)) as it:
            assert it.expected == await collect(it.source)

    run(story())
