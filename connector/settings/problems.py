"""Configuration problems by key path, and their conversion to messages with file positions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from connector.errors import Position, Problem
from connector.secret import MASK
from connector.values import dataclass
from connector.yaml_nodes import Node

if TYPE_CHECKING:
    from pydantic_core import PydanticCustomError

KIND = "invalid_setting"


def invalid(
    message: str, *, hint: str = "", key: str = "", quotes_value: bool = False
) -> PydanticCustomError:
    """The pydantic error for an invalid value; *key* names the field when a whole model is validated.

    A message that contains the value MUST say so with *quotes_value*: the value may be a secret pasted in the
    wrong place, and is masked then.
    """
    from pydantic_core import PydanticCustomError  # noqa: PLC0415, only models need it

    context = {"message": message, "hint": hint, "key": key, "quotes_value": quotes_value}
    return PydanticCustomError(KIND, "{message}", context)


Path: TypeAlias = tuple[str | int, ...]

MISSING = "is missing"
_SHOWN = re.compile(r"[A-Za-z0-9_.@$-]{1,40}")
_SHORTEST = 4
"""Characters of a secret from which it is masked: shorter ones would blot out ordinary words."""


@dataclass(frozen=True, slots=True)
class PathProblem:
    """A problem at a key path.

    *position* overrides the position of that path in the tree. *quotes_value* marks a text that may contain
    the value, in which secrets are masked; constant texts are not, or ``such as 127.0.0.1:9464`` would lose a
    port that happens to be somebody's value.
    """

    path: Path
    text: str
    hint: str = ""
    position: Position | None = None
    quotes_value: bool = False


def dotted(path: Path) -> str:
    """The path as dotted text; keys that may be a pasted secret are replaced by ``…``."""
    shown = (str(step) for step in path)
    return ".".join(step if _SHOWN.fullmatch(step) else "…" for step in shown)


def locate_problems(
    problems: Iterable[PathProblem], node: Node, secrets: Iterable[str]
) -> tuple[Problem, ...]:
    """Convert *problems* to messages with positions, in file order; text of *secrets* is masked.

    A problem at an ancestor or descendant of a path that already has one is a consequence and left out.
    """
    masked = sorted({text for text in secrets if len(text) >= _SHORTEST}, key=len, reverse=True)
    located: dict[Path, Problem] = {}
    for problem in problems:
        if not any(_related(problem.path, other) for other in located):
            located[problem.path or ("", len(located))] = _locate(problem, node, masked)
    return tuple(sorted(located.values(), key=_place))


def _related(one: Path, other: Path) -> bool:
    length = min(len(one), len(other))
    return length > 0 and one[:length] == other[:length]


def _locate(problem: PathProblem, node: Node, masked: list[str]) -> Problem:
    between = " " if problem.text == MISSING else ": "
    message = f"{dotted(problem.path)}{between}{problem.text}" if problem.path else problem.text
    for text in masked if problem.quotes_value else ():
        message = message.replace(text, MASK)
    return Problem(message, problem.position or node.place(problem.path), problem.hint)


def _place(problem: Problem) -> tuple[bool, str, int, int]:
    at = problem.position
    return (False, "", 0, 0) if at is None else (at.line == 0, at.file, at.line, at.column)
