"""Defaults for missing sections: the account of the environment, one search, stdout, the state directory."""

from __future__ import annotations

import os
from collections.abc import Mapping

from connector.errors import Position
from connector.settings.cloudflare_env import environment_account
from connector.settings.env_overrides import set_node
from connector.settings.places import state_directory
from connector.settings.problems import PathProblem
from connector.values import dataclass
from connector.yaml_nodes import Node, Scalar

DEFAULT = Position("default", 0, 0)
_SEARCH: Mapping[str, Scalar] = {"every": "60s"}
_OUTPUT: Mapping[str, Scalar] = {"type": "stdout", "mapping": "ecs"}


@dataclass(frozen=True, slots=True)
class TreeWithDefaults:
    """The completed tree, with problems and warnings."""

    node: Node
    problems: list[PathProblem]
    notes: list[str]


def apply_defaults(node: Node, environ: Mapping[str, str]) -> TreeWithDefaults:
    """Fill in the sections that are missing."""
    present = node.value if isinstance(node.value, dict) else {}
    problems: list[PathProblem] = []
    notes: list[str] = []
    if "accounts" not in present:
        account = environment_account(environ, node.position)
        problems += account.problems
        notes += account.notes
        # Even without an account, problems of the other sections are reported.
        node = set_node(node, ("accounts",), Node({}, DEFAULT))
        for key, leaf in account.values.items():
            node = set_node(node, ("accounts", "default", key), leaf)
    if "searches" not in present:
        node = _fill(node, ("searches", "detections"), _SEARCH)
        node = set_node(node, ("searches", "detections", "filters", "detections_only"), Node(True, DEFAULT))
        if present:
            notes.append("no searches configured: polling detections every 60s")
    if "outputs" not in present:
        node = _fill(node, ("outputs", "stdout"), _OUTPUT)
        if present:
            notes.append("no outputs configured: writing ECS events to standard output")
    return TreeWithDefaults(_state(node, environ), problems, notes)


def _state(node: Node, environ: Mapping[str, str]) -> Node:
    present = node.value if isinstance(node.value, dict) else {}
    state = present.get("state", Node({}, DEFAULT)).value
    if not isinstance(state, dict) or "directory" in state:
        return node
    directory = str(state_directory(environ, os.geteuid()))
    return set_node(node, ("state", "directory"), Node(directory, DEFAULT))


def _fill(node: Node, path: tuple[str, ...], values: Mapping[str, Scalar]) -> Node:
    for key, value in values.items():
        node = set_node(node, (*path, key), Node(value, DEFAULT))
    return node
