"""Parses references (``path.to.value``, ``$name``) from YAML nodes, and checks for maps and lists."""

from __future__ import annotations

import re

from connector.errors import ConfigurationError, Position, Problem
from connector.mapping.language.grammar import ELEMENT, RECORD, Ref
from connector.values import dataclass
from connector.yaml_nodes import Node

_SEGMENT = re.compile(r"[^\s.${}\[\]]+")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Scope:
    """What plain paths start from: the record, or the *element* inside ``each``, ``pick`` and ``only``."""

    element: bool = False

    @property
    def root(self) -> str:
        """What a plain path starts from."""
        return ELEMENT if self.element else RECORD


ELEMENT_SCOPE = Scope(element=True)
RECORD_SCOPE = Scope()


def config_error(message: str, position: Position, hint: str = "") -> ConfigurationError:
    """One problem as an error."""
    return ConfigurationError(Problem(message, position, hint))


def expect_mapping(node: Node, what: str) -> dict[str, Node]:
    """The entries of a map; an error that names *what* for anything else."""
    if not isinstance(node.value, dict):
        raise config_error(f"{what} must be a map of names to values", node.position)
    return node.value


def expect_list(node: Node, what: str) -> list[Node]:
    """The elements of a list with at least one."""
    if not isinstance(node.value, list) or not node.value:
        raise config_error(f"{what} must be a list with at least one element", node.position)
    return node.value


def parse_ref(text: str, position: Position, scope: Scope = RECORD_SCOPE) -> Ref:
    """``path.to.value``, ``$name``, ``$name.path`` or ``.``."""
    if text == ".":
        if not scope.element:
            raise config_error("the path . is the current element, and there is none here", position,
                        "use it inside each, pick and only")  # fmt: skip
        return Ref(ELEMENT, (), position)
    named = text.startswith("$")
    segments = text.removeprefix("$").split(".")
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise config_error(f"{text!r} is not a path", position,
                    "paths are dotted names such as validation.spf; for a fixed value "
                    "write {const: ...}, for text with placeholders {template: ...}")  # fmt: skip
    if not named:
        return Ref(scope.root, tuple(segments), position)
    root, path = segments[0], tuple(segments[1:])
    if not _NAME.fullmatch(root):
        raise config_error(f"${root} is not a name", position, "names are lower case, such as $time")
    return Ref(root, path, position)
