"""Use cases behind the ``mapping`` commands: apply, test, lint, explain and count usage, without a daemon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import cast

from connector.collect.revisions import digest_of, state_of
from connector.errors import ConfigurationError, Position, Problem
from connector.mapping import (
    SAMPLE,
    Explanation,
    Library,
    Pack,
    Redact,
    TestOutcome,
    build_map,
    build_mapper,
    compile_redaction,
    explain,
    lint,
    run_tests,
    unmapped_fields,
)
from connector.mapping.schemas.encoding import SHAPES
from connector.model import Event, Feed, JsonObject, Record, Revision, SearchSource
from connector.net.clock import utc_now
from connector.source.decode import Undecodable, decode
from connector.source.records import parse_record
from connector.yaml_nodes import Node

_ACCOUNT = "0" * 32
_LEVELS = 20
"""Nesting levels that are counted; the API nests records four deep."""
_ACCOUNTS = MappingProxyType({_ACCOUNT: "default"})


@dataclass(frozen=True, slots=True)
class MappingRef:
    """A mapping given by its name or by the path of its file."""

    library: Library
    name: str

    def load(self) -> Pack:
        """Read it; raises ``ConfigurationError``."""
        return self.library.load(self.name)


def find_mapping(word: str, directory: Path | None) -> MappingRef:
    """Resolve *word*: a file if it has a YAML suffix, else a mapping in *directory* or a built-in one.

    ``submissions/ecs`` is the mapping ecs of records from that source; so is a file in a directory so called.
    """
    path = Path(word)
    for source in SearchSource:
        if source is not SearchSource.INVESTIGATE and path.parent.name == source:
            is_file = path.suffix in {".yaml", ".yml"}
            places = ([path.parent.parent] if is_file else []) + ([directory] if directory else [])
            return MappingRef(Library(places).of_source(source), path.stem if is_file else path.name)
    if path.suffix in {".yaml", ".yml"}:
        return MappingRef(Library((path.parent, *([directory] if directory else []))), path.stem)
    return MappingRef(Library((directory,) if directory else ()), word)


def apply(
    pack: Pack, lines: Iterable[bytes], file: str, redact: Redact | None = None
) -> Iterator[Event | Problem]:
    """Map one record per line; an invalid line, or one on which a rule fails, yields a ``Problem``."""
    mapper = build_mapper(pack, accounts=_ACCOUNTS, redact=redact)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = Position(file, number, 1)
        try:
            record = _record(line)
        except Undecodable as error:
            yield Problem(str(error), place, "expected one JSON object per line")
            continue
        try:
            event = mapper(_revision(record))
        except Exception as error:  # noqa: BLE001, whatever one record does, the next is mapped
            yield Problem(f"the mapping failed: {type(error).__name__}", place, "it would be dead-lettered")
            continue
        if event is not None:
            yield event


def _record(text: bytes) -> Record:
    value = decode(text).value
    if not isinstance(value, dict):
        raise Undecodable("expected a JSON object")
    return parse_record(cast("JsonObject", value))


def _revision(record: Record) -> Revision:
    return Revision(Feed(_ACCOUNT, "apply"), record, digest_of(state_of(record.body)), 1, utc_now())


def records(text: bytes, file: str) -> Iterator[Record]:
    """The records in *text*: one JSON object, or one per line.

    Raises ``ConfigurationError`` with the position of the first invalid line.
    """
    try:
        yield _record(text)
    except Undecodable:
        for number, line in enumerate(text.split(b"\n"), start=1):
            if line.strip():
                try:
                    yield _record(line)
                except Undecodable as error:
                    place = Position(file, number, 1)
                    raise ConfigurationError(
                        Problem(str(error), place, "expected one JSON object per line")
                    ) from None


def explain_record(pack: Pack, record: Record) -> Explanation:
    """Explain where every field of the event of *record* comes from."""
    return explain(pack, _revision(record), accounts=_ACCOUNTS)


def sample() -> Record:
    """A record with every documented field of the API."""
    return parse_record(dict(SAMPLE))


@dataclass(frozen=True, slots=True)
class Findings:
    """Lint findings: *errors* are mistakes, *warnings* may be intentional."""

    errors: Sequence[Problem]
    warnings: Sequence[Problem]


def lint_mapping(chosen: MappingRef) -> Findings:
    """Lint a mapping; if it cannot be loaded, its problems are the errors."""
    try:
        pack = chosen.load()
    except ConfigurationError as error:
        return Findings(error.problems, ())
    return Findings(lint(pack), tuple(unmapped_fields(pack)))


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts over records: how many, which fields have values, which targets were set."""

    records: int
    fields: Mapping[str, int]
    targets: Mapping[str, int]


def count_usage(pack: Pack, records: Iterable[Record]) -> Usage:
    """Count which fields have values in *records*, and which targets *pack* sets for them."""
    mapping = build_map(pack, accounts=_ACCOUNTS)
    fields: Counter[str] = Counter()
    targets: Counter[str] = Counter()
    number = 0
    for number, record in enumerate(records, start=1):  # noqa: B007, the last one is the number of all
        fields.update(_paths(record.body))
        document = mapping(_revision(record)).document
        targets.update(target for target in pack.fields if reached(document, target, pack))
    return Usage(number, fields, targets)


def reached(document: JsonObject, target: str, pack: Pack) -> bool:
    """Whether *document* has a value at *target*."""
    value: object = document
    for step in target.split(".") if SHAPES[pack.format].nested else (target,):
        value = value.get(step) if isinstance(value, dict) else None
    return value is not None


def _paths(value: object, path: str = "", depth: int = 0) -> set[str]:
    """Every path in *value* that has a value, without list indexes."""
    if isinstance(value, dict) and depth < _LEVELS:
        below = [(item, f"{path}.{key}" if path else key) for key, item in value.items()]
        return {inner for item, name in below for inner in _paths(item, name, depth + 1)}
    if isinstance(value, list) and depth < _LEVELS:
        return {inner for item in value for inner in _paths(item, path, depth + 1)}
    return {path} if value is not None and value != "" else set()


def redaction(fields: Sequence[str], key_file: Path | None) -> Redact | None:
    """The redaction for ``FIELD=MODE`` arguments; without a key file, a random key is used.

    Raises ``ConfigurationError`` for an invalid argument or an unreadable file.
    """
    if not fields:
        return None
    place = Position("--redact", 0, 0)
    words = dict(word.partition("=")[::2] for word in fields)
    node = Node(
        {name: Node(mode, place) for name, mode in words.items()}, place, keys=dict.fromkeys(words, place)
    )
    return compile_redaction(node, token_hex() if key_file is None else _key(key_file))


def _key(file: Path) -> str:
    try:
        return file.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(Problem(f"cannot read {file}: {error}")) from None


def test(chosen: MappingRef) -> tuple[TestOutcome, ...]:
    """Run the inline tests of a mapping."""
    return tuple(run_tests(chosen.load()))
