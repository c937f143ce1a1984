"""The schema for editors takes what the loader takes, and refuses what it can see is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from connector.cli.schema import command
from connector.mapping import Library, json_schema
from connector.mapping.functions.registry import FUNCTIONS
from connector.mapping.language.library import shipped_directory
from connector.yaml_nodes import parse
from tests.properties.test_mapping_equality import EVERYTHING
from tests.unit.mapping.test_refusals import FILES

ONLY_THE_LOADER_SEES = (
    *("a single { in a template", "a single } in a template", "matches: expected a fixed pattern"),
    *("cannot be both a value and an object", "is a field, so the rest cannot go into it", "has no labels"),
    "is a field, so malformed values cannot go there",
    "depends on itself",
)


@cache
def validator() -> Draft202012Validator:
    schema = json_schema(["ecs"])
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def faults(text: str) -> list[str]:
    found: Iterator[Any] = validator().iter_errors(parse(text, "x.yaml").plain())
    return [error.message for error in found]


@pytest.mark.parametrize(
    "pack", sorted(entry.name for entry in shipped_directory().iterdir() if entry.is_file())
)
def test_every_pack_that_ships_is_as_the_schema_says(pack: str) -> None:
    assert faults((shipped_directory() / pack).read_text("utf-8")) == []


def test_every_part_of_the_grammar_is_as_the_schema_says() -> None:
    assert faults(f"mapping: 1\nformat: json\n{EVERYTHING}") == []


def test_every_function_is_known_to_the_schema() -> None:
    arguments = {
        "nothing": "{name}",
        "length": "{{{name}: 3}}",
        "text": "{{{name}: x}}",
        "path": "{{{name}: score}}",
        "table": "{{{name}: t}}",
        "match": "{{{name}: {{a: 1}}}}",
        "rules": "{{{name}: {{a: .}}}}",
    }

    for name, function in FUNCTIONS.items():
        call = arguments[function.argument_kind].format(name=name)
        assert faults(f"mapping: 1\nfields: {{a: {{from: to, as: {call}}}}}") == [], name


@pytest.mark.parametrize(("text", "message"), FILES)
def test_what_the_loader_refuses_the_schema_refuses_too(text: str, message: str) -> None:
    seen = not any(part in message for part in ONLY_THE_LOADER_SEES)

    assert bool(faults(f"mapping: 1\nformat: json\n{text}")) is seen


def test_a_file_of_another_version_is_refused() -> None:
    for text in ("format: json\n", "mapping: 2\n"):
        assert faults(text)


def test_targets_are_completed_for_a_format_and_for_a_pack_that_is_extended() -> None:
    for text in (
        "mapping: 1\nformat: ecs\nfields: {email.subject: 5}",
        "mapping: 1\nextends: ecs\nfields: {x: 5}",
    ):
        assert faults(text)
    known = [part["then"]["properties"]["fields"]["properties"] for part in json_schema()["allOf"]]

    assert [
        name
        for name in ("email.subject", "cs1", "usrName", "class_uid")
        if not any(name in one for one in known)
    ] == []


def test_the_command_prints_the_schema() -> None:
    done = CliRunner().invoke(command, ["mapping"])

    assert json.loads(done.stdout) == json.loads(json.dumps(json_schema(Library().names())))
