"""Statements about entries and outputs: appending, reading, positions, limits, trimming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.errors import JournalError
from connector.interfaces import Start
from connector.journal import refusals
from connector.journal.codec import to_micros, to_moment, whole_seconds
from connector.journal.entries import NewEntry
from connector.journal.positions import Skip, Trim
from connector.journal.postgres.database import Query, Row, Statement, Transaction
from connector.model import Backlog, Gap, GapCause, OutputOutline, RewindPreview, WhenFull, Window

COUNTERS = "SELECT head, floor, bytes, trimmed, committed FROM @counters"

BYTES_AT = (
    "coalesce((SELECT before + size * (least({0}, last) - first + 1) / (last - first + 1) FROM @entries "
    "WHERE first <= {0} ORDER BY first DESC LIMIT 1), (SELECT trimmed FROM @counters))"
)
"""Compressed bytes up to a position; inside an entry, its share."""

_FIRST_AT = "coalesce((SELECT max(first) FROM @entries WHERE first <= {0}), 0)"
"""Where the entry begins that holds a sequence number, or 0: the start of an indexed scan."""


@dataclass(frozen=True, slots=True)
class Counters:
    """The row of ``counters``."""

    head: int
    floor: int
    bytes: int
    trimmed: int
    committed: int


def append(counters: Counters, new_entries: Sequence[NewEntry], now: int) -> tuple[Counters, list[Statement]]:
    """What appends *new_entries* after *counters*, which MUST be locked; also the counters after that."""
    head, total, committed = counters.head, counters.bytes, max(now, counters.committed)
    statements: list[Statement] = []
    for new in new_entries:
        blob = new.blob
        first, head = head + 1, head + blob.count
        row = (
            first,
            head,
            total,
            len(blob.data),
            committed,
            new.earliest,
            new.latest,
            new.only,
            blob.tolerant,
            blob.data,
        )
        statements.append(
            (
                "INSERT INTO @entries (first, last, before, size, committed, earliest, latest, addressee, "
                "tolerant, body) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                row,
            )
        )
        total += len(blob.data)
    statements.append(
        ("UPDATE @counters SET head = %s, bytes = %s, committed = %s", (head, total, committed))
    )
    return Counters(head, counters.floor, total, counters.trimmed, committed), statements


ENTRIES_AFTER = (
    f"SELECT first, last, addressee, tolerant, body FROM @entries WHERE first >= {_FIRST_AT.format('%s')} "
    "AND last > %s ORDER BY first LIMIT %s"
)
"""Entries that hold revisions after a position (given twice, once plus one), at most so many."""

FULL = (
    "SELECT output, when_full FROM @outputs, @counters WHERE attached "
    "AND counters.bytes - high_water > max_bytes AND when_full = 'pause' "
    "UNION ALL SELECT '', 'skip' FROM @outputs WHERE attached AND when_full = 'skip' LIMIT 100"
)
"""Outputs over their limit that pause collection; and a row with an empty name where one could skip."""


def check_room(rows: Sequence[Row]) -> None:
    """Raise ``JournalFull`` for the rows of ``FULL`` that pause."""
    names = tuple(sorted(name for name, what in rows if what == WhenFull.PAUSE))
    if names:
        raise refusals.backlog_full(names)


def enforce_skips(transaction: Transaction, counters: Counters) -> list[Skip]:
    """Skip the oldest revisions of outputs over a limit with ``when_full: skip``, never the newest one.

    A tenth of the limit is cleared at once. What a rewind brings back does not count.
    """
    rows = transaction.one(
        "SELECT output, position, max_bytes FROM @outputs WHERE attached AND when_full = 'skip' "
        "AND %s - high_water > max_bytes ORDER BY output FOR UPDATE",
        counters.bytes,
    )
    skips = []
    for output, position, most in rows:
        least = counters.bytes - (most - most // 10)
        target = min(_position_at(transaction, position, least), max(position, counters.head - 1))
        if target > position:
            skips.append(
                lose(transaction, output, position, target, GapCause.BACKLOG_FULL, f"limit {most} bytes")
            )
    return skips


def _position_at(query: Query, position: int, least: int) -> int:
    """The first position from *position* on that has at least *least* bytes up to it."""
    rows = query.one(
        f"SELECT first, last, before, size FROM @entries WHERE first >= {_FIRST_AT.format('%s')} "
        "AND before + size >= %s ORDER BY first LIMIT 1",
        position + 1, least,
    )  # fmt: skip
    if not rows:
        return max(position, int(query.one("SELECT head FROM @counters")[0][0]))
    first, last, before, size = rows[0]
    count = last - first + 1
    inside = -(-(least - before) * count // size)
    return int(max(position, first - 1 + min(count, max(0, inside))))


def attach(
    transaction: Transaction, output: str, start: Start, backlog: Backlog
) -> tuple[int, int, Skip | None]:
    """Start or resume; returns position and epoch, and what was deleted while the output was detached."""
    limits = (backlog.max_bytes, str(backlog.when_full), backlog.max_dead_letters)
    known = transaction.one(
        "UPDATE @outputs AS o SET attached = true, missed = 0, max_bytes = %s, when_full = %s, "
        "max_dead_letters = %s "
        "FROM (SELECT output, missed FROM @outputs WHERE output = %s FOR UPDATE) AS before "
        "WHERE o.output = before.output "
        "RETURNING o.position, o.epoch, before.missed, o.gap_start, o.gap_end, o.gap_cause, "
        "(SELECT head FROM @counters)",
        *limits, output,
    )  # fmt: skip
    if known:
        position, epoch, missed, *gap, head = known[0]
        if position > head:
            return clamp(transaction, output, position, head), epoch, None
        found = _gap_of(gap)
        return position, epoch, Skip(output, missed, found) if missed and found else None
    # Locked, so that nothing can be trimmed or appended between the look and the entry.
    counters = Counters(*transaction.one(COUNTERS + " FOR UPDATE")[0])
    position = counters.head if start == "head" else counters.floor
    made = transaction.one(
        "INSERT INTO @outputs (output, position, bytes, high_water, attached, max_bytes, when_full, "
        "max_dead_letters) "
        "SELECT %s, %s, b.reached, b.reached, true, %s, %s, %s "
        f"FROM (SELECT {BYTES_AT.format('%s')} AS reached) AS b "
        "ON CONFLICT (output) DO UPDATE SET attached = true RETURNING position, epoch",
        output, position, *limits, position, position,
    )  # fmt: skip
    return made[0][0], made[0][1], None


def clamp(transaction: Transaction, output: str, position: int, head: int) -> int:
    """Move a position that lies beyond the head to it: rows were restored from different moments."""
    transaction.one(
        "UPDATE @outputs SET position = %s, bytes = c.bytes, high_water = c.bytes, epoch = epoch + 1 "
        "FROM @counters AS c WHERE output = %s AND position = %s",
        head, output, position,
    )  # fmt: skip
    return head


def acknowledge(output: str, after: int, upto: int) -> Statement:
    """What moves the position; no row comes back unless it is *after* and the head is not passed."""
    return (
        "UPDATE @outputs SET position = %s, bytes = b.reached, high_water = greatest(high_water, b.reached) "
        f"FROM (SELECT {BYTES_AT.format('%s')} AS reached) AS b WHERE output = %s AND position = %s "
        "AND %s BETWEEN position AND (SELECT head FROM @counters) RETURNING dead_letters, max_dead_letters",
        (upto, upto, upto, output, after, upto),
    )


def refusal(query: Query, output: str, after: int, upto: int) -> JournalError:
    """Why :func:`acknowledge` changed nothing."""
    rows = query.one("SELECT position, (SELECT head FROM @counters) FROM @outputs WHERE output = %s", output)
    position, head = rows[0] if rows else (None, 0)
    return refusals.not_acknowledged(output, position, after, upto, head)


def check_dead_letters(output: str, row: Row) -> None:
    """Raise ``DeadLettersFull`` when *output* has as many dead letters as it may.

    One batch may exceed the limit: otherwise a batch with more dead letters could never end.
    """
    count, most = row
    if count >= most:
        raise refusals.dead_letters_full(output, count, most)


TRIMMABLE = (
    "SELECT 1 FROM @entries WHERE first = (SELECT min(first) FROM @entries) AND committed <= %s "
    "AND last <= (SELECT min(position) FROM @outputs WHERE attached)"
)
"""A row where the oldest entry may go: written by then, and every attached output is done with it."""


def trim(transaction: Transaction, written_before: int, most: int) -> Trim | None:
    """Delete at most *most* of the oldest entries that every attached output has acknowledged.

    Without any attached output nothing is deleted. Detached outputs that had not read it get a gap.
    """
    transaction.one(COUNTERS + " FOR UPDATE")
    done = transaction.one("SELECT min(position) FROM @outputs WHERE attached")[0][0]
    if done is None:
        return None
    oldest = transaction.one("SELECT last, size, committed FROM @entries ORDER BY first LIMIT %s", most)
    floor, trimmed, freed = 0, 0, 0
    for last, size, committed in oldest:
        if last > done or committed > written_before:
            break
        floor, trimmed, freed = last, trimmed + 1, freed + size
    if not trimmed:
        return None
    behind = transaction.one(
        "SELECT output, position FROM @outputs WHERE NOT attached AND position < %s ORDER BY output FOR "
        "UPDATE",
        floor,
    )
    for output, position in behind:
        lost = lose(transaction, output, position, floor, GapCause.OUTPUT_NOT_CONFIGURED)
        transaction.one("UPDATE @outputs SET missed = missed + %s WHERE output = %s", lost.revisions, output)
    transaction.run(
        ("DELETE FROM @entries WHERE first <= %s", (floor,)),
        ("UPDATE @counters SET floor = %s, trimmed = trimmed + %s", (floor, freed)),
    )
    return Trim(floor, trimmed, freed)


def preview(query: Query, output: str, to: int | datetime) -> RewindPreview:
    """How far back *output* can go: as far as retained; never forward. A time is when it was journaled."""
    rows = query.one("SELECT position FROM @outputs WHERE output = %s", output)
    if not rows:
        known = [name for (name,) in query.one('SELECT output FROM @outputs ORDER BY output COLLATE "C"')]
        raise refusals.unknown_output(output, known)
    position = rows[0][0]
    counters = Counters(*query.one(COUNTERS)[0])
    if isinstance(to, datetime):
        moment = to_micros(to)
        # Entries are written in the order of their numbers, and `committed` never steps back.
        first = query.one("SELECT min(first) FROM @entries WHERE committed >= %s", moment)[0][0]
        asked = counters.head if first is None else first - 1
        oldest = written_at(query, counters.floor + 1)
        complete = counters.floor == 0 or (counters.committed if oldest is None else oldest) < moment
    else:
        asked, complete = to, to >= counters.floor
    target = max(min(asked, position), counters.floor)
    count = query.one(
        "SELECT coalesce(sum(least(last, %s) - greatest(first - 1, %s)), 0)::int8 FROM @entries "
        f"WHERE first >= {_FIRST_AT.format('%s')} AND first <= %s AND last > %s AND (addressee IS NULL OR "
        "addressee = %s)",
        position, target, target + 1, position, target, output,
    )[0][0]  # fmt: skip
    return RewindPreview(position, target, count, complete)


def rewind(transaction: Transaction, output: str, to: int | datetime) -> int:
    """Move the position as far as :func:`preview` says."""
    target = preview(transaction, output, to).target
    transaction.one(
        "UPDATE @outputs SET position = %s, epoch = epoch + 1, bytes = b.reached, "
        "high_water = greatest(high_water, b.reached), "
        + ", ".join(
            f"{column} = CASE WHEN %s <= gap_after THEN NULL ELSE {column} END"
            for column in ("gap_upto", "gap_start", "gap_end", "gap_cause", "gap_after")
        )
        + f" FROM (SELECT {BYTES_AT.format('%s')} AS reached) AS b WHERE output = %s",
        target, *([target] * 5), target, target, output,
    )  # fmt: skip
    return target


def written_at(query: Query, sequence: int) -> int | None:
    """When the entry that holds *sequence* was written; ``None`` when it is gone or not there yet."""
    rows = query.one(
        "SELECT last, committed FROM @entries WHERE first <= %s ORDER BY first DESC LIMIT 1", sequence
    )
    return int(rows[0][1]) if rows and rows[0][0] >= sequence else None


def newest_gap(query: Query, output: str) -> Gap | None:
    """The newest gap of *output*, unless a rewind repaired it."""
    rows = query.one("SELECT gap_start, gap_end, gap_cause FROM @outputs WHERE output = %s", output)
    return _gap_of(rows[0]) if rows else None


def lose(
    transaction: Transaction, output: str, position: int, target: int, cause: GapCause, detail: str = ""
) -> Skip:
    """Move *output* over ``(position, target]`` and record the gap, joined to one that ends there."""
    times = transaction.one(
        f"SELECT min(earliest), max(latest) FROM @entries WHERE first >= {_FIRST_AT.format('%s')} "
        "AND first <= %s AND last > %s",
        position + 1, target, position,
    )[0]  # fmt: skip
    start, end = whole_seconds(*times) if times[0] is not None else (0, 0)
    gap_after, gap_upto, gap_start, gap_end = transaction.one(
        "SELECT gap_after, gap_upto, gap_start, gap_end FROM @outputs WHERE output = %s", output
    )[0]
    joined = gap_upto == position
    if joined:
        start, end = min(start, gap_start), max(end, gap_end)
    gap = Gap(Window(to_moment(start), to_moment(end)), cause, detail)
    transaction.one(
        "UPDATE @outputs SET position = %s, epoch = epoch + 1, bytes = b.reached, "
        "high_water = greatest(high_water, b.reached), "
        "gap_after = %s, gap_upto = %s, gap_start = %s, gap_end = %s, gap_cause = %s "
        f"FROM (SELECT {BYTES_AT.format('%s')} AS reached) AS b WHERE output = %s",
        target, gap_after if joined else position, target, start, end, gap.reason, target, target, output,
    )  # fmt: skip
    return Skip(output, target - position, gap)


OUTLINE: Statement = (
    "SELECT o.output, o.position, o.bytes, o.high_water, o.dead_letters, o.attached, "
    "(SELECT CASE WHEN e.last > o.position THEN e.committed END FROM @entries AS e "
    "WHERE e.first <= o.position + 1 ORDER BY e.first DESC LIMIT 1) "
    'FROM @outputs AS o ORDER BY o.output COLLATE "C"',
    (),
)
"""The rows that :func:`outlines` takes."""


def outlines(counters: Counters, rows: Sequence[Row]) -> tuple[OutputOutline, ...]:
    """Every output, by name."""
    return tuple(
        OutputOutline(
            output,
            position,
            counters.head - position,
            counters.bytes - reached,
            None if oldest is None else to_moment(oldest),
            letters,
            attached,
            counters.bytes - max(reached, mark),
        )
        for output, position, reached, mark, letters, attached, oldest in rows
    )


def _gap_of(row: Sequence[object]) -> Gap | None:
    start, end, cause = row
    if not isinstance(start, int) or not isinstance(end, int) or not isinstance(cause, str):
        return None
    return Gap.of_reason(Window(to_moment(start), to_moment(end)), cause)
