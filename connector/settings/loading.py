"""Load the configuration: read, interpolate, override, complete, coerce, validate; report every problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from pydantic import ValidationError

from connector import outputs
from connector.errors import ConfigurationError, Position, Problem
from connector.settings import cross_checks
from connector.settings.cloudflare_env import ACCOUNT, TOKEN
from connector.settings.coerce import PLACEHOLDERS, Coerced, coerce
from connector.settings.defaults import apply_defaults
from connector.settings.env_overrides import apply, suggest_names
from connector.settings.interpolation import resolve
from connector.settings.models import Settings
from connector.settings.places import PREFIX, find_file
from connector.settings.problems import Path as KeyPath
from connector.settings.problems import PathProblem, locate_problems
from connector.settings.pydantic_errors import pydantic_problems, unknown_key
from connector.settings.schema_index import SchemaNode, settings_schema
from connector.values import dataclass
from connector.yaml_nodes import Node, parse

_LARGEST = 4 << 20
"""Bytes of a configuration file: thousands of searches; more is a wrong file."""

_OUTPUTS = f"{PREFIX}OUTPUTS"

_PLACEHOLDERS = {TOKEN: "placeholder" * 3, ACCOUNT: "0" * 32}
"""The account of the environment where it is not available."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration.

    Args:
        settings: the values.
        notes: warnings, one line each.
        file: the file it was read from, if any.
        node: every value with its position; a variable is a position without line numbers.
    """

    settings: Settings
    notes: tuple[str, ...] = ()
    file: Path | None = None
    node: Node = field(default_factory=lambda: Node({}, Position("", 0, 0)), repr=False)


def load(path: Path | None, environ: Mapping[str, str], *, without_secrets: bool = False) -> Loaded:
    """Read the configuration.

    Args:
        path: the file requested; without it ``$CONNECTOR_CONFIG``, ``./connector.yaml`` and
            ``/etc/email-connector/connector.yaml`` are tried; none of them is required.
        environ: environment variables; secrets that are reread later look into it again.
        without_secrets: accept references to missing variables and files, and put placeholders in their
            place, to validate a file where its secrets are not available. The result can be checked, not run.

    Raises:
        ConfigurationError: with every problem found.
    """
    file = find_file(path, environ)
    if without_secrets:
        environ = {**_PLACEHOLDERS, **environ}
    node = _read(file) if file else Node({}, Position("environment", 0, 0))
    if not isinstance(node.value, dict):
        raise ConfigurationError(Problem("expected a mapping of keys to values", node.position))
    base = file.absolute().parent if file else Path.cwd()
    schema = settings_schema(_kinds(node, environ))
    node, problems = resolve(node, environ, base, allow_missing=without_secrets)
    node, more = apply(node, environ, schema)
    done = apply_defaults(node, environ)
    attempts: dict[KeyPath, int] = {}
    while True:
        coerced = coerce(done.node, schema, base, attempts)
        invalid: list[PathProblem] = []
        settings = _validate(coerced, done.node, schema, invalid)
        retry = [
            path
            for path in coerced.placeholders
            if any(path[: len(problem.path)] == problem.path for problem in invalid)
            and attempts.get(path, 0) + 1 < len(PLACEHOLDERS)
        ]
        if not retry:
            break
        attempts.update({path: attempts.get(path, 0) + 1 for path in retry})
    problems += [*more, *done.problems, *coerced.problems, *invalid]
    if problems or settings is None:
        problems = suggest_names(problems, done.node)
        raise ConfigurationError(*locate_problems(problems, done.node, coerced.secrets))
    return Loaded(settings, _notes(settings, done.notes, coerced, done.node), file, done.node)


def require_paths(loaded: Loaded, *, with_files: bool = True) -> None:
    """Raise ``ConfigurationError`` for every file and directory in *loaded* that cannot be used on this host.

    Without *with_files* only the mappings directory is checked: certificates and keys may be elsewhere.
    """
    problems = list(cross_checks.missing_paths(loaded.settings, with_files=with_files))
    if problems:
        raise ConfigurationError(*locate_problems(problems, loaded.node, ()))


def _read(file: Path) -> Node:
    at = Position(str(file), 0, 0)
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a valid file name"
        raise ConfigurationError(Problem(f"cannot read the configuration: {why}", at)) from None
    if len(data) > _LARGEST:
        raise ConfigurationError(Problem(f"larger than {_LARGEST >> 20} MiB", at))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ConfigurationError(Problem("not UTF-8 text", Position(str(file), line, column))) from None
    return parse(text, str(file))


def _kinds(node: Node, environ: Mapping[str, str]) -> set[str]:
    """Output types named in the file or the environment; all that are built in where one may be hidden.

    Only these are loaded. A variable that holds a whole output hides its type, and so does a file.
    """
    kinds: set[str] = set()
    for name, value in environ.items():
        variable = name.upper()
        if variable.endswith("__TYPE"):
            kinds.add(value)
        elif variable.startswith(f"{PREFIX}OUTPUTS") and (
            variable.endswith("__TYPE_FILE") or "type" in value
        ):
            kinds.update(outputs.BUILT_IN)
    section = node.value.get("outputs") if isinstance(node.value, dict) else None
    if section is not None and isinstance(section.value, dict):
        for output in section.value.values():
            kind = output.value.get("type") if isinstance(output.value, dict) else None
            if kind is not None and isinstance(kind.value, str):
                kinds.add(kind.value)
            else:
                kinds.update(outputs.BUILT_IN)
    return kinds


def _validate(
    coerced: Coerced, node: Node, schema: SchemaNode, problems: list[PathProblem]
) -> Settings | None:
    values = dict(coerced.values) if isinstance(coerced.values, dict) else {}
    # pydantic-settings interprets some keys itself (_env_file, ...); never pass it unknown ones.
    for key in sorted(values.keys() - set(schema.known)):
        problems.append(unknown_key((key,), schema))
        del values[key]
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += pydantic_problems(error, node, schema)
        return None
    problems += cross_checks.check(settings)
    return settings


def _notes(settings: Settings, more: list[str], coerced: Coerced, node: Node) -> tuple[str, ...]:
    literals = [
        f"{node.place(path)}: {'.'.join(map(str, path))} is in the file in clear text; "
        "use ${env:NAME} or ${file:/path} instead"
        for path in coerced.literals
        if not cross_checks.holds_no_credentials(settings, path)
    ]
    return (*more, *literals, *cross_checks.warnings(settings))
