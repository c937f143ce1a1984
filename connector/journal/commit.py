"""What one commit of collection does, as a function of the connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from connector.journal import feeds, kv, positions
from connector.journal.codec import portions, revision_text, to_blob, to_micros
from connector.journal.entries import Stretch, append, read_ledger
from connector.journal.positions import Skip, Trim
from connector.journal.seen import SeenTable
from connector.model import Commit

TRIM_AT_ONCE = 1000
"""Entries that one transaction deletes at most."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a commit: the head after it, its compressed bytes, what was skipped and trimmed."""

    head: int
    bytes: int
    skips: tuple[Skip, ...]
    trim: Trim | None


def stretches_of(
    commit: Commit, portion: tuple[int, int], compress: Callable[[bytes], bytes]
) -> list[Stretch]:
    """The revisions of *commit* as blobs, with the record times of the rows that go with them."""
    times = {seen.id: seen.time for seen in commit.seen}
    moments = [to_micros(times.get(revision.record.id, revision.collected)) for revision in commit.revisions]
    stretches, start = [], 0
    for texts in portions(map(revision_text, commit.revisions), *portion):
        covered = moments[start : start + len(texts)]
        stretches.append(Stretch(to_blob(texts, compress), min(covered), max(covered)))
        start += len(texts)
    return stretches


def write_commit(
    connection: sqlite3.Connection,
    commit: Commit,
    encode: Callable[[], list[Stretch]],
    *,
    seen: SeenTable,
    now: int,
    retain: int,
) -> Written:
    """Everything of *commit* in the transaction that is open; *encode* is called once there is room."""
    feeds.check_step(connection, commit)
    if commit.revisions:
        positions.check_room(connection)
    stretches = encode()
    number = feeds.ensure_number(connection, commit.feed, commit.fingerprint)
    seen.store(connection, number, commit.seen)
    if commit.step is not None:
        feeds.take_step(connection, number, commit.step, now)
    if commit.note is not None:
        kv.remember(connection, *commit.note)
    ledger = append(connection, stretches, now) if stretches else read_ledger(connection)
    skips = positions.enforce_skips(connection) if stretches else []
    trim = positions.trim(connection, now - retain, TRIM_AT_ONCE)
    size = sum(len(stretch.blob.data) for stretch in stretches)
    return Written(ledger.head, size, tuple(skips), trim)
