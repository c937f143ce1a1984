"""``mapping apply`` and ``mapping test``: mappings without a daemon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import cast

from connector.app.clock import utc_now
from connector.collect.revisions import digest_of, state_of
from connector.errors import ConfigurationError, Position, Problem
from connector.located import Node
from connector.mapping import (
    Library,
    Pack,
    Redact,
    TestOutcome,
    build_mapper,
    compile_redaction,
    run_tests,
)
from connector.model import Event, Feed, JsonObject, Revision
from connector.source.decode import Undecodable, decode
from connector.source.records import record_of

_ACCOUNT = "0" * 32


@dataclass(frozen=True, slots=True)
class Chosen:
    """A mapping that was named: by its name, or by the path of its file."""

    library: Library
    name: str

    def load(self) -> Pack:
        """Read it; raises ``ConfigurationError``."""
        return self.library.load(self.name)


def choose(word: str, directory: Path | None) -> Chosen:
    """What *word* means: a file if it looks like one, else a mapping of *directory* or of the packs."""
    path = Path(word)
    if path.suffix in {".yaml", ".yml"}:
        return Chosen(Library((path.parent, *([directory] if directory else []))), path.stem)
    return Chosen(Library((directory,) if directory else ()), word)


def apply(
    pack: Pack, lines: Iterable[bytes], file: str, redact: Redact | None = None
) -> Iterator[Event | Problem]:
    """Map one record per line; a line that is no record, or that a rule fails on, becomes a problem."""
    mapper = build_mapper(pack, accounts={_ACCOUNT: "default"}, redact=redact)
    feed = Feed(_ACCOUNT, "apply")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = Position(file, number, 1)
        try:
            value = decode(line).value
        except Undecodable as error:
            yield Problem(str(error), place, "one JSON object per line is needed")
            continue
        if not isinstance(value, dict):
            yield Problem("this is JSON, but no object", place, "one JSON object per line is needed")
            continue
        record = record_of(cast("JsonObject", value))
        try:
            event = mapper(Revision(feed, record, digest_of(state_of(record.body)), 1, utc_now()))
        except Exception as error:  # noqa: BLE001, whatever one record does, the next is mapped
            yield Problem(f"the mapping failed: {type(error).__name__}", place, "delivery would bury it")
            continue
        if event is not None:
            yield event


def redaction(fields: Sequence[str], key_file: Path | None) -> Redact | None:
    """What ``FIELD=MODE`` words mean; without a file, the key is made up.

    Raises ``ConfigurationError`` for a word that is wrong, or a file that cannot be read.
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
        raise ConfigurationError(Problem(f"{file} cannot be read: {error}")) from None


def test(chosen: Chosen) -> tuple[TestOutcome, ...]:
    """Run the tests inside a mapping."""
    return tuple(run_tests(chosen.load()))
