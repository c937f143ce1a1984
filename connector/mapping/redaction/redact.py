"""Redaction of record fields for one output, before its mapping sees the record.

A redacted text is removed everywhere: from its field, from the previous value, from enrichment, and from
inside all other texts. The journal keeps the record whole; only events that leave are redacted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Literal, TypeAlias, cast

from connector.errors import ConfigurationError, Problem
from connector.mapping.functions.ip_addresses import canonical_ip
from connector.mapping.functions.mailboxes import MAX_HEADER, parse_mailboxes
from connector.mapping.functions.values import DEPTH, Value
from connector.mapping.language.grammar import RECORD
from connector.mapping.language.refs import config_error, expect_mapping, parse_ref
from connector.mapping.redaction.pseudonym import Pseudonyms, addresses_in
from connector.mapping.redaction.scrub import (
    MAILBOX_FIELDS,
    OVERGROWN,
    REDACTED,
    Needle,
    Needles,
    Scrubbed,
    blank,
    normalized,
    scrub,
    search_forms,
)
from connector.mapping.schemas.fields import FREE_FIELDS, documented_paths
from connector.model import Body, Record, Revision
from connector.yaml_nodes import Node, suggestion

Mode: TypeAlias = Literal["drop", "hash"]
Redact: TypeAlias = Callable[[Revision], Revision]

MODES: tuple[Mode, ...] = ("drop", "hash")
_ENRICHMENT = "enrichment"
_IDENTITIES = ("id", "submission_id")
_MOST_CHARACTERS = 200_000
"""Characters of redacted headers that are taken apart, so that the rest of a record can be searched for each
address: four of the 40 kB that mail servers accept at most, or 2,000 recipients twice. The sender chooses how
many there are, and the work must be bounded: half a second at most."""


def compile_redaction(node: Node, key: str | None) -> Redact:
    """The function that redacts a revision.

    Args:
        node: field to mode as written: paths in the record, or in ``$enrichment``.
        key: what hashes are keyed with.

    Raises:
        ConfigurationError: with the place of everything that is wrong with it.
    """
    problems: list[Problem] = []
    fields: dict[tuple[str, ...], Mode] = {}
    for name, mode in expect_mapping(node, "redact").items():
        try:
            fields[_path(name, node)] = _mode(mode, key)
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(*problems)
    return Redaction(fields, Pseudonyms((key or "").encode("utf-8", "surrogatepass")))


class Redaction:
    """Redacts *fields*: paths to modes; those of enrichment start with ``$enrichment``."""

    def __init__(self, fields: Mapping[tuple[str, ...], Mode], pseudonyms: Pseudonyms) -> None:
        self._fields = fields
        self._pseudonyms = pseudonyms

    def __call__(self, revision: Revision) -> Revision:
        """*revision* without what must not leave; its id and digest stay as they are."""
        before = revision.previous
        whole = {**revision.record.body, f"${_ENRICHMENT}": dict(revision.enrichment)}
        bodies = [whole, dict(before or {})]
        needles = self._needles(bodies)
        body = self._redacted(whole, needles)
        return replace(
            revision,
            enrichment=body.pop(f"${_ENRICHMENT}", {}),
            record=Record(revision.record.id, body),
            previous=None if before is None else self._redacted(dict(before), needles),
        )

    def _redacted(self, body: Body, needles: Needles | None) -> dict[str, Value]:
        """*body* without *needles*; without any text where there are too many to look for."""
        made = self._pseudonyms.of_whole if needles is None else self._pseudonyms.of
        for path, mode in self._fields.items():
            change = partial(_pseudonymized, made) if mode == "hash" else _dropped
            body = _with_changed(body, path, change)
        return cast("dict[str, Value]", blank(body) if needles is None else scrub(body, needles))

    def _too_long(self, bodies: list[dict[str, Value]]) -> bool:
        """Whether the headers to redact are too long to be taken apart, each counted once."""
        texts = {text for path in self._fields for body in bodies for text in _leaves(body, path)}
        lengths = [len(text) for text in texts if "@" in text]
        return sum(lengths) > _MOST_CHARACTERS or max(lengths, default=0) > MAX_HEADER

    def _needles(self, bodies: list[dict[str, Value]]) -> Needles | None:
        """The texts to remove everywhere, with their replacements; where modes differ, drop wins.

        ``None`` where they cannot be looked for within bounded time.
        """
        if self._too_long(bodies):
            return None
        needles: dict[str, Needle] = {}
        for mode in ("hash", "drop"):
            replacement = self._pseudonyms.of if mode == "hash" else _redacted_whole
            for path in (path for path, wanted in self._fields.items() if wanted == mode):
                texts = dict.fromkeys(text for body in bodies for text in _leaves(body, path))
                # Each once: a header may hold one address thousands of times.
                for part in dict.fromkeys(part for text in texts for part in _parts(text)):
                    needle = Needle(part, replacement, path[-1] in MAILBOX_FIELDS and "@" in part)
                    form = normalized(part)
                    if form == OVERGROWN:
                        return None
                    forms = search_forms(form).split("\n")
                    needles.update((form.strip(), needle) for form in forms if any(map(str.isalnum, form)))
        return needles


def _path(name: str, node: Node) -> tuple[str, ...]:
    place = node.keys[name]
    ref = parse_ref(name, place)
    if ref.root == _ENRICHMENT:
        return (f"${_ENRICHMENT}", *ref.path)
    if ref.root != RECORD:
        raise config_error(
            f"${ref.root} cannot be redacted", place, "redact the record fields it is derived from"
        )
    known = sorted(documented_paths())
    if name not in known and not name.startswith(FREE_FIELDS):
        # A misspelt field would leak exactly what was to be redacted.
        raise config_error(f"the API documents no record field {name}", place, suggestion(name, known))
    if name in _IDENTITIES:
        raise config_error(
            f"{name} cannot be redacted", place, "it identifies every event, and contains no message text"
        )
    return ref.path


def _mode(node: Node, key: str | None) -> Mode:
    mode = next((mode for mode in MODES if mode == node.value), None)
    if mode is None:
        raise config_error("expected drop or hash", node.position)
    if mode == "hash" and not key:
        raise config_error(
            "hash requires a key", node.position, "set redaction.key to a secret that does not change"
        )
    return mode


def _pseudonymized(made: Callable[[str], str], value: Value, depth: int = 0) -> Value:
    if isinstance(value, str):
        return Scrubbed(made(value)) if value.strip() else value
    if isinstance(value, list) and depth < DEPTH:
        return [_pseudonymized(made, item, depth + 1) for item in value]
    if isinstance(value, dict) and depth < DEPTH:
        return {key: _pseudonymized(made, item, depth + 1) for key, item in value.items()}
    return None if value is None else Scrubbed(made(str(value)))


def _redacted_whole(_: str) -> str:
    return REDACTED


def _dropped(value: Value) -> Value:
    del value


def _with_changed(
    value: Value, path: tuple[str, ...], change: Callable[[Value], Value], depth: int = 0
) -> Value:
    """*value* with what *path* leads to changed; what becomes ``None`` is left out."""
    if not path:
        return change(value)
    if isinstance(value, list) and depth < DEPTH:
        return [_with_changed(item, path, change, depth + 1) for item in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    made = {**value, path[0]: _with_changed(value[path[0]], path[1:], change)}
    if made[path[0]] is None:
        del made[path[0]]
    return made


def _leaves(value: Value, path: tuple[str, ...], depth: int = 0) -> Iterator[str]:
    """Every text at *path* and below."""
    if depth > DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item, path, depth + 1)
    elif path:
        if isinstance(value, dict):
            yield from _leaves(value.get(path[0]), path[1:], depth)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item, (), depth + 1)
    elif isinstance(value, str):
        yield value


def _parts(text: str) -> Iterator[str]:
    """*text*, and the addresses and names in it: other fields hold them one by one."""
    yield text
    address = canonical_ip(text)
    if address is not None and address != text:
        yield address
    mailboxes = addresses_in(text)
    if not mailboxes:
        return
    yield from mailboxes
    yield from _names(text)


def _names(header: str) -> list[str]:
    if "<" not in header and "(" not in header:
        return []  # A name needs an address in angle brackets, or is a comment.
    return [name for name, _ in parse_mailboxes(header) if name and "@" not in name]
