"""Statements about response actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from connector.journal import refusals
from connector.journal.actions import COLUMNS, action_of, row_values
from connector.journal.codec import to_micros
from connector.journal.postgres.database import Query, Transaction
from connector.model import StoredAction


def store(transaction: Transaction, action: StoredAction, compress: Callable[[bytes], bytes]) -> StoredAction:
    """Add or replace *action*; raises ``Moved`` unless its version is the stored one."""
    values = row_values(action, compress)
    if action.version:
        changed = transaction.one(
            "UPDATE @actions SET version = version + 1, state = %s, changed = %s, due = %s, subject = %s, "
            "tolerant = %s, body = %s WHERE id = %s AND version = %s RETURNING 1",
            *values, action.id, action.version,
        )  # fmt: skip
        if not changed:
            raise refusals.action_changed(action)
        return replace(action, version=action.version + 1)
    made = transaction.one(
        "INSERT INTO @actions "
        "(id, caller, request, requested, version, state, changed, due, subject, tolerant, body) "
        "VALUES (%s, %s, %s, %s, 1, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING number",
        action.id, action.caller, action.request_id, to_micros(action.requested), *values,
    )  # fmt: skip
    if not made:
        raise refusals.request_id_used(action)
    return replace(action, version=1, number=made[0][0])


def find(query: Query, condition: str, *values: object) -> StoredAction | None:
    """The newest action that meets *condition*, a piece of SQL with as many marks as *values*."""
    rows = query.one(
        f"SELECT {COLUMNS} FROM @actions WHERE {condition} ORDER BY number DESC LIMIT 1", *values
    )
    return action_of(rows[0]) if rows else None


def read(query: Query, after: int, limit: int, *, due: bool) -> list[StoredAction]:
    """Actions after number *after*, oldest first; with *due* only those that are due at some time."""
    condition = "number > %s AND due IS NOT NULL" if due else "number > %s"
    rows = query.one(
        f"SELECT {COLUMNS} FROM @actions WHERE {condition} ORDER BY number LIMIT %s", after, limit
    )
    return [action_of(row) for row in rows]


def nth_requested(query: Query, caller: str, nth: int, since: int) -> int | None:
    """When the *nth* newest action of *caller* was requested, in microseconds; ``None`` if before *since*."""
    rows = query.one(
        "SELECT requested FROM @actions WHERE caller = %s AND requested > %s "
        "ORDER BY requested DESC LIMIT 1 OFFSET %s",
        caller, since, nth - 1,
    )  # fmt: skip
    return int(rows[0][0]) if rows else None


def forget(transaction: Transaction, before: int, most: int) -> int:
    """Delete at most *most* actions that have ended and did not change since *before*."""
    gone = transaction.one(
        "DELETE FROM @actions WHERE number = ANY(ARRAY(SELECT number FROM @actions "
        "WHERE due IS NULL AND changed < %s ORDER BY number LIMIT %s)) RETURNING number",
        before,
        most,
    )
    return len(gone)
