"""Collects the unmapped fields of a record (``rest``), so that no field is ever lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from connector.mapping.engine.conform import FITS, TEXT_FIELDS, all_text, conform
from connector.mapping.engine.plan import Plan
from connector.mapping.functions.values import CONTAINERS, NUMBERS, Losses, Value, absent, compact, text
from connector.mapping.language.grammar import RECORD, From
from connector.model import Body, JsonObject

Returned: TypeAlias = AbstractSet[str]
"""Top-level fields that return to the rest because a value of theirs did not fit its target."""

CollectRest: TypeAlias = Callable[[JsonObject, Returned, JsonObject, list[str]], None]
"""Adds the rest of a body, with the returned fields, to an object; notes values of a wrong type."""

_WORDS = re.compile(r"[A-Za-z0-9]+")
_MAX_CACHED_NAMES = 1000
"""Field names whose form is remembered; records of the API have about a hundred."""

_LINEAR_SEARCH_LIMIT = 4
"""Lost values that are compared one by one; for more than these an index is worth building."""


def record_misfits(
    name: str, reads: Iterable[str], lost: Losses, body: Body, notes: list[str], returned: set[str]
) -> None:
    """Note why values did not fit *name*, and return the fields they came from to the rest."""
    notes.extend([f"{name}: {reason}" for reason in dict.fromkeys([reason for reason, _ in lost]) if reason])
    if len(lost) <= _LINEAR_SEARCH_LIMIT:
        for _, value in lost:
            returned.update([field for field in reads if _holds(body.get(field), value)] or reads)
    else:
        holders = _holders(reads, body)
        for identity in {id(value) for _, value in lost}:
            returned.update(holders.get(identity) or reads)
    lost.clear()


def _holders(reads: Iterable[str], body: Body) -> Mapping[int, set[str]]:
    """Fields by the identity of what they hold: an email may have thousands of recipients that do not fit.

    Many of them may be one: redaction puts one text in the place of many.
    """
    consumed: dict[int, set[str]] = {}
    for field in reads:
        value = body.get(field)
        for item in (value, *value) if type(value) is list else (value,):
            consumed.setdefault(id(item), set()).add(field)
    return consumed


def _holds(field: Value, value: Value) -> bool:
    return field is value or (type(field) is list and any(item is value for item in field))


def build_rest(plan: Plan) -> CollectRest | None:
    """The function that collects the rest of a record; ``None`` where the mapping keeps no rest."""
    if plan.pack.rest is None:
        return None
    without = _without(plan)
    if plan.nested:
        return _nested(without, frozenset(_occupied(plan)), plan.pack.rest.malformed)
    return _flat(plan.pack.rest.into, without, plan.targets | {f"{name}Label" for name in plan.pack.labels})


def _nested(
    without: Mapping[str, frozenset[str]], occupied: AbstractSet[str], malformed: str | None
) -> CollectRest:
    dropped = frozenset(key for key, inner in without.items() if not inner)
    taken_names = occupied if malformed is None else occupied | {malformed}
    special = taken_names | (without.keys() - dropped)
    quickly = _verbatim if malformed is None else _typed(malformed)
    put_typed = _typed_placer(malformed)

    def collect(body: JsonObject, returned: Returned, rest: JsonObject, notes: list[str]) -> None:
        if body.keys().isdisjoint(special):
            quickly(body, dropped - returned if returned else dropped, rest, notes)
            return
        taken = {*body, *rest}
        for key, value in body.items():
            kept = value if key not in without or key in returned else _without_paths(value, without[key])
            if not absent(kept):
                free = _unused_key(key, taken_names, taken) if key in taken_names else key
                taken.add(free)
                put_typed(key, free, kept, rest, notes)

    return collect


def _verbatim(body: JsonObject, out: AbstractSet[str], rest: JsonObject, notes: list[str]) -> None:
    del notes
    for key, value in body.items():  # no mapping spends more time anywhere else
        if key not in out and (value or type(value) in NUMBERS):
            rest[key] = value


def _typed(malformed: str) -> Callable[[JsonObject, AbstractSet[str], JsonObject, list[str]], None]:
    put_typed = _typed_placer(malformed)
    texts, fits = TEXT_FIELDS, dict(FITS)

    def collect(body: JsonObject, out: AbstractSet[str], rest: JsonObject, notes: list[str]) -> None:
        for key, value in body.items():
            if key in out or not (value or type(value) in NUMBERS):
                continue
            if key in texts:
                if type(value) is str or (type(value) is list and all_text(value)):
                    rest[key] = value
                else:
                    put_typed(key, key, value, rest, notes)
            elif key not in fits or fits[key](value):
                rest[key] = value
            else:
                put_typed(key, key, value, rest, notes)

    return collect


def _typed_placer(malformed: str | None) -> Callable[[str, str, Value, JsonObject, list[str]], None]:
    """The function that puts the record's field *key* into the rest as *name*, in its documented type."""

    def put(key: str, name: str, value: Value, rest: JsonObject, notes: list[str]) -> None:
        if malformed is None or key not in FITS or FITS[key](value):
            rest[name] = value
            return
        typed, keeps_original = conform(key, value, notes)
        if typed is not None:
            rest[name] = typed
        if keeps_original:
            rest.setdefault(malformed, {})[name] = value

    return put


def _flat(into: str, without: Mapping[str, frozenset[str]], occupied: AbstractSet[str]) -> CollectRest:
    names: dict[tuple[str, ...], str] = {}

    def name_of(path: tuple[str, ...]) -> str:
        if path not in names:
            if len(names) >= _MAX_CACHED_NAMES:
                names.clear()
            words = (word for step in path for word in _WORDS.findall(step))
            names[path] = into + "".join(word[0].upper() + word[1:] for word in words)
        return names[path]

    dropped = frozenset(key for key, inner in without.items() if not inner)

    def collect(body: JsonObject, returned: Returned, rest: JsonObject, notes: list[str]) -> None:
        del notes  # every value becomes text
        out = dropped - returned if returned else dropped
        for key in [key for key in body if key not in out]:
            value = body[key]
            if not value and type(value) in CONTAINERS:
                continue
            if key in without and key not in returned:
                if type(value) is dict and without[key].issuperset(value):
                    continue
                value = _without_paths(value, without[key])
            for path, line in _lines((key,), value):
                rest[_numbered_name(name_of(path), rest, occupied)] = line

    return collect


def _without(plan: Plan) -> Mapping[str, frozenset[str]]:
    """Fields that stay out: by name, with what inside them; empty for the whole field."""
    rest = plan.pack.rest
    children: dict[str, frozenset[str]] = {}
    for path in rest.without if rest else ():
        inner = frozenset((".".join(path[1:]),)) if len(path) > 1 else frozenset()
        known = children.get(path[0])
        children[path[0]] = inner if known is None else (known | inner if known and inner else frozenset())
    return {**children, **dict.fromkeys(_shown_in_place(plan), frozenset())}


def _shown_in_place(plan: Plan) -> Iterator[str]:
    """Fields that the mapping itself writes where the rest would put them."""
    rest = plan.pack.rest
    start = "" if rest is None or rest.into == "." else f"{rest.into}."
    for step in plan.steps:
        name = step.name.removeprefix(start)
        if step.name.startswith(start) and isinstance(step.rule.source, From):
            ref = step.rule.source.ref
            if ref.root == RECORD and ref.path == (name,):
                yield name


def _occupied(plan: Plan) -> Iterator[str]:
    """Names inside the rest that fields of the mapping take."""
    rest = plan.pack.rest
    start = "" if rest is None or rest.into == "." else f"{rest.into}."
    for step in plan.steps:
        if step.name.startswith(start):
            yield step.name.removeprefix(start).split(".")[0]


def _without_paths(value: Value, inner: AbstractSet[str]) -> Value:
    """*value* without the paths of *inner* in it; nothing where the whole field stays out."""
    if not inner:
        return None
    if type(value) is list:
        return [_without_paths(item, inner) if type(item) is dict else item for item in value]
    if type(value) is not dict:
        return value
    kept = {}
    for key, item in value.items():
        if key not in inner:
            below = frozenset(path[len(key) + 1 :] for path in inner if path.startswith(f"{key}."))
            kept[key] = _without_paths(item, below) if below else item
    return kept


def _unused_key(key: str, occupied: Collection[str], taken: Collection[str]) -> str:
    """*key* with so many ``_`` after it that nothing else has it."""
    while key in occupied or key in taken:
        key += "_"
    return key


def _lines(path: tuple[str, ...], value: Value) -> Iterator[tuple[tuple[str, ...], str]]:
    """Texts by path: objects are opened, lists joined."""
    if type(value) is dict:
        if len(path) > _MAX_LEVELS:
            yield path, compact(value)
            return
        for key, item in value.items():
            yield from _lines((*path, key), item)
    elif value is not None:
        line = text(value)
        if line:
            yield path, line


_MAX_LEVELS = 8
"""Levels of an object that become names of their own; deeper ones stay JSON text."""


def _numbered_name(name: str, taken: Collection[str], occupied: Collection[str]) -> str:
    """*name*, or with a number after it where it is taken."""
    free, number = name, 1
    while free in taken or free in occupied:
        number += 1
        free = f"{name}{number}"
    return free
