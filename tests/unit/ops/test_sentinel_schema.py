"""The table of Microsoft Sentinel has a column for everything that rows can hold, with a type that fits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from connector.cli import group
from connector.errors import ConfigurationError
from connector.mapping import Library
from connector.ops.sentinel_schema import TABLE, columns, template
from tests.golden.test_packs import events
from tests.unit.app.test_audit_events import audit
from tests.unit.app.test_heartbeat import made as heartbeat

_INT = range(-(1 << 31), 1 << 31)


def declared(mapping: str = "asim", *folders: Path) -> dict[str, str]:
    library = Library(folders)
    return {column.name: column.type for column in columns(library, library.load(mapping))}


def fits(value: Any, kind: str) -> bool:
    if kind == "dynamic":
        return True
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in {"int", "long", "real"}:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (kind != "int" or value in _INT)
    if kind == "datetime":
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    return kind == "string" and isinstance(value, str)


def rows() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every row of the golden revisions, a heartbeat and an audit event."""
    for name, event in events("asim").items():
        yield name, orjson.loads(event.payload)
    yield "heartbeat", orjson.loads(heartbeat("asim").payload)
    yield "audit event", orjson.loads(audit("asim"))


def test_every_key_of_every_row_is_a_column_of_a_type_that_takes_the_value() -> None:
    types = declared()

    for name, row in rows():
        wrong = {key: value for key, value in row.items() if not fits(value, types.get(key, "absent"))}
        assert wrong == {}, name


def test_rule_and_table_declare_the_same_columns_in_both_languages() -> None:
    found = columns(Library(), Library().load("asim"))
    arm = json.loads(template(TABLE, found, "arm"))
    bicep = template(TABLE, found, "bicep")

    table, rule, role = arm["resources"]
    stream = rule["properties"]["streamDeclarations"][f"Custom-{TABLE}"]["columns"]
    stored = table["properties"]["schema"]["columns"]
    assert [one["name"] for one in stream] == [one["name"] for one in stored] == [one.name for one in found]
    assert [one["type"] for one in stream] == [one["type"].lower() for one in stored]
    assert table["name"] == f"[format('{{0}}/{TABLE}', parameters('workspaceName'))]"
    assert table["properties"]["schema"]["name"] == TABLE
    assert rule["kind"] == "Direct"
    assert rule["properties"]["dataFlows"][0]["outputStream"] == f"Custom-{TABLE}"
    assert role["condition"] == "[not(empty(parameters('principalId')))]"
    written = re.findall(r"\{ name: '(\w+)', type: '(\w+)' \}", bicep)
    assert written == [(one["name"], one["type"]) for one in [*stored, *stream]]
    assert set(arm["parameters"]) == set(re.findall(r"^param (\w+) string", bicep, re.MULTILINE))
    assert set(arm["outputs"]) == set(re.findall(r"^output (\w+) string", bicep, re.MULTILINE))
    for resource in arm["resources"]:
        assert f"'{resource['type']}@{resource['apiVersion']}'" in bicep


def test_brackets_and_quotes_of_the_bicep_file_pair() -> None:
    text = template(TABLE, columns(Library(), Library().load("asim")), "bicep")
    bare = re.sub(r"'(?:[^'\\\n]|\\.)*'", "", text)

    assert "'" not in bare
    open_ones: list[str] = []
    for sign in re.findall(r"[][{}()]", bare):
        if sign in "[{(":
            open_ones.append(sign)
        else:
            assert open_ones.pop() + sign in {"[]", "{}", "()"}
    assert open_ones == []
    defined = set(re.findall(r"^resource (\w+) ", text, re.MULTILINE))
    assert {"workspace", "table", "rule", "publisher"} == defined


def test_a_mapping_of_ones_own_brings_its_columns(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "mapping: 1\nextends: asim\nfields:\n  Team: {const: emea}\n  Tags: {all_of: [$domains]}\n"
        "  EmailDirection: null\n"
    )

    types = declared("mine", tmp_path)

    assert types["Team"] == "string"
    assert types["Tags"] == "dynamic"
    assert "EmailDirection" not in types


def test_a_mapping_without_a_time_column_gets_one() -> None:
    assert declared("ocsf")["TimeGenerated"] == "datetime"


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ("ecs", "@timestamp is no column name"),
        ("raw", "cannot be declared"),
        ("cef", "a table needs JSON"),
    ],
)
def test_a_mapping_whose_rows_no_table_can_hold_is_refused(mapping: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        declared(mapping)


def test_reserved_names_are_refused_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mapping: 1\nextends: asim\nfields: {Title: subject}\n")

    with pytest.raises(ConfigurationError, match=r"mine\.yaml:3.*Title is reserved"):
        declared("mine", tmp_path)


def test_the_command_prints_what_ships() -> None:
    shipped = Path(__file__).parents[3] / "deploy" / "sentinel"

    arm = CliRunner().invoke(group, ["schema", "sentinel"])
    bicep = CliRunner().invoke(group, ["schema", "sentinel", "--form", "bicep"])
    wrong = CliRunner().invoke(group, ["schema", "sentinel", "--table", "Mail"])

    assert arm.stdout == (shipped / "azuredeploy.json").read_text()
    assert bicep.stdout == (shipped / "main.bicep").read_text()
    assert wrong.exit_code != 0
