"""Convert the parsed tree into the values that the models accept.

Text of variables and references becomes the type its place expects, credentials are wrapped in ``Secret``
before anything can log them, relative paths are resolved against the configuration file's directory.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path as FilePath
from types import MappingProxyType

from connector.errors import ConfigurationError
from connector.secret import Reference, Secret
from connector.settings.interpolation import MissingText
from connector.settings.problems import Path, PathProblem
from connector.settings.schema_index import SchemaNode
from connector.values import dataclass
from connector.yaml_nodes import Node, Plain, parse


@dataclass(slots=True)
class Coerced:
    """The values, with the problems found.

    *literals* are the paths of credentials written in the file in clear text; *secrets* are the texts of all
    credentials and references, for masking; *placeholders* are the paths of missing references.
    """

    values: object = None
    problems: list[PathProblem] = field(default_factory=list)
    literals: list[Path] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set, repr=False)
    placeholders: set[Path] = field(default_factory=set)


_SHELL_FORM = re.compile(
    r"\$[A-Z][A-Z0-9_]+|\$\{[A-Za-z_][A-Za-z0-9_]*\}|\$\([A-Za-z_][A-Za-z0-9_]*\)|%[A-Z][A-Z0-9_]+%"
)
"""A whole value like ``$VAR``, ``${VAR}``, ``$(VAR)`` or ``%VAR%``: a variable that no shell, Compose file
or manifest has resolved. Lower-case ``$var`` and ``%var%`` are left alone: they may be passwords."""

_OMIT = object()
"""A value to leave out, so that the default applies."""

PLACEHOLDERS = (
    "placeholder",
    "https://placeholder.invalid/",
    "tls://placeholder.invalid:6514",
    "tcp://placeholder.invalid:514",
    "placeholder.invalid:9092",
    "placeholder@placeholder.invalid",
    f"dcr-{'0' * 32}",
    "00000000-0000-0000-0000-000000000000",
    "1h",
    _OMIT,
)
"""Tried in this order for text whose reference is missing: no schema says what a validator accepts."""

_SECRET_PLACEHOLDERS = (
    "placeholder" * 3,
    "https://placeholder.invalid/",
    "postgresql://placeholder.invalid/placeholder",
)
"""The same for secrets."""


def coerce(
    node: Node, schema: SchemaNode, base: FilePath, attempts: Mapping[Path, int] = MappingProxyType({})
) -> Coerced:
    """Convert *node*; relative paths in the configuration file are resolved against *base*.

    *attempts* counts by path how many ``PLACEHOLDERS`` were invalid there.
    """
    coerced = Coerced()
    coerced.values = _Coercer(coerced, base, attempts).value(node, schema, ())
    return coerced


@dataclass(frozen=True, slots=True)
class _Coercer:
    into: Coerced
    base: FilePath
    attempts: Mapping[Path, int]

    def value(self, node: Node, schema: SchemaNode, path: Path) -> object:
        if isinstance(node.value, dict):
            return self._map(node.value, schema, path)
        if isinstance(node.value, list):
            item = schema.item()
            return [self.value(one, item, (*path, index)) for index, one in enumerate(node.value)]
        return self._scalar(node, schema, path)

    def _map(self, children: dict[str, Node], schema: SchemaNode, path: Path) -> dict[str, object]:
        kind = children["type"].value if "type" in children else None
        chosen = schema.of_type(kind)
        values: dict[str, object] = {}
        for key, child in children.items():
            if child.empty:
                self.into.problems.append(
                    PathProblem((*path, key), "the value is empty", "set a value, or remove the key")
                )
                continue
            inner = chosen.child(key) or SchemaNode(({},), schema.definitions)
            value = self.value(child, inner, (*path, key))
            if value is not _OMIT:
                values[key] = value
        return values

    def _scalar(self, node: Node, schema: SchemaNode, path: Path) -> object:
        value = node.value
        if not isinstance(value, str):
            return value
        if isinstance(value, MissingText):
            self.into.placeholders.add(path)
            return _placeholder(value, schema, path, self.attempts.get(path, 0))
        if _SHELL_FORM.fullmatch(value) and not schema.untyped:
            self.into.problems.append(
                PathProblem(
                    path, "the value is an unresolved variable", "write ${env:NAME}, or set the value"
                )
            )
        if isinstance(value, Reference) or schema.accepts_file:
            self.into.secrets.add(str(value))
        if schema.secret:
            return self._secret(node, value, path)
        if not value and not schema.untyped:
            self.into.problems.append(
                PathProblem(path, "the value is empty", "set a value, or remove the key")
            )
        if schema.path and value:
            return str(self.base / value) if node.position.line else value
        if schema.accepts_file and not isinstance(value, Reference):
            # pydantic may log its input; a reference does not show its text.
            return Reference(lambda: value)
        return typed(value, schema) if isinstance(value, Reference) else value

    def _secret(self, node: Node, value: str, path: Path) -> object:
        if not value.strip():
            self.into.problems.append(
                PathProblem(path, "the secret is empty", "set a value, or remove the key")
            )
            return value
        if isinstance(value, Reference):
            return Secret(str(value), value.reread)
        if node.position.line:
            self.into.literals.append(path)
        return Secret(value)


def _placeholder(text: str, schema: SchemaNode, path: Path, attempt: int) -> object:
    """A value of the right kind for a reference that is missing: enough to validate everything else."""
    if schema.secret:
        return Secret(_SECRET_PLACEHOLDERS[min(attempt, len(_SECRET_PLACEHOLDERS) - 1)])
    if schema.accepts_file:
        return Reference(lambda: "https://placeholder.invalid/")
    if path[-1] == "account_id":
        return hashlib.sha256(text.encode()).hexdigest()[:32]  # different references, different accounts
    return PLACEHOLDERS[attempt] if schema.accepts("string") else _OMIT


def typed(text: str, schema: SchemaNode) -> Plain:
    """Convert *text*, of a variable or a reference, to the type of *schema*: text if allowed, else YAML.

    Where only text is allowed, *text* itself is returned, so that a reference can be read again.
    """
    if text in schema.literals or not text:
        return str(text)
    if schema.only_text():
        return None if text in {"null", "~"} and schema.accepts("null") else text
    if schema.only_lists() and not text.lstrip().startswith("["):
        return [typed(part.strip(), schema.item()) for part in text.split(",")]
    try:
        value = parse(str(text), "").plain()
    except ConfigurationError:
        return str(text)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(text) if number and not (schema.accepts("integer") or schema.accepts("number")) else value
