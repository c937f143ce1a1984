"""Collects the unmapped fields of a record (``rest``), so that no field is ever lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import filterfalse
from typing import TypeAlias

from connector.mapping.engine.conform import FITS, conform
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
    if len(lost) == 1:  # nearly always
        reason, value = lost.pop()
        if reason:
            notes.append(f"{name}: {reason}")
        returned.update([field for field in reads if _holds(body.get(field), value)] or reads)
        return
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
    if plan.nested:
        return NestedRest(plan)
    return FlatRest(plan, plan.pack.rest.into)


class NestedRest:
    """The rest of a record in a nested document.

    Attributes:
        dropped: names of fields that are not in it, unless they are returned.
        special: names of fields that are not in it as they are: a part is left out, or the mapping itself
            uses the name.
        parts: names of what is left out of fields, where nothing deeper is; by the names of the fields.
        typed: documented fields are in it in their documented types.
    """

    def __init__(self, plan: Plan) -> None:
        without, rest = _left_out(plan), plan.pack.rest
        self._malformed = None if rest is None else rest.malformed
        self.typed = self._malformed is not None
        self._taken = {*_occupied(plan), *(() if self._malformed is None else (self._malformed,))}
        self._inside = {key: _tree(inner) for key, inner in without.items() if inner}
        self.dropped = without.keys() - self._inside.keys()
        self.special = self._taken | self._inside.keys()
        self.parts = {
            key: frozenset(inner)
            for key, inner in self._inside.items()
            if key not in self._taken and not any(inner.values())
        }

    def __call__(self, body: JsonObject, returned: Returned, rest: JsonObject, notes: list[str]) -> None:
        """Add the rest of *body*, with the *returned* fields, to the object *rest*."""
        out = self.dropped - returned if returned else self.dropped
        special = self.special
        fits = FITS if self._malformed is not None else {}
        for key, value in body.items():
            if key in out or not (value or type(value) in NUMBERS):
                continue
            if key not in special and (key not in fits or fits[key](value)):
                rest[key] = value
            else:
                self.put(key, value, body, returned, rest, notes)

    def put(
        self,
        key: str,
        value: Value,
        body: JsonObject,
        returned: Returned,
        rest: JsonObject,
        notes: list[str],
    ) -> None:
        """Add one field of *body*, under a name that is free and in its documented type."""
        if key in self._inside and key not in returned:
            value = _without(value, self._inside[key])
            if absent(value):
                return
        name = _unused_key(key, self._taken, {*body, *rest}) if key in self._taken else key
        if self._malformed is None or key not in FITS or FITS[key](value):
            rest[name] = value
        else:
            self.put_typed(key, name, value, rest, notes)

    def put_typed(self, key: str, name: str, value: Value, rest: JsonObject, notes: list[str]) -> None:
        """Add the field *key*, which does not have its documented type, under *name*: what fits of it."""
        typed, keeps_original = conform(key, value, notes)
        if typed is not None:
            rest[name] = typed
        if keeps_original and self._malformed is not None:
            rest.setdefault(self._malformed, {})[name] = value


class FlatRest:
    """The rest of a record in a flat document; every value becomes text.

    Attributes:
        dropped: names of fields that are not in it, unless they are returned.
        parts: names of what is left out of fields of which the rest is in it, by the names of the fields.
    """

    def __init__(self, plan: Plan, into: str) -> None:
        without = _left_out(plan)
        self._into = into
        self._occupied = plan.targets | {f"{name}Label" for name in plan.pack.labels}
        self._names: dict[tuple[str, ...], str] = {}
        self.dropped = frozenset(key for key, inner in without.items() if not inner)
        self.parts = {key: inner for key, inner in without.items() if inner}
        self._inside = {key: _tree(inner) for key, inner in self.parts.items()}

    def __call__(self, body: JsonObject, returned: Returned, rest: JsonObject, notes: list[str]) -> None:
        """Add the rest of *body*, with the *returned* fields, to the object *rest*."""
        del notes  # every value becomes text
        out = self.dropped - returned if returned else self.dropped
        for key in filterfalse(out.__contains__, body):
            value = body[key]
            if not value and type(value) in CONTAINERS:
                continue
            if key in self.parts and key not in returned:
                if type(value) is dict and self.parts[key].issuperset(value):
                    continue
                value = _without(value, self._inside[key])
            for path, line in _lines((key,), value):
                rest[_numbered_name(self._name_of(path), rest, self._occupied)] = line

    def _name_of(self, path: tuple[str, ...]) -> str:
        if path not in self._names:
            if len(self._names) >= _MAX_CACHED_NAMES:
                self._names.clear()
            words = (word for step in path for word in _WORDS.findall(step))
            self._names[path] = self._into + "".join(word[0].upper() + word[1:] for word in words)
        return self._names[path]


def _left_out(plan: Plan) -> Mapping[str, frozenset[str]]:
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


_Tree: TypeAlias = dict[str, "_Tree"]


def _tree(paths: Iterable[str]) -> _Tree:
    """Dotted *paths* as a tree; an empty one stands for all that is below."""
    tree: _Tree = {}
    for path in sorted(paths, key=lambda path: path.count(".")):
        branch = tree
        *above, name = path.split(".")
        for step in above:
            if step in branch and not branch[step]:
                break  # the whole of it is left out
            branch = branch.setdefault(step, {})
        else:
            branch[name] = {}
    return tree


def _without(value: Value, out: _Tree) -> Value:
    """*value* without what *out* leads to."""
    if type(value) is list:
        return [_without(item, out) if type(item) is dict else item for item in value]
    if type(value) is not dict:
        return value
    return {
        key: _without(item, out[key]) if key in out else item
        for key, item in value.items()
        if key not in out or out[key]
    }


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
