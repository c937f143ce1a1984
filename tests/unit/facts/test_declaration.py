"""A fact is declared once, with a public name of its own, and something reports it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import connector
from connector import errors, facts

ROOM = Path(connector.__file__).parent
OBSERVERS = ("facts", "telemetry")


def names_used(tree: ast.AST) -> Iterator[str]:
    """Names that code refers to; an import alone is no use."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def reported() -> set[str]:
    paths = (path for path in ROOM.rglob("*.py") if path.relative_to(ROOM).parts[0] not in OBSERVERS)
    return {name for path in paths for name in names_used(ast.parse(path.read_text("utf-8")))}


def test_every_fact_is_reported_by_some_component() -> None:
    assert {kind.__name__ for kind in facts.kinds()} - reported() == set()


def test_every_fact_states_its_event_itself_and_shares_it_with_no_other() -> None:
    events = [vars(kind)["event"] for kind in facts.kinds()]

    assert len(set(events)) == len(events) > 50
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", event) for event in events)


def test_every_fact_is_described_for_the_reference_page() -> None:
    assert [kind.__name__ for kind in facts.kinds() if not vars(kind).get("__doc__")] == []


@pytest.mark.parametrize(
    "kind",
    [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.ConnectorError)][1:],
    ids=lambda kind: kind.__name__,
)
def test_every_error_states_its_public_kind_itself(kind: type[errors.ConnectorError]) -> None:
    assert re.fullmatch(r"[a-z_]+", vars(kind)["kind"])
