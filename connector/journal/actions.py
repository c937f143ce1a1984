"""The table of actions: what callers asked the connector to do, and how far each is."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final, cast

from connector.errors import LimitReached
from connector.journal import refusals
from connector.journal.codec import Text, from_text, to_micros, to_moment, to_text
from connector.model import JsonObject, StoredAction

HOUR: Final = timedelta(hours=1)
COLUMNS = "number, id, caller, request, state, version, requested, changed, due, subject, tolerant, body"


def store(
    connection: sqlite3.Connection, action: StoredAction, compress: Callable[[bytes], bytes]
) -> StoredAction:
    """Add or replace *action*; raises ``Moved`` unless its version is the stored one."""
    values = row_values(action, compress)
    if action.version:
        changed = connection.execute(
            "UPDATE actions SET version = version + 1, state = ?, changed = ?, due = ?, subject = ?, "
            "tolerant = ?, body = ? WHERE id = ? AND version = ?",
            (*values, action.id, action.version),
        ).rowcount
        if not changed:
            raise refusals.action_changed(action)
        return replace(action, version=action.version + 1)
    try:
        row = connection.execute(
            "INSERT INTO actions "
            "(id, caller, request, requested, version, state, changed, due, subject, tolerant, body) "
            "VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?) RETURNING number",
            (action.id, action.caller, action.request_id, to_micros(action.requested), *values),
        ).fetchone()
    except sqlite3.IntegrityError:
        raise refusals.request_id_used(action) from None
    return replace(action, version=1, number=int(row[0]))


def find(connection: sqlite3.Connection, condition: str, *values: object) -> StoredAction | None:
    """The newest action that meets *condition*, a piece of SQL with as many marks as *values*."""
    row = connection.execute(
        f"SELECT {COLUMNS} FROM actions WHERE {condition} ORDER BY number DESC LIMIT 1",  # noqa: S608, our own text
        values,
    ).fetchone()
    return None if row is None else action_of(row)


def read(connection: sqlite3.Connection, after: int, limit: int, *, due: bool) -> list[StoredAction]:
    """Actions after number *after*, oldest first; with *due* only those that are due at some time."""
    condition = "number > ? AND due IS NOT NULL" if due else "number > ?"
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM actions WHERE {condition} ORDER BY number LIMIT ?",  # noqa: S608, our own text
        (after, limit),
    )
    return [action_of(row) for row in rows]


def nth_requested(connection: sqlite3.Connection, caller: str, nth: int, since: int) -> int | None:
    """When the *nth* newest action of *caller* was requested, in microseconds; ``None`` if before *since*."""
    row = connection.execute(
        "SELECT requested FROM actions WHERE caller = ? AND requested > ? "
        "ORDER BY requested DESC LIMIT 1 OFFSET ?",
        (caller, since, nth - 1),
    ).fetchone()
    return None if row is None else int(row[0])


def check_limit(action: StoredAction, per_hour: int, nth: Callable[[str, int, int], int | None]) -> None:
    """Raise ``LimitReached`` where *action*, which is stored already, is one more than its caller may."""
    since = to_micros(action.requested - HOUR)
    oldest = nth(action.caller, per_hour + 1, since)
    if oldest is not None:
        raise LimitReached(f"{per_hour} actions of {action.caller} within an hour", to_moment(oldest) + HOUR)


def forget(connection: sqlite3.Connection, before: int, most: int) -> int:
    """Delete at most *most* actions that have ended and did not change since *before*."""
    return connection.execute(
        "DELETE FROM actions WHERE number IN "
        "(SELECT number FROM actions WHERE due IS NULL AND changed < ? ORDER BY number LIMIT ?)",
        (before, most),
    ).rowcount


def row_values(
    action: StoredAction, compress: Callable[[bytes], bytes]
) -> tuple[str, int, int | None, str | None, bool, bytes]:
    """What changes with an action: state, time of the change, due time, subject, tolerant, body."""
    text = to_text(action.body)
    due = None if action.due is None else to_micros(action.due)
    return action.state, to_micros(action.changed), due, action.subject, text.tolerant, compress(text.data)


def decode_body(body: bytes, *, tolerant: bool) -> JsonObject:
    """Decode the body of an action; raises one of ``UNREADABLE`` for a damaged one."""
    decoded = from_text(Text(zlib.decompress(body), tolerant))
    if not isinstance(decoded, dict):
        raise TypeError("the body of an action is not an object")
    return decoded


def action_of(row: tuple[object, ...]) -> StoredAction:
    """The action of a row of ``COLUMNS``; raises one of ``UNREADABLE`` for a damaged body."""
    number, name, caller, request, state, version, requested, changed, due, subject, tolerant, body = cast(
        "tuple[int, str, str, str, str, int, int, int, int | None, str | None, int, bytes]", row
    )
    return StoredAction(
        id=name,
        caller=caller,
        request_id=request,
        state=state,
        requested=to_moment(requested),
        changed=to_moment(changed),
        body=decode_body(body, tolerant=bool(tolerant)),
        due=None if due is None else to_moment(due),
        subject=subject,
        number=number,
        version=version,
    )
