"""What is wrong in a configuration, by the path of keys that leads there; and how it is told to people."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from pydantic_core import PydanticCustomError

from connector.errors import Position, Problem
from connector.secret import MASK
from connector.yaml_nodes import Node

KIND = "wrong"


def invalid(message: str, *, hint: str = "", key: str = "") -> PydanticCustomError:
    """Make the error to raise. *key* is the field of a model concerned, where a whole model is checked.

    Texts MUST NOT hold the value: it may be a secret in the wrong place.
    """
    return PydanticCustomError(KIND, "{message}", {"message": message, "hint": hint, "key": key})


Path: TypeAlias = tuple[str | int, ...]

MISSING = "is missing"
_SHOWN = re.compile(r"[A-Za-z0-9_.@$-]{1,40}")
_SHORTEST = 4


@dataclass(frozen=True, slots=True)
class PathProblem:
    """One thing that is wrong. *position* is set where the path says less than the place, or nothing."""

    path: Path
    text: str
    hint: str = ""
    position: Position | None = None


def dotted(path: Path) -> str:
    """The path as people read it; keys that may be a pasted secret are left out."""
    shown = (str(step) for step in path)
    return ".".join(step if _SHOWN.fullmatch(step) else "…" for step in shown)


def locate_problems(
    problems: Iterable[PathProblem], node: Node, secrets: Iterable[str]
) -> tuple[Problem, ...]:
    """Tell *faults*, one per path, in the order of their places; no text of *secrets* is shown.

    A fault above or under a path that already has one is a consequence of it and left out.
    """
    masked = sorted({text for text in secrets if len(text) >= _SHORTEST}, key=len, reverse=True)
    told: dict[Path, Problem] = {}
    for problem in problems:
        if not any(_related(problem.path, other) for other in told):
            told[problem.path or ("", len(told))] = _tell(problem, node, masked)
    return tuple(sorted(told.values(), key=_place))


def _related(one: Path, other: Path) -> bool:
    length = min(len(one), len(other))
    return length > 0 and one[:length] == other[:length]


def _tell(problem: PathProblem, node: Node, masked: list[str]) -> Problem:
    between = " " if problem.text == MISSING else ": "
    message = f"{dotted(problem.path)}{between}{problem.text}" if problem.path else problem.text
    for text in masked:
        message = message.replace(text, MASK)
    return Problem(message, problem.position or node.place(problem.path), problem.hint)


def _place(problem: Problem) -> tuple[bool, str, int, int]:
    at = problem.position
    return (False, "", 0, 0) if at is None else (at.line == 0, at.file, at.line, at.column)
