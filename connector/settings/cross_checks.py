"""Checks across sections: unknown account names, duplicate accounts and destinations, warnings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path as FilePath
from typing import TypeVar

from pydantic import BaseModel

from connector.model import SearchSource
from connector.net.loopback import is_loopback
from connector.outputs.common import LocalSettings, OutputSettings, Templated
from connector.outputs.shared.url import Url
from connector.quantities import format_duration
from connector.secret import Secret
from connector.settings.accounts import split_url
from connector.settings.actions import WRITING, ActionSettings
from connector.settings.models import Settings
from connector.settings.problems import Path, PathProblem, dotted
from connector.source.filters import warnings as filter_warnings
from connector.yaml_nodes import suggestion

_Kind = TypeVar("_Kind")
_WITHOUT_CREDENTIALS = frozenset({"proxy", "url"})


def check(settings: Settings) -> list[PathProblem]:
    """Contradictions between sections."""
    problems = [*_unknown_accounts(settings), *_forgotten_too_early(settings)]
    ids = ((("accounts", name, "account_id"), one.account_id) for name, one in settings.accounts.items())
    problems += _duplicates(ids, "same account as")
    problems += _duplicates(_destinations(settings), "writes to the same destination as")
    problems += _actions(settings)
    problems += _local_outputs(settings)
    problems += _audit_logs(settings)
    return problems


def _forgotten_too_early(settings: Settings) -> Iterator[PathProblem]:
    """An audit that rereads what an output with ``emit: first`` forgot: a change would be sent as new."""
    if not any(output.emit == "first" for output in settings.outputs.values()):
        return
    for name, search in settings.searches.items():
        if search.audit is not None and search.audit.reach > settings.state.emitted_for:
            yield PathProblem(
                ("searches", name, "audit", "reach"),
                "must not exceed state.emitted_for, or outputs with emit: first send a message again",
                f"raise state.emitted_for to {format_duration(search.audit.reach)}",
            )


def warnings(settings: Settings) -> Iterator[str]:
    """Settings that are valid but probably not intended."""
    yield from _without_effect(settings)
    for name, account in settings.accounts.items():
        if not account.base_url.endswith("/client/v4"):
            yield f"accounts.{name}.base_url does not end with /client/v4, unlike the public API"
        if account.write_token is not None and settings.actions is None:
            yield f"accounts.{name}.write_token is not used: there is no section actions"
    for name, search in settings.searches.items():
        yield from (f"searches.{name}.filters.{warning}" for warning in filter_warnings(search.filters))
        if search.enrich is not None and not search.revisit:
            yield f"searches.{name}.enrich: without revisit, incomplete enrichment is never completed"
    for name, output in settings.outputs.items():
        urls = [url for url in _instances(output, Url) if not url.secure and not is_loopback(url.host)]
        if urls and any(_instances(output, Secret)):
            yield f"outputs.{name} sends its credentials to {urls[0].origin} unencrypted; use https"
    for path, model in _models(settings, ()):
        if path and path[-1] == "tls" and getattr(model, "verify", True) is False:
            yield f"{dotted(path)}.verify is off: traffic can be intercepted and modified"


def _without_effect(settings: Settings) -> Iterator[str]:
    """Settings that nothing uses."""
    if settings.actions is None:
        searched = {name for one in settings.searches.values() for name in one.accounts}
        everywhere = any(one.accounts == "all" for one in settings.searches.values())
        for name in () if everywhere else sorted(settings.accounts.keys() - searched):
            yield f"accounts.{name} is not used: no search reads it"
    listeners = (("server", settings.server, ("token", "tls")), ("actions", settings.actions, ("tls",)))
    for section, listener, keys in listeners:
        for key in keys:
            if listener is not None and listener.listen is None and getattr(listener, key) is not None:
                yield f"{section}.{key} has no effect: {section}.listen is null"


def holds_no_credentials(settings: Settings, path: Path) -> bool:
    """Whether a secret setting has nothing secret in it: a proxy URL without user and password."""
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
    if url.scheme in {"postgresql", "postgres"}:
        return url.password is None
    return path[-1] == "proxy" and url.username is None and url.password is None


def _audit_logs(settings: Settings) -> Iterator[PathProblem]:
    """Outputs of which each class of events needs a place of its own, and that have none for audit logs."""
    reading = [name for name, one in settings.searches.items() if one.source is SearchSource.AUDIT_LOGS]
    for name, output in settings.outputs.items():
        lake = getattr(output, "security_lake", None)
        if reading and lake is not None and lake.audit_logs_source is None and output.when is None:
            yield PathProblem(
                ("outputs", name, "security_lake"),
                f"audit_logs_source is missing: searches.{reading[0]} reads audit logs",
                "name a custom source of the class API Activity, or exclude the search with when",
            )


def _actions(settings: Settings) -> Iterator[PathProblem]:
    for name, output in settings.outputs.items():
        if output.actions and settings.actions is None:
            yield PathProblem(("outputs", name, "actions"), "there are no actions", "add the section actions")
        if output.actions and isinstance(output, Templated) and output.template() is not None:
            what = "audit events of actions cannot be rendered by templates"
            yield PathProblem(("outputs", name, "actions"), what, "send them to an output without any")
    for name, account in settings.accounts.items():
        if account.write_token is not None and account.write_token == account.api_token:
            what = "is the same as api_token"
            hint = "create a token with Read for api_token and one with Write for write_token"
            yield PathProblem(("accounts", name, "write_token"), what, hint)
    if settings.actions is not None:
        yield from _callers(settings, settings.actions)


def _callers(settings: Settings, actions: ActionSettings) -> Iterator[PathProblem]:
    listen = actions.listen
    if listen is not None and listen == settings.server.listen and not listen.endswith(":0"):
        yield PathProblem(("actions", "listen"), "is the same as server.listen", "use another port")
    tokens = ((("actions", "callers", name, "token"), one.token) for name, one in actions.callers.items())
    yield from _duplicates(tokens, "same token as", depth=3)
    for name, caller in actions.callers.items():
        for index, account in enumerate(() if caller.accounts == "all" else caller.accounts):
            if account not in settings.accounts:
                path = ("actions", "callers", name, "accounts", index)
                yield PathProblem(path, "unknown account", suggestion(account, settings.accounts))
    for name, caller in actions.callers.items():
        own = settings.accounts if caller.accounts == "all" else set(caller.accounts) & set(settings.accounts)
        if WRITING & set(caller.may) and not any(settings.accounts[one].write_token for one in own):
            what = "it may act, but no account of its scope has a write_token"
            yield PathProblem(("actions", "callers", name), what, "set accounts.NAME.write_token")


def _unknown_accounts(settings: Settings) -> Iterator[PathProblem]:
    for name, search in settings.searches.items():
        if search.accounts == "all":
            continue
        for index, account in enumerate(search.accounts):
            if account not in settings.accounts:
                yield PathProblem(
                    ("searches", name, "accounts", index),
                    "unknown account",
                    suggestion(account, settings.accounts),
                )


def _destinations(settings: Settings) -> Iterator[tuple[Path, object]]:
    """Local destinations of outputs; two outputs must not write to the same one."""
    for name, output in settings.outputs.items():
        kind = _kind(output)
        if kind == "stdout":
            yield ("outputs", name, "type"), "stdout"
        elif kind == "file":
            yield ("outputs", name, "path"), os.path.realpath(str(getattr(output, "path", name)))


def _local_outputs(settings: Settings) -> Iterator[PathProblem]:
    """Outputs on one host, where several hosts may deliver to them."""
    for name, output in settings.outputs.items():
        if not isinstance(output, LocalSettings):
            continue
        if settings.state.postgres is not None and output.pinned_to is None:
            yield PathProblem(
                ("outputs", name, "type"),
                f"{_kind(output)} writes on one host, but replicas of state.postgres may be on several",
                "set pinned_to to the host name of the replica that writes it, or use another type",
            )
        elif settings.state.postgres is None and output.pinned_to is not None:
            yield PathProblem(
                ("outputs", name, "pinned_to"), "has no effect without state.postgres", "remove it"
            )


def missing_paths(settings: Settings, *, with_files: bool) -> Iterator[PathProblem]:
    """Directories and files that settings name and that cannot be used.

    Without this check, a missing ``mappings.directory`` would silently select the built-in mapping of the
    same name, which may not redact what the custom one redacts.
    """
    for path, value in _paths(settings, ()):
        key = path[-1]
        if path == ("mappings", "directory"):
            yield from (PathProblem(path, why) for why in _unusable_mappings(value))
        elif str(key).endswith("_file") and with_files and (why := _unreadable(value)):
            yield PathProblem(path, why)
        elif path[0] == "outputs" and key == "path" and with_files and not value.parent.is_dir():
            yield PathProblem(
                path, f"{value.parent} is not a directory", "create it; the output creates only the file"
            )


def _unusable_mappings(directory: FilePath) -> Iterator[str]:
    try:
        names = [file.name for file in directory.iterdir()]
    except OSError as error:
        yield f"cannot read {directory}: {error.strerror}"
        return
    if not any(name.lower().endswith((".yaml", ".yml")) for name in names):
        yield f"{directory} contains no mapping files (is it mounted?)"


def _unreadable(file: FilePath) -> str:
    try:
        with file.open("rb"):
            return ""
    except OSError as error:
        return f"cannot read {file}: {error.strerror}"


def _paths(value: object, path: Path) -> Iterator[tuple[Path, FilePath]]:
    """Every file and directory name in the settings, with its key path."""
    if isinstance(value, FilePath):
        yield path, value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _paths(getattr(value, name), (*path, name))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _paths(inner, (*path, index))


def _kind(output: OutputSettings) -> str:
    return str(getattr(output, "type", ""))


def _duplicates(values: Iterable[tuple[Path, object]], text: str, *, depth: int = 2) -> Iterator[PathProblem]:
    first: dict[object, Path] = {}
    for path, value in values:
        if value in first:
            yield PathProblem(path, f"{text} {dotted(first[value][:depth])}", "remove one of the two")
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


def _instances(value: object, kind: type[_Kind]) -> Iterator[_Kind]:
    """Every value of type *kind* in the settings of an output; a proxy has its own connection."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields.keys() - {"proxy"}:
            yield from _instances(getattr(value, name), kind)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _instances(one, kind)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _instances(one, kind)
