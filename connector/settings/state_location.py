"""Find the state directory without a valid configuration, for commands that need only the daemon or journal.

They must work when they are needed most: with a broken file, or in a shell without the API token.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from connector.errors import ConfigurationError, Position, Problem
from connector.settings.interpolation import UnresolvedReference, resolve_text
from connector.settings.places import PREFIX, find_file, state_directory
from connector.yaml_nodes import Node, parse

VARIABLE = f"{PREFIX}STATE__DIRECTORY"

_VALUE = r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^\s#,}]+))"""
_IN_TEXT = re.compile(rf"^state:\s*(?:\{{.*?|#.*)?(?:\n[ \t]+.*)*?\bdirectory:[ \t]*{_VALUE}", re.MULTILINE)
"""``state: {directory: X}``, or ``directory: X`` on an indented line below ``state:``."""


def locate_state(path: Path | None, environ: Mapping[str, str]) -> Path:
    """The state directory that the configuration names, or the default one, ignoring all other settings.

    Raises ``ConfigurationError`` only if *path* cannot be read.
    """
    for name, value in environ.items():
        if name.upper() == VARIABLE and value:
            return Path(value)
    file = _file(path, environ)
    if file is not None:
        try:
            text = file.read_text("utf-8-sig")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not UTF-8 text"
            raise ConfigurationError(
                Problem(
                    f"cannot read the configuration: {why}", Position(str(file), 0, 0), "or use --state DIR"
                )
            ) from None
        base = file.absolute().parent
        try:
            named = _in_tree(parse(text, str(file)))
        except ConfigurationError:
            named = _in_broken_text(text)
        try:
            if named:
                return base / str(resolve_text(named, environ, base))
        except UnresolvedReference:
            pass
    return state_directory(environ, os.geteuid())


def _file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    try:
        return find_file(path, environ)
    except ConfigurationError:
        return None


def _in_tree(node: Node) -> str:
    for key in ("state", "directory"):
        if not isinstance(node.value, dict) or key not in node.value:
            return ""
        node = node.value[key]
    return node.value if isinstance(node.value, str) else ""


def _in_broken_text(text: str) -> str:
    match = _IN_TEXT.search(text)
    return next((value for value in match.groupdict().values() if value), "") if match else ""
