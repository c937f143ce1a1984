"""Parses switches and faults from text: the header ``X-Simulate`` and options of ``simulate``.

``order=oldest, era=sunset`` sets switches, ``rate_limited;retry_after=120`` names a fault; both
can be combined, separated by commas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any, Final, get_args, get_type_hints

from connector.simulator.behaviour import Behaviour
from connector.simulator.faults import KINDS, Fault

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SETTABLE: Final = frozenset(field.name for field in fields(Behaviour)) - {"rates", "faults", "quota"}


def parse_directives(text: str, behaviour: Behaviour) -> tuple[Behaviour, Fault | None]:
    """Return *behaviour* with the switches in *text*, and the fault it names; raises ``ValueError``."""
    switches: dict[str, object] = {}
    fault = None
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, rest = item.partition(";")
        if "=" in name:
            switch, _, value = name.partition("=")
            switches[switch.strip()] = read(switch.strip(), value.strip())
        else:
            fault = _fault(name.strip(), rest)
    return replace(behaviour, **_typed(switches)), fault


def read(name: str, text: str) -> object:
    """Parse the value of the switch *name*; raises ``ValueError`` that lists what is accepted."""
    if name == "quota" and text == "off":
        return None
    if name not in _SETTABLE:
        raise ValueError(
            f"unknown switch {name!r}; expected one of {', '.join(sorted(_SETTABLE))}, quota=off"
        )
    hint = get_type_hints(Behaviour)[name]
    for reader in _readers(hint):
        try:
            return reader(text)
        except ValueError:
            continue
    raise ValueError(f"{name}: expected {_possible(hint)}, got {text!r}")


def _fault(name: str, rest: str) -> Fault:
    if name not in KINDS:
        raise ValueError(f"unknown fault {name!r}; expected one of {', '.join(sorted(KINDS))}")
    hints = get_type_hints(Fault)
    values: dict[str, object] = {}
    for part in filter(None, (item.strip() for item in rest.split(";"))):
        key, _, value = part.partition("=")
        if key not in hints or key == "kind":
            raise ValueError(
                f"unknown parameter {key!r} of a fault; expected {', '.join(sorted(hints.keys() - {'kind'}))}"
            )
        values[key] = next(kind for kind in (float, int, str) if kind in get_args(hints[key]))(value)
    return Fault(name, **_typed(values))


def _readers(hint: Any) -> list[Callable[[str], object]]:
    parts = get_args(hint) or (hint,)
    words = {
        str(word): word for part in parts for word in (get_args(part) or (part,)) if isinstance(word, str)
    }
    readers: list[Callable[[str], object]] = [_word(words)] if words else []
    if type(None) in parts:
        readers.append(_word({"none": None, "off": None}))
    known: Mapping[Any, Callable[[str], object]] = {bool: _truth, int: int, timedelta: _duration, str: str}
    return readers + [reader for kind, reader in known.items() if kind in parts]


def _word(words: Mapping[str, object]) -> Callable[[str], object]:
    def reader(text: str) -> object:
        if text not in words:
            raise ValueError(text)
        return words[text]

    return reader


def _truth(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(text)
    return text == "true"


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(-?[0-9]+(?:\.[0-9]+)?)([smhd])", text)
    if not match:
        raise ValueError(text)
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def _possible(hint: Any) -> str:
    parts = get_args(hint) or (hint,)
    names = {int: "a number", timedelta: "a duration such as 30s", bool: "true, false", str: "a text"}
    types = [names.get(part) or ("none" if part is type(None) else None) for part in parts]
    words = [word for part in parts for word in (get_args(part) or (part,)) if isinstance(word, str)]
    return ", ".join([*words, *filter(None, types)])


def _typed(values: dict[str, object]) -> dict[str, Any]:
    return values
