"""Switches and faults can be written as text, and the page for users names all of them."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest

from connector.simulator import KINDS, Behaviour, Fault, parse_directives
from connector.simulator.changes import CHANGES

_PAGE = Path(__file__).parents[3] / "docs" / "simulator.md"


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("era=sunset", "era", "sunset"), ("order=unordered", "order", "unordered"),
        ("filter_on=sent_at", "filter_on", "sent_at"), ("last_page=empty", "last_page", "empty"),
        ("pending=3", "pending", 3), ("pending=forever", "pending", "forever"),
        ("page_limit=none", "page_limit", None), ("page_limit=7", "page_limit", 7),
        ("cursor_lifetime=90s", "cursor_lifetime", timedelta(seconds=90)),
        ("long_window=1.5h", "long_window", timedelta(minutes=90)),
        ("skew=-5m", "skew", timedelta(minutes=-5)), ("cursor_bound=false", "cursor_bound", False),
        ("pending_origin=http://other.example", "pending_origin", "http://other.example"),
        ("invalid_status=422", "invalid_status", 422), ("quota=off", "quota", None),
        ("gzip=off", "gzip", None),
    ],
)  # fmt: skip
def test_switches_are_read(text: str, name: str, value: object) -> None:
    behaviour, fault = parse_directives(text, Behaviour())

    assert getattr(behaviour, name) == value
    assert fault is None


def test_faults_are_read_with_their_numbers_and_beside_switches() -> None:
    behaviour, fault = parse_directives(
        " edge_error ; status=403; code=1020;text=no , era=sunset", Behaviour()
    )

    assert fault == Fault("edge_error", status=403, code=1020, text="no")
    assert behaviour.era == "sunset"
    assert parse_directives("slow;seconds=0.5", Behaviour())[1] == Fault("slow", seconds=0.5)
    assert parse_directives("", Behaviour())[1] is None


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("order=sideways", "expected newest, oldest, unordered, shifting"),
        ("pending=soon", "expected never, forever, a number"),
        ("skew=5", "a duration such as 30s"),
        ("cursor_bound=1", "true, false"),
        ("gzip=x", "a number, none"),
        ("speed=9", "unknown switch 'speed'; expected one of beyond_retention"),
        ("rates=1", "unknown switch 'rates'"),
        ("boom", "unknown fault 'boom'; expected one of bad_gzip"),
        ("slow;colour=red", "unknown parameter 'colour' of a fault"),
        ("slow;seconds=long", "could not convert"),
    ],
)
def test_mistakes_are_reported_with_what_is_possible(text: str, reported: str) -> None:
    with pytest.raises(ValueError, match=reported):
        parse_directives(text, Behaviour())


def test_asking_for_a_switch_leaves_the_others_and_the_original_alone() -> None:
    original = Behaviour(order="oldest")
    changed, _ = parse_directives("era=sunset", original)

    assert (changed.order, changed.era, original.era) == ("oldest", "sunset", "current")
    assert changed.faults is original.faults


def test_the_page_names_every_switch_fault_and_change() -> None:
    page = _PAGE.read_text(encoding="utf-8")

    for switch in fields(Behaviour):
        assert f"`{switch.name}`" in page, switch.name
    for name in [*KINDS, *CHANGES]:
        assert f"`{name}`" in page, name
