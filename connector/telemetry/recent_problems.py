"""The warnings and errors of late, for people who look at the status and not at the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.facts import Fact
from connector.model import JsonObject
from connector.telemetry.logs import VARYING, fields_of

_KEPT = 20
_SAID = ("reason", "message", "error", "answer")
"""Fields that say by themselves what is wrong, the best first."""

_ABOUT = ("output", "account", "search", "worker")


@dataclass(slots=True)
class _Trouble:
    level: str
    fact: str
    about: JsonObject
    text: str
    first: datetime
    last: datetime
    count: int = 1


class Troubles:
    """Keeps the last of them; what is the same but for its numbers counts as one."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], _Trouble] = {}

    def take(self, fact: Fact, now: datetime) -> None:
        """Note *fact* if it is a warning or an error."""
        level = fact.level
        if level not in {"warning", "error"}:
            return
        fields = fields_of(fact)
        key = (type(fact), *(str(value) for name, value in fields.items() if name not in VARYING))
        known = self._kept.pop(key, None)
        if known is None:
            about = {name: fields[name] for name in _ABOUT if name in fields}
            known = _Trouble(level, fact.event, about, _text(fields), now, now, 0)
        known.last, known.count = now, known.count + 1
        self._kept[key] = known
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]

    def snapshot(self) -> list[JsonObject]:
        """What was kept, the latest first."""
        return [
            {
                "level": one.level,
                "event": one.fact,
                **one.about,
                "text": one.text,
                "first": one.first.isoformat(),
                "last": one.last.isoformat(),
                "count": one.count,
            }
            for one in reversed(self._kept.values())
        ]


def _text(fields: dict[str, Any]) -> str:
    said = next((str(fields[name]) for name in _SAID if fields.get(name)), "")
    if said:
        return said
    rest = {name: value for name, value in fields.items() if name not in {*_ABOUT, *VARYING}}
    return ", ".join(f"{name} {_plain(value)}" for name, value in rest.items())


def _plain(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)
