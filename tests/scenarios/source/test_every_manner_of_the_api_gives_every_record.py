"""Against the emulator, with each undocumented side of the API in each position: no record is missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from connector.errors import SourceError, Unavailable, WalkAborted
from connector.facts import Fact
from connector.model import Query, Window
from connector.net.http import HttpClient
from connector.secret import Secret
from connector.simulator import Behaviour, Fault, Simulator, listening
from connector.source.budget import Budget
from connector.source.client import CloudflareSource
from connector.source.credentials import Token
from tests.scenarios.source.account import ACCOUNT, run
from tests.support.jumping_loop import EPOCH, wall_clock

SPAN = Window(EPOCH - timedelta(hours=2), EPOCH)
SECOND = timedelta(seconds=1)

MANNERS: dict[str, dict[str, object]] = {
    "as documented": {},
    "first documented schema": {"era": "reference"},
    "retired fields gone": {"era": "sunset"},
    "oldest first": {"order": "oldest"},
    "unordered": {"order": "unordered"},
    "last page without next": {"last_page": "absent"},
    "last page with an empty next": {"last_page": "empty"},
    "next is an address": {"next_form": "url"},
    "a trailing empty page": {"trailing_empty_page": True},
    "pages smaller than asked": {"page_limit": 17},
    "exclusive start, inclusive end": {"start": "exclusive", "end": "inclusive"},
    "times of whole seconds": {"granularity": "second"},
    "unknown parameters refused": {"unknown_parameter": "refused"},
    "deferred once": {"pending": 1},
    "deferred, relative address": {"pending": 3, "pending_location": "relative"},
    "deferred on every page": {"pending": 2, "pending_on": "every"},
    "deferred, shown as empty": {"pending": 2, "pending_shown": "200-empty"},
    "deferred, with a pause": {"pending": 1, "pending_retry_after": 20},
    "long windows never finish": {"long_window": timedelta(minutes=20)},
    "long windows time out": {"long_window": timedelta(minutes=20), "long_window_answer": "timeout"},
    "cursors expire at once": {"cursor_lifetime": timedelta(0), "cursor_expired": 404},
    "no compression": {"gzip": None},
    "the server's clock is ahead": {"skew": timedelta(minutes=9)},
}
FAULTS = (
    "server_error", "html_error", "edge_error", "rate_limited", "failure", "null_result", "not_json",
    "cut_json", "wrong_type", "bare", "invalid_utf8", "lone_surrogate", "huge_number", "bad_gzip",
    "repeat_page", "repeat_cursor", "empty_page", "small_page", "missing_next", "lost_cursor", "pending",
    "reset", "cut", "redirect",
)  # fmt: skip


async def _read(source: CloudflareSource, window: Window, found: set[str]) -> None:
    """Do as a collector does: halve what is aborted, repeat what is unavailable, keep what came."""
    for _ in range(12):
        try:
            async for page in source.search(Query(per_page=50), window):
                found.update(record.id for record in page.records)
        except WalkAborted:
            if window.length <= SECOND:
                raise
            break
        except Unavailable as error:
            await asyncio.sleep(error.after or 1)
        else:
            return
    else:
        raise AssertionError("the walk never succeeded")
    middle = (window.start + window.length / 2).replace(microsecond=0)
    await _read(source, Window(window.start, middle), found)
    await _read(source, Window(middle, window.end), found)


async def _story(behaviour: Behaviour) -> None:
    loop = asyncio.get_running_loop()
    clock: Callable[[], datetime] = wall_clock(loop)
    facts: list[Fact] = []
    simulator = Simulator(backlog=700, span=SPAN.length, clock=clock, behaviour=behaviour)
    async with listening(simulator) as url:
        http = HttpClient(timeout=60)
        source = CloudflareSource(
            account_id=ACCOUNT,
            credentials=Token(Secret("any")),
            base_url=url,
            http=http,
            budget=Budget("prod", observe=facts.append, clock=clock),
            observe=facts.append,
            clock=clock,
        )
        found: set[str] = set()
        try:
            await _read(source, SPAN, found)
        finally:
            await http.close()
    expected = simulator.ledger.ids({}, (SPAN.start, SPAN.end), EPOCH)
    assert len(expected) > 100
    assert expected <= found


@pytest.mark.parametrize("name", MANNERS)
def test_every_manner(name: str) -> None:
    run(_story(Behaviour(**MANNERS[name])))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_in_the_middle_of_a_walk(name: str) -> None:
    behaviour = Behaviour()
    behaviour.script([None, Fault(name), None, Fault(name)])
    run(_story(behaviour))


def test_a_foreign_address_for_deferred_results_is_an_error_and_no_end() -> None:
    with pytest.raises(SourceError):
        run(_story(Behaviour(pending=1, pending_location="foreign")))
