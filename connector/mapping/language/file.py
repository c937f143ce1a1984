"""Parses one mapping file into its sections. Values keep their positions; ``null`` deletes inherited ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field

from connector.errors import Position
from connector.mapping.language.grammar import Rule
from connector.mapping.language.refs import config_error, expect_mapping, parse_ref
from connector.mapping.language.rules import parse_rule
from connector.mapping.schemas.encoding import SHAPES
from connector.model import JsonObject
from connector.values import dataclass
from connector.yaml_nodes import Node, Plain, suggestion

KEYS = ("mapping", "format", "extends", "tables", "derive", "fields", "labels", "rest", "tests")
GIVEN = ("$account", "$search", "$collected", "$revision", "$previous", "$enrichment", "$gone", "$throttled")

REST_KEYS = ("into", "without", "malformed")

DELETABLE = ("tables", "derive", "fields", "labels")
"""Sections in which ``null`` removes an inherited entry."""

_VERSION = 1
"""The version of the mapping language, as ``mapping: 1`` names it."""

_KEY = re.compile(r"[^\s.${}\[\]]+")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Field:
    """The rule of one target, and the position of the target."""

    rule: Rule
    position: Position


@dataclass(frozen=True, slots=True)
class Table:
    """Entries by key; ``*`` is for every other key."""

    entries: Mapping[str, Plain]
    position: Position


@dataclass(frozen=True, slots=True)
class Label:
    """The fixed text of a label field."""

    text: str
    position: Position


@dataclass(frozen=True, slots=True)
class Rest:
    """Where the rest of the record goes, and which fields of it do not.

    *malformed* is a key inside ``into`` for values of documented fields that do not have their type; without
    one they stay with the others.
    """

    into: str
    without: tuple[tuple[str, ...], ...]
    position: Position
    places: tuple[Position, ...] = ()
    malformed: str | None = None


@dataclass(frozen=True, slots=True)
class InlineTest:
    """One inline test: a record, and what some targets must be."""

    name: str
    given: JsonObject
    expect: Mapping[str, Plain]
    position: Position


@dataclass(frozen=True, slots=True)
class MappingFile:
    """The sections of one file, before inheritance; ``None`` inside them deletes."""

    name: str
    position: Position
    format: str | None = None
    extends: str | None = None
    extends_at: Position | None = None
    tables: Mapping[str, Table | None] = field(default_factory=dict)
    derive: Mapping[str, Rule | None] = field(default_factory=dict)
    fields: Mapping[str, Field | None] = field(default_factory=dict)
    labels: Mapping[str, Label | None] = field(default_factory=dict)
    rest: Rest | None = None
    drops_rest: bool = False
    tests: tuple[InlineTest, ...] = ()
    deletes: Mapping[tuple[str, str], Position] = field(default_factory=dict)
    """Section and key of each ``null``, with its place."""


def read_mapping_file(name: str, node: Node) -> MappingFile:
    """Read the file *name*; raises ``ConfigurationError`` at the first thing that is wrong."""
    file = expect_mapping(node, "a mapping file")
    for key in file:
        if key not in KEYS:
            raise config_error(
                f"{key} is not a section of a mapping file", node.keys[key], suggestion(key, KEYS)
            )
    if "mapping" not in file or file["mapping"].value != _VERSION or file["mapping"].value is True:
        place = file["mapping"].position if "mapping" in file else node.position
        raise config_error("expected a mapping file of version 1", place, "the first line must be mapping: 1")
    rest = file.get("rest")
    return MappingFile(
        name,
        node.position,
        _word(file.get("format"), "format", SHAPES),
        _word(file.get("extends"), "extends", None),
        file["extends"].position if "extends" in file else None,
        {key: _table(key, value) for key, value in _section(file, "tables")},
        {key: _derived(file["derive"], key, value) for key, value in _section(file, "derive")},
        {key: _field(file["fields"], key, value) for key, value in _section(file, "fields")},
        {key: _label(key, value) for key, value in _section(file, "labels")},
        _rest(rest) if rest is not None and rest.value is not None else None,
        rest is not None and rest.value is None,
        tuple(_case(item) for item in _items(file.get("tests"), "tests")),
        {
            (name, key): file[name].keys[key]
            for name in DELETABLE
            for key, value in _section(file, name)
            if value.value is None
        },
    )


def _section(file: Mapping[str, Node], name: str) -> list[tuple[str, Node]]:
    node = file.get(name)
    return [] if node is None or node.value is None else list(expect_mapping(node, name).items())


def _items(node: Node | None, name: str) -> list[Node]:
    if node is None or node.value is None:
        return []
    if not isinstance(node.value, list):
        raise config_error(f"{name} must be a list", node.position)
    return node.value


def _word(node: Node | None, name: str, known: Mapping[str, object] | None) -> str | None:
    if node is None or node.value is None:
        return None
    if not isinstance(node.value, str):
        raise config_error(f"{name}: expected a name", node.position)
    if known is not None and node.value not in known:
        raise config_error(f"there is no {name} {node.value}", node.position, suggestion(node.value, known))
    return node.value


def _table(name: str, node: Node) -> Table | None:
    if node.value is None:
        return None
    entries = expect_mapping(node, f"the table {name}")
    return Table({key: value.plain() for key, value in entries.items()}, node.position)


def _derived(section: Node, name: str, node: Node) -> Rule | None:
    if not _NAME.fullmatch(name):
        raise config_error(f"{name!r} cannot be the name of a derived value", section.keys[name],
                    "use lower-case letters, digits and _, without the $")  # fmt: skip
    return None if node.value is None else parse_rule(node)


def _field(section: Node, name: str, node: Node) -> Field | None:
    if not name or not all(name.split(".")):
        raise config_error(f"{name!r} is not a valid field name", section.keys[name])
    return None if node.value is None else Field(parse_rule(node), section.keys[name])


def _label(name: str, node: Node) -> Label | None:
    if node.value is None:
        return None
    if not isinstance(node.value, str) or not node.value:
        raise config_error(f"the label of {name}: expected text", node.position)
    return Label(node.value, node.position)


def _rest(node: Node) -> Rest:
    section = expect_mapping(node, "rest")
    for key in section:
        if key not in REST_KEYS:
            raise config_error(f"{key} is not part of rest", node.keys[key], suggestion(key, REST_KEYS))
    into = section.get("into")
    if into is None or not isinstance(into.value, str) or not into.value:
        raise config_error("rest: expected into, the place for unmapped fields", node.position)
    without = _items(section.get("without"), "without")
    for item in without:
        if not isinstance(item.value, str):
            raise config_error("without: expected a list of record fields", item.position)
    paths = tuple(parse_ref(str(item.value), item.position).path for item in without)
    malformed = section.get("malformed")
    if malformed is not None and not _KEY.fullmatch(str(malformed.value)):
        raise config_error("rest.malformed: expected one name without dots", malformed.position)
    return Rest(
        into.value,
        paths,
        node.position,
        tuple(item.position for item in without),
        None if malformed is None else str(malformed.value),
    )


def _case(node: Node) -> InlineTest:
    section = expect_mapping(node, "a test")
    for key in section:
        if key not in ("name", "given", "expect"):
            raise config_error(f"{key} is not part of a test", node.keys[key],
                        suggestion(key, ("name", "given", "expect")))  # fmt: skip
    if not {"name", "given", "expect"} <= set(section):
        raise config_error("a test must have name, given and expect", node.position)
    given, expect = expect_mapping(section["given"], "given"), expect_mapping(section["expect"], "expect")
    for key in given:
        if key.startswith("$") and key not in GIVEN:
            raise config_error(
                f"{key} is not allowed in given", section["given"].keys[key], suggestion(key, GIVEN)
            )
    return InlineTest(
        str(section["name"].value),
        {key: value.plain() for key, value in given.items()},
        {key: value.plain() for key, value in expect.items()},
        node.position,
    )
