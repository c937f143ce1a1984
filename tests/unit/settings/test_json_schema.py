"""JSON Schema for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from connector.cli.schema import command
from connector.outputs import names
from connector.settings.json_schema import json_schema
from connector.yaml_nodes import parse
from tests.unit.settings.support import MINIMAL

EXAMPLES = sorted((Path(__file__).parents[3] / "deploy" / "examples").glob("*.yaml"))


@cache
def validator() -> Draft202012Validator:
    schema = json.loads(CliRunner().invoke(command, ["config"]).output)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def faults(text: str) -> list[str]:
    """What an editor would mark."""
    found: Iterator[Any] = validator().iter_errors(parse(text, "x").plain())
    return [error.message for error in found]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_editor_marks_nothing_in_an_example(file: Path) -> None:
    assert faults(file.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "wrong", ["    tyype: stdout\n", "    timeout: [5s]\n", "    backlog: {max: 1GiB}\n"]
)
def test_an_editor_marks_what_the_loader_refuses(wrong: str) -> None:
    assert faults(MINIMAL) == []
    assert faults(MINIMAL + wrong) != []


def test_it_describes_every_part_and_every_output_type() -> None:
    schema = json_schema()

    assert set(schema["properties"]) >= {"accounts", "searches", "outputs", "state", "server", "log", "drain"}
    assert "required" not in schema
    assert schema["additionalProperties"] is False
    kinds = schema["properties"]["outputs"]["patternProperties"]["^[a-z][a-z0-9_]*$"]["oneOf"]
    models = [schema["$defs"][kind["$ref"].rpartition("/")[2]] for kind in kinds]
    assert sorted(model["properties"]["type"]["const"] for model in models) == names()
    assert all("type" in model["required"] for model in models)


def test_numbers_and_flags_may_be_references() -> None:
    search = json_schema()["$defs"]["Search"]["properties"]

    assert search["per_page"]["anyOf"] == [
        {"maximum": 1000, "minimum": 1, "type": "integer"},
        {"type": "string", "pattern": r"\$\{(env|file):"},
    ]
    assert search["per_page"]["default"] == 1000


def test_defaults_are_written_as_a_file_takes_them() -> None:
    search = json_schema()["$defs"]["Search"]["properties"]

    assert search["every"]["default"] == "1m"
    assert search["revisit"]["default"] == ["5m", "1h", "4h", "1d", "7d"]


def test_secrets_are_marked() -> None:
    token = json_schema()["$defs"]["Account"]["properties"]["api_token"]

    assert {"type": "string", "format": "password", "writeOnly": True} in token["anyOf"]
