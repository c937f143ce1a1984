"""Account settings from Cloudflare's own environment variables (CLOUDFLARE_API_TOKEN, ...)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from connector.errors import Position
from connector.secret import Reference
from connector.settings.env_overrides import value_reader
from connector.settings.interpolation import UnresolvedReference
from connector.settings.problems import PathProblem
from connector.values import dataclass
from connector.yaml_nodes import Node

TOKEN = "CLOUDFLARE_API_TOKEN"  # noqa: S105, the name of a variable
EMAIL = "CLOUDFLARE_EMAIL"
KEY = "CLOUDFLARE_API_KEY"
ACCOUNT = "CLOUDFLARE_ACCOUNT_ID"
BASE_URL = "CLOUDFLARE_BASE_URL"

_KEYS = {ACCOUNT: "account_id", TOKEN: "api_token", EMAIL: "email", KEY: "api_key", BASE_URL: "base_url"}
_SECRET = frozenset({TOKEN, KEY})


@dataclass(slots=True)
class EnvironmentAccount:
    """Values of an account by key, with problems and warnings."""

    values: dict[str, Node] = field(default_factory=dict)
    problems: list[PathProblem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def environment_account(environ: Mapping[str, str], at: Position) -> EnvironmentAccount:
    """Read the account; missing variables are reported as a problem at position *at*."""
    account = EnvironmentAccount()
    sources = {name: _source(name, environ, account.problems) for name in _KEYS}
    present = {name for name, source in sources.items() if source}
    if TOKEN in present and present & {EMAIL, KEY}:
        account.notes.append(f"{TOKEN} is used; {EMAIL} and {KEY} are ignored")
        present -= {EMAIL, KEY}
    lacking = _lacking(present)
    if lacking:
        what = "the account is incomplete" if present - {BASE_URL} else "no account is configured"
        hint = f"set {lacking}, or add accounts to the configuration"
        account.problems.append(PathProblem(("accounts",), what, hint, at))
        return account
    for name in present:
        _read(name, sources[name], environ, account)
    return account


def _source(name: str, environ: Mapping[str, str], problems: list[PathProblem]) -> str:
    """The variable that holds *name*: itself or its ``_FILE`` form; empty if neither is set."""
    pointer = f"{name}_FILE" if name in _SECRET else ""
    if name in environ and pointer in environ:
        at = Position(pointer, 0, 0)
        problems.append(PathProblem((), f"{name} already sets this value", "keep one of the two", at))
    return name if name in environ else pointer if pointer in environ else ""


def _lacking(present: set[str]) -> str:
    signing = [] if TOKEN in present else [name for name in (EMAIL, KEY) if name not in present]
    names = [TOKEN] if len(signing) == len((EMAIL, KEY)) else signing
    return " and ".join([*names, *([] if ACCOUNT in present else [ACCOUNT])])


def _read(name: str, source: str, environ: Mapping[str, str], account: EnvironmentAccount) -> None:
    at = Position(source, 0, 0)
    try:
        leaf = Reference(value_reader(source, environ, from_file=source != name))
    except UnresolvedReference as error:
        account.problems.append(PathProblem(("accounts", "default", _KEYS[name]), str(error), position=at))
    else:
        account.values[_KEYS[name]] = Node(leaf, at)
