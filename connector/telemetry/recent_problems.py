"""Recent warnings and errors, for people who look at the status and not at the log."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Any

from connector.facts import Fact
from connector.model import JsonObject
from connector.telemetry.logs import VARYING, fields_of
from connector.values import dataclass

_KEPT = 20
"""Problems kept: one screen."""

_SUBJECTS = 1000
"""Feeds or outputs counted per problem; the bound is for memory."""

_REASONS = ("reason", "message", "error", "answer")
"""Fields that describe a problem, the best first."""

_ABOUT = ("output", "account", "search", "worker")


@dataclass(slots=True)
class _Problem:
    level: str
    event: str
    about: JsonObject
    text: str
    first: datetime
    last: datetime
    count: int = 0
    subjects: set[tuple[str, ...]] = field(default_factory=set)


class RecentProblems:
    """Keeps the latest. The same problem of many feeds counts as one, so that it hides no other."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Problem] = {}

    def take(self, fact: Fact, now: datetime) -> None:
        """Keep *fact* if it is a warning or an error."""
        level = fact.level
        if level not in {"warning", "error"}:
            return
        fields = fields_of(fact)
        about = {name: fields[name] for name in _ABOUT if name in fields}
        text = _text(fields)
        problem = self._kept.pop((fact.event, text), None) or _Problem(
            level, fact.event, about, text, now, now
        )
        problem.about, problem.last, problem.count = about, now, problem.count + 1
        if len(problem.subjects) < _SUBJECTS:
            problem.subjects.add(tuple(map(str, about.values())))
        self._kept[fact.event, text] = problem
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]

    def snapshot(self) -> list[JsonObject]:
        """The problems as JSON values, the latest first."""
        return [
            {
                "level": problem.level,
                "event": problem.event,
                **problem.about,
                "text": problem.text,
                "first": problem.first.isoformat(),
                "last": problem.last.isoformat(),
                "count": problem.count,
                "others": len(problem.subjects) - 1,
            }
            for problem in reversed(self._kept.values())
        ]


def _text(fields: dict[str, Any]) -> str:
    reason = next((str(fields[name]) for name in _REASONS if fields.get(name)), "")
    if reason:
        return reason
    rest = {name: value for name, value in fields.items() if name not in {*_ABOUT, *VARYING}}
    return ", ".join(f"{name} {_plain(value)}" for name, value in rest.items())


def _plain(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)
