"""From the tree of what was written to the values that the models take.

Texts of variables and references become the type that is wanted where they stand, credentials are
wrapped before anything can show them, relative files are made to mean files beside the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path as FilePath

from connector.errors import ConfigurationError
from connector.secret import Reference, Secret
from connector.settings.problems import Fault, Path
from connector.settings.schema_index import Shape
from connector.yaml_nodes import Node, Plain, parse


@dataclass(slots=True)
class Fitted:
    """The values, and what was noticed on the way.

    *literals* are the paths of credentials that stand in the file itself, *secrets* the texts of all
    credentials and references, for masking.
    """

    values: object = None
    faults: list[Fault] = field(default_factory=list)
    literals: list[Path] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set, repr=False)


def fit(node: Node, shape: Shape, base: FilePath) -> Fitted:
    """Make values of *node*; relative files of the configuration file lie in *base*."""
    fitted = Fitted()
    fitted.values = _Fitting(fitted, base).value(node, shape, ())
    return fitted


@dataclass(frozen=True, slots=True)
class _Fitting:
    into: Fitted
    base: FilePath

    def value(self, node: Node, shape: Shape, path: Path) -> object:
        if isinstance(node.value, dict):
            return self._map(node.value, shape, path)
        if isinstance(node.value, list):
            item = shape.item()
            return [self.value(one, item, (*path, index)) for index, one in enumerate(node.value)]
        return self._scalar(node, shape, path)

    def _map(self, children: dict[str, Node], shape: Shape, path: Path) -> dict[str, object]:
        kind = children["type"].value if "type" in children else None
        chosen = shape.of_type(kind)
        values: dict[str, object] = {}
        for key, child in children.items():
            if child.empty:
                self.into.faults.append(
                    Fault((*path, key), "the value is empty", "give one, or remove the key")
                )
                continue
            values[key] = self.value(
                child, chosen.child(key) or Shape(({},), shape.definitions), (*path, key)
            )
        return values

    def _scalar(self, node: Node, shape: Shape, path: Path) -> object:
        value = node.value
        if not isinstance(value, str):
            return value
        if isinstance(value, Reference) or shape.readable:
            self.into.secrets.add(str(value))
        if shape.secret:
            return self._secret(node, value, path)
        if not value and not shape.free:
            self.into.faults.append(Fault(path, "the value is empty", "give one, or remove the key"))
        if shape.path and value:
            return str(self.base / value) if node.position.line else value
        if shape.readable and not isinstance(value, Reference):
            # The settings library may log what it is given; a reference does not show its text.
            return Reference(lambda: value)
        return typed(value, shape) if isinstance(value, Reference) else value

    def _secret(self, node: Node, value: str, path: Path) -> object:
        if not value.strip():
            self.into.faults.append(Fault(path, "the secret is empty", "give one, or remove the key"))
            return value
        if isinstance(value, Reference):
            return Secret(str(value), value.reread)
        if node.position.line:
            self.into.literals.append(path)
        return Secret(value)


def typed(text: str, shape: Shape) -> Plain:
    """Read *text*, of a variable or a reference, as what *shape* wants: text first, else YAML.

    Where only text fits, *text* itself is returned: a reference stays one, to be read again.
    """
    if text in shape.words or not text:
        return str(text)
    if shape.only_text():
        return None if text in {"null", "~"} and shape.takes("null") else text
    if shape.only_lists() and not text.lstrip().startswith("["):
        return [typed(part.strip(), shape.item()) for part in text.split(",")]
    try:
        value = parse(str(text), "").plain()
    except ConfigurationError:
        return str(text)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(text) if number and not (shape.takes("integer") or shape.takes("number")) else value
