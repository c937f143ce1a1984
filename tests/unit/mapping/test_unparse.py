"""A rule that is shown reads back as the very rule that it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from connector.mapping import Library, Pack
from connector.mapping.language.pack import rules
from connector.mapping.language.rules import parse_rule
from connector.mapping.language.unparse import unparse
from connector.yaml_nodes import parse
from tests.properties.test_mapping_equality import EVERYTHING
from tests.unit.mapping.packs import pack_of

ODD = """
derive:
  a: {const: "$dollar", when: {id: ["$$x", "a: b", "true", true, null, 1.5]}, else: "$$y"}
  b: {const: {k: [1, "x, y", {z: 0}], m: false}, else: {from: subject, as: {truncate: 3}}}
  c: {template: '{{ {id} }} " : {$code}\\'}
  d: {from: to, as: [{only: [a, "b c"]}, {only: {gte: 3, lte: "9"}}, {pick: {.: x, name: {exists: false}}}]}
  e: {const: 1, when: {all: [{id: {contains: $code}}, {any: [{id: a}, {not: {id: b, to: c}}]}]}}
  f: {from: findings, as: [{each: {"x y": ., n: {from: name, else: none}}}, {max_by: a.b}, {join: ", "}]}
  g: {first_of: [{const: ""}, {from: id, when: {not: {id: {matches: ["*a"]}}}, else: {from: to}}], else: null}
  h: {from: to, as: {only: {.: {gte: 1}, not: {.: x}}}, else: {const: {a: b}}}
fields: {x: $a}
"""  # fmt: skip


def bare(value: Any) -> Any:
    """*value* without places, to compare by."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if field.name != "position"]
        return (type(value).__name__, *((name, bare(getattr(value, name))) for name in names))
    if isinstance(value, Mapping):
        return {key: bare(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [bare(item) for item in value]
    return (type(value).__name__, value)


def check(pack: Pack) -> None:
    for name, rule in rules(pack):
        text = unparse(rule)
        again = parse(f"r: {text}", "again.yaml").value
        assert isinstance(again, dict)
        assert bare(parse_rule(again["r"])) == bare(rule), f"{name}: {text}"
        assert "\n" not in text


@pytest.mark.parametrize("name", Library().names())
def test_every_rule_of_a_pack_reads_back(name: str) -> None:
    check(Library().load(name))


@pytest.mark.parametrize("text", [EVERYTHING, ODD])
def test_every_part_of_the_grammar_reads_back(tmp_path: Path, text: str) -> None:
    check(pack_of(tmp_path, text))


def test_a_rule_is_shown_as_a_person_would_write_it(tmp_path: Path) -> None:
    pack = pack_of(tmp_path, "fields: {a: id, b: {as: [addresses], from: to}, c: {const: 1, else: no}}")

    assert [unparse(pack.fields[name].rule) for name in "abc"] == [
        "id",
        "{from: to, as: addresses}",
        "{const: 1, else: no}",
    ]
