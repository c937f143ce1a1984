"""Statements about feeds: progress, checkpoints, gaps, generations.

On the floor of a feed see ``connector.journal.feeds``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connector.journal import refusals
from connector.journal.codec import printable, to_micros, to_moment
from connector.journal.gaps import merge_touching
from connector.journal.postgres.database import Query, Row, Statement, Transaction
from connector.model import RETRIED, Commit, Feed, FeedOutline, Gap, Progress, Step, Window, source_of

_LIVE = "live"
_RETRIED = RETRIED.days * 86_400_000_000

_NUMBER = "(SELECT feed FROM @feeds WHERE account = %s AND search = %s AND NOT forgotten)"


def number_of(query: Query, feed: Feed) -> int | None:
    """The feed's number, if it was ever committed."""
    rows = query.one(f"SELECT {_NUMBER}", feed.account, feed.search)
    return None if rows[0][0] is None else int(rows[0][0])


def progress(query: Query, feed: Feed) -> Progress:
    """The progress of *feed*."""
    names = (feed.account, feed.search)
    generation, about, checkpoints, gaps = query.run(
        ("SELECT generation FROM @generations WHERE account = %s AND search = %s", names),
        ("SELECT fingerprint, floor FROM @feeds WHERE account = %s AND search = %s AND NOT forgotten", names),
        (f"SELECT sweep, at FROM @checkpoints WHERE feed = {_NUMBER}", names),
        (f"SELECT {_GAP} FROM @gaps WHERE feed = {_NUMBER} ORDER BY start_at, end_at", names),
    )
    life = generation[0][0] if generation else 0
    if not about:
        return Progress({}, generation=life)
    fingerprint, floor = about[0]
    return Progress(
        {sweep: to_moment(at) for sweep, at in checkpoints},
        fingerprint,
        None if floor is None else to_moment(floor),
        tuple(map(_gap, gaps)),
        life,
    )


STANDING = (
    "SELECT f.feed, f.fingerprint, c.at, coalesce(g.generation, 0) "
    "FROM (SELECT %s::text AS account, %s::text AS search, %s::text AS sweep) AS w "
    "LEFT JOIN @feeds f ON f.account = w.account AND f.search = w.search AND NOT f.forgotten "
    "LEFT JOIN @checkpoints c ON c.feed = f.feed AND c.sweep = w.sweep "
    "LEFT JOIN @generations g ON g.account = w.account AND g.search = w.search"
)
"""Number, fingerprint, checkpoint of one sweep and generation of a feed, each NULL where there is none."""


def standing_of(commit: Commit) -> Statement:
    """The statement ``STANDING`` for *commit*."""
    return STANDING, (commit.feed.account, commit.feed.search, commit.step.sweep if commit.step else "")


def check(commit: Commit, row: Row) -> None:
    """Raise ``Moved`` unless *row*, of ``STANDING``, is what *commit* was made for."""
    _, _, at, generation = row
    if commit.generation not in {None, generation}:
        raise refusals.feed_forgotten(commit.feed)
    step = commit.step
    if step is None:
        return
    expected = None if step.since is None else to_micros(step.since)
    if at != expected:
        raise refusals.checkpoint_moved(commit.feed, step, at)


def ensure_number(transaction: Transaction, feed: Feed, fingerprint: str, row: Row) -> int:
    """The feed's number, given where it is new; *fingerprint* becomes the stored one."""
    number, stored = row[0], row[1]
    if number is None:
        made = transaction.one(
            "INSERT INTO @feeds (account, search, fingerprint) VALUES (%s, %s, %s) "
            "ON CONFLICT (account, search) WHERE NOT forgotten "
            "DO UPDATE SET fingerprint = excluded.fingerprint RETURNING feed",
            feed.account, feed.search, fingerprint,
        )  # fmt: skip
        return int(made[0][0])
    if stored != fingerprint:
        transaction.one("UPDATE @feeds SET fingerprint = %s WHERE feed = %s", fingerprint, number)
    return int(number)


def take_step(transaction: Transaction, number: int, step: Step, now: int) -> list[Statement]:
    """What moves the checkpoint, records the gap and sets the floor; seen rows MUST be stored before."""
    statements: list[Statement] = []
    if step.since is None and step.sweep == _LIVE:
        # Where another sweep read first, old rows may be its own: they prove nothing.
        statements.append(
            (
                "UPDATE @feeds SET floor = CASE WHEN EXISTS (SELECT 1 FROM @checkpoints WHERE feed = %s) "
                "THEN %s ELSE least(%s, coalesce((SELECT min(time) FROM @seen WHERE feed = %s), %s)) END "
                "WHERE feed = %s",
                (number, to_micros(step.until), to_micros(step.until), number, to_micros(step.until), number),
            )
        )
    statements.append(
        (
            "INSERT INTO @checkpoints (feed, sweep, at) VALUES (%s, %s, %s) "
            "ON CONFLICT (feed, sweep) DO UPDATE SET at = excluded.at",
            (number, step.sweep, to_micros(step.until)),
        )
    )
    if step.gap is not None:
        cause = printable(step.gap.reason)
        _fold(transaction, number, cause, now - _RETRIED)
        window = to_micros(step.gap.window.start), to_micros(step.gap.window.end)
        statements.append(_add_gap(number, window, cause, now))
    return statements


def repair(transaction: Transaction, feed: Feed, gap: Gap, part: Window) -> None:
    """Reduce *gap* to what lies before and after *part*."""
    number = number_of(transaction, feed)
    if number is None:
        return
    start, end = to_micros(gap.window.start), to_micros(gap.window.end)
    cause = printable(gap.reason)
    rows = transaction.one(
        "DELETE FROM @gaps WHERE feed = %s AND start_at = %s AND end_at = %s AND cause = %s RETURNING "
        "recorded",
        number, start, end, cause,
    )  # fmt: skip
    if not rows:
        return
    for left in ((start, min(end, to_micros(part.start))), (max(start, to_micros(part.end)), end)):
        if left[0] < left[1]:
            transaction.run(_add_gap(number, left, cause, rows[0][0]))


def forget(transaction: Transaction, feed: Feed) -> None:
    """Delete everything of *feed* at once, except its seen rows, which may be millions."""
    number = number_of(transaction, feed)
    statements: list[Statement] = [
        (
            "INSERT INTO @generations (account, search, generation) VALUES (%s, %s, 1) "
            "ON CONFLICT (account, search) DO UPDATE SET generation = generations.generation + 1",
            (feed.account, feed.search),
        )
    ]
    if number is not None:
        statements += [
            (f"DELETE FROM @{table} WHERE feed = %s", (number,))
            for table in ("checkpoints", "gaps", "quarantine")
        ]
        statements.append(("DELETE FROM @key_values WHERE starts_with(key, %s)", (feed.notes,)))
        statements.append(("UPDATE @feeds SET forgotten = true WHERE feed = %s", (number,)))
    transaction.run(*statements)


def outlines(
    feeds: Sequence[Row], checkpoints: Sequence[Row], gaps: Sequence[Row]
) -> tuple[FeedOutline, ...]:
    """Every feed, by name, from the rows of ``OUTLINE``."""
    at: dict[int, dict[str, datetime]] = {}
    for number, sweep, moment in checkpoints:
        at.setdefault(number, {})[sweep] = to_moment(moment)
    of: dict[int, list[Gap]] = {}
    for row in gaps:
        of.setdefault(row[0], []).append(_gap(row[1:]))
    return tuple(
        FeedOutline(
            Feed(account, search),
            at.get(number, {}),
            tuple(of.get(number, ())),
            seen,
            items,
            source_of(fingerprint or ""),
        )
        for number, account, search, seen, items, fingerprint in feeds
    )


_GAP = "start_at, end_at, cause, recorded"

OUTLINE: tuple[Statement, ...] = (
    (
        "SELECT f.feed, f.account, f.search, f.seen, (SELECT count(*) FROM @quarantine AS q WHERE q.feed = "
        'f.feed), f.fingerprint FROM @feeds AS f WHERE NOT f.forgotten ORDER BY f.account COLLATE "C", '
        'f.search COLLATE "C"',
        (),
    ),
    ("SELECT feed, sweep, at FROM @checkpoints", ()),
    (f"SELECT feed, {_GAP} FROM @gaps ORDER BY start_at, end_at", ()),
)
"""The statements whose rows :func:`outlines` takes."""


def _gap(row: Row) -> Gap:
    start, end, reason, recorded = row
    return Gap.of_reason(Window(to_moment(start), to_moment(end)), reason, to_moment(recorded))


def _add_gap(number: int, window: tuple[int, int], cause: str, recorded: int) -> Statement:
    return (
        "INSERT INTO @gaps (feed, start_at, end_at, cause, recorded) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        (number, *window, cause, recorded),
    )


def _fold(transaction: Transaction, number: int, cause: str, final: int) -> None:
    """Merge final gaps that touch: a revisit age beyond the API's retention would add a row per poll."""
    rows = transaction.one(
        "SELECT start_at, end_at, recorded FROM @gaps WHERE feed = %s AND cause = %s AND recorded <= %s "
        "ORDER BY start_at",
        number, cause, final,
    )  # fmt: skip
    folded = merge_touching(rows)
    if len(folded) == len(rows):
        return
    transaction.run(
        ("DELETE FROM @gaps WHERE feed = %s AND cause = %s AND recorded <= %s", (number, cause, final)),
        *(_add_gap(number, (start, end), cause, recorded) for start, end, recorded in folded),
    )
