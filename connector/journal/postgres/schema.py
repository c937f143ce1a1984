"""Tables and migrations.

Times are microseconds since 1970, except those of leases, which belong to the database's clock. Text that
mail can influence is kept as bytes: PostgreSQL's text takes neither NUL nor a lone surrogate. A migration
MUST leave the schema usable for the version before: replicas are updated one after the other.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from connector.errors import JournalBroken

_FIRST = (
    """CREATE TABLE counters (
        id int PRIMARY KEY CHECK (id = 1),
        head bigint NOT NULL,        -- newest sequence number ever given
        floor bigint NOT NULL,       -- newest sequence number whose entry is gone
        bytes bigint NOT NULL,       -- compressed bytes of all entries ever written
        trimmed bigint NOT NULL,     -- of these, gone
        committed bigint NOT NULL,   -- when the newest entry was written; never steps back
        server text NOT NULL,        -- system identifier of the server that was seen last
        timeline text NOT NULL       -- and its timeline: a failover begins a new one
    )""",
    "INSERT INTO counters VALUES (1, 0, 0, 0, 0, 0, '', '')",
    """CREATE TABLE entries (
        first bigint PRIMARY KEY,
        last bigint NOT NULL,
        before bigint NOT NULL,      -- compressed bytes of all entries before this one
        size bigint NOT NULL,
        committed bigint NOT NULL,
        earliest bigint NOT NULL,    -- record times
        latest bigint NOT NULL,
        addressee text,               -- the one output that reads it; NULL: all of them
        tolerant boolean NOT NULL,   -- only the tolerant decoder reads the body without loss
        body bytea NOT NULL
    )""",
    "ALTER TABLE entries ALTER COLUMN body SET STORAGE EXTERNAL",  # it is compressed already
    """CREATE TABLE outputs (
        output text PRIMARY KEY,
        position bigint NOT NULL,
        epoch bigint NOT NULL DEFAULT 0,     -- counts up when the position is moved under its reader
        bytes bigint NOT NULL,               -- compressed bytes up to the position
        high_water bigint NOT NULL,          -- the same, up to the furthest position that it ever had
        attached boolean NOT NULL,
        max_bytes bigint NOT NULL,
        when_full text NOT NULL,
        max_dead_letters bigint NOT NULL,
        dead_letters bigint NOT NULL DEFAULT 0,
        missed bigint NOT NULL DEFAULT 0,    -- revisions deleted while detached
        gap_after bigint,                    -- position before and after the newest gap
        gap_upto bigint,
        gap_start bigint,
        gap_end bigint,
        gap_cause text
    ) WITH (fillfactor = 50)""",
    """CREATE TABLE dead_letters (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        output text NOT NULL,
        details bytea NOT NULL,      -- JSON: sequence, reason, answer, attempts, first try, dead-lettered at
        raw bigint NOT NULL,         -- bytes of the body before compression
        tolerant boolean NOT NULL,
        body bytea NOT NULL
    )""",
    "CREATE INDEX dead_letters_by_output ON dead_letters (output, number)",
    """CREATE TABLE feeds (
        feed bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account text NOT NULL,
        search text NOT NULL,
        fingerprint text,
        floor bigint,
        seen bigint NOT NULL DEFAULT 0,
        forgotten boolean NOT NULL DEFAULT false  -- its seen rows are being deleted
    ) WITH (fillfactor = 50)""",
    "CREATE UNIQUE INDEX feeds_by_name ON feeds (account, search) WHERE NOT forgotten",
    """CREATE TABLE generations (
        account text NOT NULL,
        search text NOT NULL,
        generation bigint NOT NULL,  -- how often the feed was forgotten
        PRIMARY KEY (account, search)
    )""",
    """CREATE TABLE checkpoints (
        feed bigint NOT NULL,
        sweep text NOT NULL,
        at bigint NOT NULL,
        PRIMARY KEY (feed, sweep)
    ) WITH (fillfactor = 50)""",
    """CREATE TABLE gaps (
        feed bigint NOT NULL,
        start_at bigint NOT NULL,
        end_at bigint NOT NULL,
        cause text NOT NULL,
        recorded bigint NOT NULL,
        PRIMARY KEY (feed, start_at, end_at, cause)
    )""",
    """CREATE TABLE states (
        feed bigint NOT NULL,
        state bytea NOT NULL,        -- hash of digest and body
        digest text NOT NULL,
        tolerant boolean NOT NULL,
        body bytea NOT NULL,
        until bigint NOT NULL,       -- no seen row in this state has a later one, give or take a day
        PRIMARY KEY (feed, state)
    )""",
    """CREATE TABLE seen (
        feed bigint NOT NULL,
        key bytea NOT NULL,
        time bigint NOT NULL,
        until bigint NOT NULL,
        state bytea NOT NULL,
        number int NOT NULL,
        occurrences bytea,           -- NULL: entered its present state once, and no other
        message bytea,               -- checksums of time, sender and subject
        mark bytea,                  -- digest of the record; NULL: compare it whatever it is
        PRIMARY KEY (feed, key)
    ) WITH (fillfactor = 90)""",
    "CREATE INDEX seen_by_time ON seen (feed, time)",
    """CREATE TABLE key_values (
        key text PRIMARY KEY,
        value text NOT NULL
    )""",
    """CREATE TABLE emitted (
        output text NOT NULL,
        key bytea NOT NULL,          -- hash of the record's key
        identity bytea NOT NULL,     -- of the revision that was emitted first
        at bigint NOT NULL,
        PRIMARY KEY (output, key)
    )""",
    "CREATE INDEX emitted_by_time ON emitted (at)",
    """CREATE TABLE quarantine (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        feed bigint NOT NULL,
        hash bytea NOT NULL,         -- of the bytes
        reason text NOT NULL,
        raw bytea NOT NULL,          -- the bytes, compressed
        at bigint NOT NULL
    )""",
    "CREATE UNIQUE INDEX quarantine_by_hash ON quarantine (feed, hash)",
    """CREATE TABLE leases (
        name text PRIMARY KEY,
        holder text,                 -- replica; NULL: released
        token bigint NOT NULL,       -- counts up with every holder: the fencing token
        expires timestamptz NOT NULL,
        since timestamptz NOT NULL
    ) WITH (fillfactor = 50)""",
    """CREATE TABLE replicas (
        replica text PRIMARY KEY,
        host text NOT NULL,
        process int NOT NULL,
        version text NOT NULL,
        serves text[] NOT NULL,      -- leases that its configuration can use
        started timestamptz NOT NULL,
        expires timestamptz NOT NULL
    ) WITH (fillfactor = 50)""",
    """CREATE TABLE requests (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        replica text NOT NULL,       -- who asks
        command text NOT NULL,
        arguments text NOT NULL,
        at timestamptz NOT NULL
    )""",
    """CREATE TABLE actions (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id text NOT NULL UNIQUE,
        caller text NOT NULL,
        request text NOT NULL,
        state text NOT NULL,
        version bigint NOT NULL,
        requested bigint NOT NULL,
        changed bigint NOT NULL,
        due bigint,
        subject text,
        tolerant boolean NOT NULL,
        body bytea NOT NULL
    )""",
    "CREATE UNIQUE INDEX actions_by_request ON actions (caller, request)",
    "CREATE INDEX actions_by_time ON actions (caller, requested)",
    "CREATE INDEX actions_by_subject ON actions (subject) WHERE subject IS NOT NULL",
    "CREATE INDEX actions_that_are_due ON actions (number) WHERE due IS NOT NULL",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""Statements that lead from version *n* to *n + 1*. Released ones are never edited."""

VERSION = len(MIGRATIONS)


def migrate(connection: psycopg.Connection[Any], schema: str) -> None:
    """Bring *schema* to this version, in one transaction, one process at a time.

    Raises ``JournalBroken`` for a schema of another program, or newer than this one.
    """
    with connection.transaction():
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"email-connector {schema}",)
        )
        exists = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
        if exists is None:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        connection.execute("SELECT set_config('search_path', %s, true)", (f'"{schema}"',))
        tables = {
            row[0]
            for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,))
        }
        if tables and "email_connector_schema" not in tables:
            raise JournalBroken(
                f"the schema {schema} holds tables of another program; set another state.postgres.schema"
            )
        if not tables:
            connection.execute("CREATE TABLE email_connector_schema (version int PRIMARY KEY)")
        row = connection.execute("SELECT coalesce(max(version), 0) FROM email_connector_schema").fetchone()
        version = int(row[0]) if row else 0
        if version > VERSION:
            raise JournalBroken(
                f"the schema {schema} was written by a newer version (its schema is {version}, this program "
                f"knows {VERSION}); run that version, or set another state.postgres.schema"
            )
        for number in range(version, VERSION):
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            connection.execute("INSERT INTO email_connector_schema VALUES (%s)", (number + 1,))


def is_current(connection: psycopg.Connection[Any], schema: str) -> bool:
    """Whether *schema* is at this version: then nothing needs the rights to change it."""
    found = connection.execute("SELECT to_regclass(%s)", (f'"{schema}".email_connector_schema',)).fetchone()
    if found is None or found[0] is None:
        return False
    query = sql.SQL("SELECT max(version) FROM {}").format(sql.Identifier(schema, "email_connector_schema"))
    row = connection.execute(query).fetchone()
    return row is not None and row[0] == VERSION
