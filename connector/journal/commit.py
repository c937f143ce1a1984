"""The transaction of one commit of collection: revisions, seen rows, gaps, checkpoint."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from connector.journal import feeds, kv, positions, quarantine
from connector.journal.codec import portions, quick_blob, revision_text, to_blob, to_micros
from connector.journal.entries import NewEntry, append, read_counters
from connector.journal.positions import Skip, Trim
from connector.journal.seen import SeenTable
from connector.model import Commit, Quarantined
from connector.values import dataclass

TRIM_AT_ONCE = 1000
"""Entries that one transaction deletes at most."""


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What became of a commit: the head after it, its compressed bytes, what was skipped and trimmed."""

    head: int
    bytes: int
    skips: tuple[Skip, ...]
    trim: Trim | None
    quarantined: tuple[Quarantined, ...] = ()


def encode_entries(
    commit: Commit, portion: tuple[int, int], compress: Callable[[bytes], bytes]
) -> list[NewEntry]:
    """The revisions of *commit* as blobs, with the record times of the rows that go with them."""
    times = {seen.id: seen.time for seen in commit.seen}
    most, most_bytes = portion
    new_entries = []
    for first in range(0, len(commit.revisions), most):
        part = commit.revisions[first : first + most]
        moments = [times.get(revision.record.id, revision.collected) for revision in part]
        quick = quick_blob(part, most_bytes, compress)
        texts = portions(map(revision_text, part), most, most_bytes) if quick is None else ()
        start = 0
        for blob in [quick] if quick else [to_blob(portion, compress) for portion in texts]:
            covered = moments[start : start + blob.count]
            new_entries.append(NewEntry(blob, to_micros(min(covered)), to_micros(max(covered))))
            start += blob.count
    return new_entries


def write_commit(
    connection: sqlite3.Connection,
    commit: Commit,
    encode: Callable[[], list[NewEntry]],
    *,
    seen: SeenTable,
    now: int,
    retain: int,
) -> CommitResult:
    """Everything of *commit* in the transaction that is open; *encode* is called once there is room."""
    feeds.check_step(connection, commit)
    if commit.revisions:
        positions.check_room(connection)
    new_entries = encode()
    number = feeds.ensure_number(connection, commit.feed, commit.fingerprint)
    seen.store(connection, number, commit.seen)
    quarantined = quarantine.store(connection, number, commit.quarantined, now)
    if commit.step is not None:
        feeds.take_step(connection, number, commit.step, now)
    if commit.key_value is not None:
        kv.set_value(connection, *commit.key_value)
    for key, value in commit.notes:
        kv.set_value(connection, key, value)
    counters = append(connection, new_entries, now) if new_entries else read_counters(connection)
    skips = positions.enforce_skips(connection) if new_entries else []
    trim = positions.trim(connection, now - retain, TRIM_AT_ONCE)
    size = sum(len(new_entry.blob.data) for new_entry in new_entries)
    return CommitResult(counters.head, size, tuple(skips), trim, quarantined)
