"""The documentation names every parameter, field and reason that the code knows, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from connector.source.filters import FILTERS, NOT_FILTERS

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "source.md"
SPECIFICATION = ROOT.parent / "shared" / "data" / "cloudflare-email-security-openapi.json"


def _tables() -> dict[str, list[list[str]]]:
    """The rows of each table by the text of its first heading cell; later tables of a name add rows."""
    tables: dict[str, list[list[str]]] = {}
    current: list[list[str]] | None = None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            current = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if current is None:
            current = tables.setdefault("/".join(cells[:2]), [])
        elif not set(cells[0]) <= {"-"}:
            current.append(cells)
    return tables


def _names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_filter_stands_in_the_documentation_as_the_code_has_it() -> None:
    table = {_names(row[0])[0]: row for row in _tables()["parameter/values"]}
    assert list(table) == list(FILTERS)
    for name, (_, values, offered, text) in table.items():
        row = FILTERS[name]
        assert text == row.help
        assert ("removed" in offered) == (row.era == "seed")
        assert ("since" in offered) == (row.era == "now")
        if row.allowed:
            assert tuple(_names(values)) == row.allowed


def test_what_is_no_filter_stands_there_with_its_reason() -> None:
    assert {_names(row[0])[0]: row[1] for row in _tables()["parameter/instead"]} == NOT_FILTERS


def test_every_field_of_a_record_stands_in_the_documentation() -> None:
    if not SPECIFICATION.exists():
        pytest.skip("the API's specification is not part of this checkout")
    schemas = json.loads(SPECIFICATION.read_text())["components"]["schemas"]
    fields = set(schemas["email-security_MessageDetails"]["properties"])
    table = _tables()["field/what the connector does with it beyond that"]
    assert {_names(row[0])[0] for row in table} == fields


def test_every_reason_of_an_aborted_walk_stands_in_the_documentation() -> None:
    code = "".join(path.read_text() for path in (ROOT / "connector" / "source").glob("*.py"))
    raised = set(re.findall(r'WalkAborted\(\s*"(\w+)"', code))
    documented = {name for row in _tables()["reason/meaning"] for name in _names(row[0])}
    assert documented == raised
