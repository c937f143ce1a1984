"""What only the whole configuration shows: names that lead nowhere, and things used twice."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from pydantic import BaseModel

from connector.outputs.common import OutputSettings
from connector.settings.accounts import split_url
from connector.settings.models import Settings
from connector.settings.problems import Path, PathProblem, dotted
from connector.source.filters import warnings
from connector.yaml_nodes import suggestion

_WITHOUT_CREDENTIALS = frozenset({"proxy"})


def check(settings: Settings) -> list[PathProblem]:
    """Return everything that contradicts itself."""
    problems = [*_unknown_accounts(settings)]
    ids = ((("accounts", name, "account_id"), one.account_id) for name, one in settings.accounts.items())
    problems += _twice(ids, "the same account is configured as")
    problems += _twice(_places(settings), "the same place is written to by")
    return problems


def notes(settings: Settings) -> Iterator[str]:
    """Tell what works but deserves a look."""
    for name, account in settings.accounts.items():
        if not account.base_url.endswith("/client/v4"):
            yield f"accounts.{name}.base_url does not end with /client/v4, as the API's address usually does"
    for name, search in settings.searches.items():
        yield from (f"searches.{name}.filters.{warning}" for warning in warnings(search.filters))
        if search.enrich is not None and not search.revisit:
            yield f"searches.{name}.enrich: without revisit, what is not told in time is never completed"
    for path, model in _models(settings, ()):
        if path and path[-1] == "tls" and getattr(model, "verify", True) is False:
            yield f"{dotted(path)}.verify is off: anybody on the way can read along and answer instead"


def harmless(settings: Settings, path: Path) -> bool:
    """Whether a text that counts as secret is none: the URL of a proxy without credentials."""
    value: object = settings
    for step in path:
        value = value.get(step) if isinstance(value, dict) else getattr(value, str(step), None)
    reveal = getattr(value, "reveal", None)
    if path[-1] not in _WITHOUT_CREDENTIALS or reveal is None:
        return False
    try:
        url = split_url(reveal())
    except ValueError:
        return False
    return url.username is None and url.password is None


def _unknown_accounts(settings: Settings) -> Iterator[PathProblem]:
    for name, search in settings.searches.items():
        if search.accounts == "all":
            continue
        for index, account in enumerate(search.accounts):
            if account not in settings.accounts:
                yield PathProblem(
                    ("searches", name, "accounts", index),
                    "there is no account of this name",
                    suggestion(account, settings.accounts),
                )


def _places(settings: Settings) -> Iterator[tuple[Path, object]]:
    """Where outputs write on this machine; what one of them writes must not be another's."""
    for name, output in settings.outputs.items():
        kind = _kind(output)
        if kind == "stdout":
            yield ("outputs", name, "type"), "stdout"
        elif kind == "file":
            yield ("outputs", name, "path"), os.path.realpath(str(getattr(output, "path", name)))


def _kind(output: OutputSettings) -> str:
    return str(getattr(output, "type", ""))


def _twice(values: Iterable[tuple[Path, object]], text: str) -> Iterator[PathProblem]:
    first: dict[object, Path] = {}
    for path, value in values:
        if value in first:
            yield PathProblem(path, f"{text} {dotted(first[value][:2])}", "remove one of the two")
        else:
            first[value] = path


def _models(value: object, path: Path) -> Iterator[tuple[Path, BaseModel]]:
    if isinstance(value, BaseModel):
        yield path, value
        for name in type(value).model_fields:
            yield from _models(getattr(value, name), (*path, name))
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _models(one, (*path, str(key)))
