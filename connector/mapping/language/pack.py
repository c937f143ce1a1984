"""A pack: a mapping merged with everything it inherits, ready for planning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import TypeVar

from connector.errors import Position
from connector.mapping.language.file import DELETABLE, Field, InlineTest, Label, MappingFile, Rest, Table
from connector.mapping.language.grammar import Rule
from connector.values import dataclass
from connector.yaml_nodes import Plain

PROVIDED: Mapping[str, tuple[str, ...]] = {
    "account": ("id", "name"),
    "search": (),
    "collected": (),
    "revision": (),
    "identity": (),
    "change": ("fields", "previous", "gone"),
    "enrichment": (),
    "throttled": (),
    "record": (),
}
"""Names that every mapping may read with a ``$``, with their keys where those are fixed."""

TIME, SEVERITY, CODE = "time", "severity", "code"
ENVELOPE = (TIME, SEVERITY, CODE)
"""Derived values that outputs need beside the document."""

_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Pack:
    """One usable mapping.

    *files* names what it was made of, the mapping itself first; *useless_deletes* are the places
    that delete something that nothing defines.
    """

    name: str
    format: str
    tables: Mapping[str, Table]
    derive: Mapping[str, Rule]
    fields: Mapping[str, Field]
    labels: Mapping[str, Label]
    rest: Rest | None
    tests: tuple[InlineTest, ...]
    files: tuple[str, ...]
    useless_deletes: Mapping[tuple[str, str], Position] = field(default_factory=dict)


def merge(documents: Sequence[MappingFile]) -> Pack:
    """One pack of *documents*, the most general first; later ones win by key, ``null`` deletes."""
    last = documents[-1]
    rest: Rest | None = None
    for document in documents:
        rest = None if document.drops_rest else document.rest or rest
    return Pack(
        last.name,
        next((document.format for document in reversed(documents) if document.format), "json"),
        _tables([document.tables for document in documents]),
        _merged([document.derive for document in documents]),
        _merged([document.fields for document in documents]),
        _merged([document.labels for document in documents]),
        rest,
        last.tests,
        tuple(document.position.file for document in reversed(documents)),
        _useless_deletes(documents),
    )


def _useless_deletes(documents: Sequence[MappingFile]) -> dict[tuple[str, str], Position]:
    given: set[tuple[str, str]] = set()
    useless_deletes: dict[tuple[str, str], Position] = {}
    for document in documents:
        useless_deletes |= {key: place for key, place in document.deletes.items() if key not in given}
        for name in DELETABLE:
            given |= {(name, key) for key in getattr(document, name)}
        given -= document.deletes.keys()
    return useless_deletes


def _merged(sections: Sequence[Mapping[str, _V | None]]) -> dict[str, _V]:
    merged: dict[str, _V] = {}
    for section in sections:
        for key, value in section.items():
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = value
    return merged


def _tables(sections: Sequence[Mapping[str, Table | None]]) -> dict[str, Table]:
    merged: dict[str, Table] = {}
    for section in sections:
        for key, table in section.items():
            if table is None:
                merged.pop(key, None)
                continue
            known: Mapping[str, Plain] = merged[key].entries if key in merged else {}
            entries = {name: value for name, value in {**known, **table.entries}.items() if value is not None}
            merged[key] = replace(table, entries=entries)
    return merged


def rules(pack: Pack) -> Iterator[tuple[str, Rule]]:
    """Every rule of *pack* by what it fills: ``$name`` or a target."""
    for name, rule in pack.derive.items():
        yield f"${name}", rule
    for target, item in pack.fields.items():
        yield target, item.rule
