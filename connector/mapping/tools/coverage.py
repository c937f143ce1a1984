"""Coverage of a mapping: where each API field goes, and which fields of the format are filled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from connector.errors import Problem
from connector.mapping.language.pack import Pack
from connector.mapping.schemas import lookup, names
from connector.mapping.schemas.fields import RECORD_FIELDS
from connector.mapping.tools.lineage import LineageTracer

REST = "rest"
"""The target of a field that ``rest`` keeps."""

SUCCESSORS: Mapping[str, str] = MappingProxyType(
    {
        "action_log.completed_timestamp": "action_log.completed_at",
        "properties.whitelisted_pattern_type": "properties.allowlisted_pattern_type",
        "sent_date": "sent_at",
        "ts": "scanned_at",
    }
)
"""Deprecated fields, and the fields that replaced them."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a mapping uses.

    Args:
        fields: each field of the API that holds a value, with the targets that may carry it; ``rest`` is one.
        standard: the targets that the format lists.
        own: the targets that it does not list, such as those below the vendor's name.
        unused: what the format lists besides, in its order; empty where it lists nothing.
    """

    fields: Mapping[str, tuple[str, ...]]
    standard: tuple[str, ...]
    own: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def unmapped(self) -> tuple[str, ...]:
        """The fields that nothing carries."""
        return tuple(path for path, targets in self.fields.items() if not targets)


def coverage(pack: Pack) -> Coverage:
    """Read off the rules of *pack* what it uses; a field that only decides something is not carried."""
    tracer = LineageTracer(pack)
    carried = {target: tracer.rule(item.rule).all() for target, item in pack.fields.items()}
    fields: dict[str, tuple[str, ...]] = {}
    for path in leaves():
        steps = tuple(path.split("."))
        carriers = [target for target, paths in carried.items() if any(_begins(steps, one) for one in paths)]
        if pack.rest is not None and not any(_begins(steps, one) for one in pack.rest.without):
            carriers.append(REST)
        fields[path] = tuple(carriers)
    targets = [*pack.fields, *(f"{name}Label" for name in pack.labels)]
    listed = frozenset(names(pack.format))
    return Coverage(
        fields,
        tuple(target for target in targets if target in listed),
        tuple(target for target in targets if target not in listed),
        tuple(name for name in names(pack.format) if name not in set(targets) and lookup(pack.format, name)),
    )


def leaves() -> list[str]:
    """The fields of a record that hold values instead of other fields, without the marks of lists."""
    every = [path.replace("[]", "") for path in RECORD_FIELDS]
    return [path for path in every if not any(other.startswith(f"{path}.") for other in every)]


def unmapped_fields(pack: Pack) -> Iterator[Problem]:
    """A warning for each current API field that neither a rule nor the rest maps, with its position."""
    if not pack.fields and pack.rest is None:
        return
    lost = [path for path in coverage(pack).unmapped if path not in SUCCESSORS]
    if pack.rest is None:
        if lost:
            place = next(iter(pack.fields.values())).position
            yield Problem(f"no rule maps {_some_of(lost)}", place, "rest: {into: ...} would keep them")
        return
    for path, place in zip(pack.rest.without, pack.rest.places, strict=True):
        below = [one for one in lost if _begins(tuple(one.split(".")), path)]
        if below:
            yield Problem(f"no rule maps {_some_of(below)}, and rest excludes it", place)


def _begins(path: tuple[str, ...], start: tuple[str, ...]) -> bool:
    return path[: len(start)] == start


def _some_of(paths: list[str]) -> str:
    more = len(paths) - _MAX_LISTED
    return ", ".join(paths[:_MAX_LISTED]) + (
        f" and {more} more; mapping coverage lists them" if more > 0 else ""
    )


_MAX_LISTED = 8
"""Paths named in one line of the report; the rest is counted."""
