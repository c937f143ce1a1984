"""Opens the journal that ``state`` names. The only place that knows a concrete one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
)
from datetime import datetime
from importlib import import_module
from pathlib import Path

from connector import __version__
from connector.errors import ConfigurationError, ConnectorError, JournalBroken, Problem
from connector.interfaces import Clock, Journal, Observe
from connector.journal import FILE, SQLITE, JournalOptions, lock, recovery, transfer
from connector.journal import Journal as SqliteJournal
from connector.secret import Secret
from connector.settings import PostgresSettings, StateSettings

__all__ = [
    "SQLITE",
    "RecoveryReport",
    "check_driver",
    "check_file",
    "hold_directory",
    "journal_exists",
    "journal_file",
    "migrate_journal",
    "open_existing",
    "open_journal",
    "recover_file",
]

RecoveryReport = recovery.RecoveryReport

_DIRECTORY_PATIENCE = 5.0
"""Seconds that a daemon waits at its start for a command that has the state directory: most end at once."""

_START_PATIENCE = 60.0
"""Seconds that a daemon waits for the database server at its start; then it ends, to be started again."""

COMMAND_PATIENCE = 5.0
"""Seconds that a command waits for a database server that is away: a person is watching."""


@asynccontextmanager
async def open_journal(
    state: StateSettings, *, observe: Observe, clock: Clock, patience: float | None = COMMAND_PATIENCE
) -> AsyncIterator[Journal]:
    """The journal of *state* until the end of the block; a new one where there is none.

    *patience*: seconds that an operation waits for a database server that is away; ``None``, for a daemon:
    for ever, and a command that has the state directory is waited for.
    Raises ``JournalInUse`` when another process has it, ``JournalBroken`` when it cannot be used.
    """
    options = JournalOptions(retain=state.retain, emitted_for=state.emitted_for)
    async with AsyncExitStack() as stack:
        journal: Journal
        if state.postgres is None:
            journal = await stack.enter_async_context(
                SqliteJournal.open(
                    state.directory,
                    observe=observe,
                    clock=clock,
                    options=options,
                    patience=_DIRECTORY_PATIENCE if patience is None else 0.0,
                )
            )
        else:
            check_driver(state)
            journal = await stack.enter_async_context(
                _postgres(state.postgres, observe, clock, options, patience=patience)
            )
        source = await journal.get_value(transfer.UNFINISHED)
        if source is not None:
            raise JournalBroken(
                f"the journal is an unfinished copy of {source}: run `state migrate` again, then start"
            )
        yield journal


@asynccontextmanager
async def open_existing(state: StateSettings, *, observe: Observe, clock: Clock) -> AsyncIterator[Journal]:
    """Like :func:`open_journal`; raises ``ConnectorError`` where there is none yet."""
    if state.postgres is not None:
        async with open_journal(state, observe=observe, clock=clock) as journal:
            yield journal
        return
    try:
        journal_file(state.directory).stat()
    except FileNotFoundError:
        raise ConnectorError(
            f"no journal in {state.directory}: no connector has run on this state directory yet"
        ) from None
    except OSError as error:
        raise ConnectorError(
            f"cannot open the journal in {state.directory} ({error.strerror}); "
            "run the command as the user that the connector runs as"
        ) from None
    async with open_journal(state, observe=observe, clock=clock) as journal:
        yield journal


def journal_exists(state: StateSettings) -> bool:
    """Whether a connector may have run on *state* before."""
    return state.postgres is not None or journal_file(state.directory).exists()


def journal_file(directory: Path) -> Path:
    """The database file of the journal in *directory*."""
    return directory / FILE


@asynccontextmanager
async def hold_directory(state: StateSettings) -> AsyncIterator[None]:
    """Keep other processes out of the directory of *state*, which has the control socket.

    Raises ``JournalInUse`` when another one has it for some seconds. An embedded journal does so itself.
    """
    embedded = state.postgres is None
    async with nullcontext() if embedded else lock.wait_for_directory(state.directory, _DIRECTORY_PATIENCE):
        yield


def check_file(directory: Path) -> tuple[str, ...]:
    """Check all of the journal in *directory*; return a sentence per problem. Raises ``JournalError``."""
    return recovery.check(directory, FILE)


def recover_file(directory: Path, now: datetime) -> RecoveryReport:
    """Replace the journal in *directory* by what can be read of it. Raises ``JournalError``."""
    return recovery.recover(directory, FILE, now)


def check_driver(state: StateSettings) -> None:
    """Raise ``ConfigurationError`` where the driver for *state* is not installed."""
    if state.postgres is None:
        return
    try:
        import_module("connector.journal.postgres")
    except ImportError:
        raise ConfigurationError(
            Problem(
                "state.postgres: the PostgreSQL driver is not installed",
                hint="pip install 'cloudflare-email-connector[postgres]'",
            )
        ) from None


def _postgres(
    settings: PostgresSettings,
    observe: Observe,
    clock: Clock,
    options: JournalOptions,
    *,
    patience: float | None,
) -> AbstractAsyncContextManager[Journal]:
    # Imported here: an installation without the extra has no driver.
    from connector.journal.postgres import PostgresJournal, Server, Tls  # noqa: PLC0415

    tls = settings.tls
    server = Server(
        settings.url,
        settings.schema_name,
        settings.password,
        Tls(tls.mode, tls.ca_file, tls.cert_file, tls.key_file),
    )
    return PostgresJournal.open(
        server,
        observe=observe,
        clock=clock,
        options=options,
        version=__version__,
        patience=patience,
        start_patience=_START_PATIENCE if patience is None else patience,
    )


def migrate_journal(
    source: str, target: str, schema: str, report: Callable[[str, int], None]
) -> dict[str, int]:
    """Copy the journal *source* into *target*, each a directory or a ``postgresql://`` URL with *schema*.

    The source stays as it is, and nothing may use either meanwhile. Returns the rows by table. Raises
    ``JournalError``.
    """
    with _side(source, schema, is_new=False) as reading, _side(target, schema, is_new=True) as writing:
        return transfer.copy(reading, writing, report)


def _side(place: str, schema: str, *, is_new: bool) -> AbstractContextManager[transfer.Side]:
    if not place.startswith(("postgresql://", "postgres://")):
        return transfer.sqlite_side(Path(place), FILE, is_new=is_new)
    check_driver(StateSettings(postgres=PostgresSettings(url=Secret(place), schema=schema)))
    from connector.journal.postgres import Server  # noqa: PLC0415, see _postgres
    from connector.journal.postgres.transfer import postgres_side  # noqa: PLC0415

    return postgres_side(Server(Secret(place), schema), is_new=is_new)
