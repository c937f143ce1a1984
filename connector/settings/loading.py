"""From files, variables and secrets to settings, or to everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from connector.errors import ConfigurationError, Position, Problem
from connector.settings import cross_checks
from connector.settings.coerce import Fitted, fit
from connector.settings.defaults import complete
from connector.settings.env_overrides import CONFIG, apply, suggest_names
from connector.settings.interpolation import resolve
from connector.settings.models import Settings
from connector.settings.problems import Fault, problems
from connector.settings.pydantic_errors import translate, unknown_key
from connector.settings.schema_index import Shape, whole
from connector.yaml_nodes import Node, parse

PLACES = (Path("connector.yaml"), Path("/etc/email-connector/connector.yaml"))
_LARGEST = 4 << 20


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used.

    Args:
        settings: the values.
        notes: what works but deserves a look, one line each.
        file: the file that was read, if any.
        node: every value with its place; a variable is a place without lines.
    """

    settings: Settings
    notes: tuple[str, ...] = ()
    file: Path | None = None
    node: Node = field(default_factory=lambda: Node({}, Position("", 0, 0)), repr=False)


def load(path: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Read the configuration.

    Args:
        path: the file that was asked for; without it ``$CONNECTOR_CONFIG``, ``./connector.yaml`` and
            ``/etc/email-connector/connector.yaml`` are tried, and none is needed.
        environ: the variables; later re-reads of secrets look into it again.

    Raises:
        ConfigurationError: with one problem for everything that is wrong.
    """
    file = find(path, environ)
    node = _read(file) if file else Node({}, Position("environment", 0, 0))
    if not isinstance(node.value, dict):
        raise ConfigurationError(Problem("a map of keys and values is needed", node.position))
    base = file.absolute().parent if file else Path.cwd()
    shape = whole(_kinds(node, environ))
    node, faults = resolve(node, environ, base)
    node, more = apply(node, environ, shape)
    done = complete(node, environ)
    fitted = fit(done.node, shape, base)
    faults += [*more, *done.faults, *fitted.faults]
    settings = _validate(fitted, done.node, shape, faults)
    if faults or settings is None:
        faults = suggest_names(faults, done.node)
        raise ConfigurationError(*problems(faults, done.node, fitted.secrets))
    return Loaded(settings, _notes(settings, done.notes, fitted, done.node), file, done.node)


def find(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file to read: the one asked for, or the first that exists."""
    if path is not None:
        return path
    for name, value in environ.items():
        if name.upper() == CONFIG:
            if not value:
                raise ConfigurationError(
                    Problem("the variable is empty", Position(name, 0, 0), "name a file")
                )
            return Path(value)
    return next((place for place in PLACES if place.exists()), None)


def _read(file: Path) -> Node:
    at = Position(str(file), 0, 0)
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not the name of a file"
        raise ConfigurationError(Problem(f"cannot read the configuration: {why}", at)) from None
    if len(data) > _LARGEST:
        raise ConfigurationError(Problem(f"larger than {_LARGEST >> 20} MiB, too large", at))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ConfigurationError(Problem("not UTF-8 text", Position(str(file), line, column))) from None
    return parse(text, str(file))


def _kinds(node: Node, environ: Mapping[str, str]) -> set[str]:
    """The output types that are named anywhere, so that their plugins are known in time."""
    kinds = {value for name, value in environ.items() if name.upper().endswith("__TYPE")}
    outputs = node.value.get("outputs") if isinstance(node.value, dict) else None
    if outputs is not None and isinstance(outputs.value, dict):
        for output in outputs.value.values():
            kind = output.value.get("type") if isinstance(output.value, dict) else None
            if kind is not None and isinstance(kind.value, str):
                kinds.add(kind.value)
    return kinds


def _validate(fitted: Fitted, node: Node, shape: Shape, faults: list[Fault]) -> Settings | None:
    values = dict(fitted.values) if isinstance(fitted.values, dict) else {}
    # The library would take some keys of its own for itself; nothing unknown may reach it.
    for key in sorted(values.keys() - set(shape.known)):
        faults.append(unknown_key((key,), shape))
        del values[key]
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        faults += translate(error, node, shape)
        return None
    faults += cross_checks.check(settings)
    return settings


def _notes(settings: Settings, more: list[str], fitted: Fitted, node: Node) -> tuple[str, ...]:
    literals = [
        f"{node.place(path)}: {'.'.join(map(str, path))} stands in the file itself; "
        "use ${env:NAME} or ${file:/path} instead"
        for path in fitted.literals
        if not cross_checks.harmless(settings, path)
    ]
    return (*more, *literals, *cross_checks.notes(settings))
