"""Against the emulator, with each undocumented side of the API in each position: no record is missed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.errors import SourceError
from connector.simulator import Behaviour, Fault
from tests.scenarios.source.account import run
from tests.scenarios.source.simulated import collect, simulated

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
    "cursors expire at once": {"cursor_lifetime": timedelta(0), "cursor_expired": 404},
    "no compression": {"gzip": None},
    "the server's clock is ahead": {"skew": timedelta(minutes=9)},
}
FAULTS = (
    "server_error", "html_error", "edge_error", "rate_limited", "failure", "null_result", "not_json",
    "cut_json", "wrong_type", "bare", "invalid_utf8", "lone_surrogate", "huge_number", "bad_gzip",
    "repeat_page", "repeat_cursor", "empty_page", "small_page", "missing_next", "lost_cursor", "pending",
    "reset", "cut", "redirect", "no_info", "slow", "delay", "hang",
)  # fmt: skip


async def _story(behaviour: Behaviour) -> None:
    async with simulated(behaviour) as it:
        found = await collect(it.source)
        assert len(it.expected) > 100
        assert it.expected <= found


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
