"""Opens the journal that ``state`` names. The only place that knows a concrete one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from connector.errors import ConnectorError
from connector.interfaces import Clock, Journal, Observe
from connector.journal import FILE, SQLITE, JournalOptions, recovery
from connector.journal import Journal as SqliteJournal
from connector.settings import StateSettings

__all__ = [
    "SQLITE",
    "RecoveryReport",
    "check_file",
    "journal_exists",
    "journal_file",
    "open_existing",
    "open_journal",
    "recover_file",
]

RecoveryReport = recovery.RecoveryReport


@asynccontextmanager
async def open_journal(state: StateSettings, *, observe: Observe, clock: Clock) -> AsyncIterator[Journal]:
    """The journal of *state* until the end of the block; a new one where there is none.

    Raises ``JournalInUse`` when another process has it, ``JournalBroken`` when it cannot be used.
    """
    options = JournalOptions(retain=state.retain, emitted_for=state.emitted_for)
    async with SqliteJournal.open(state.directory, observe=observe, clock=clock, options=options) as journal:
        yield journal


@asynccontextmanager
async def open_existing(state: StateSettings, *, observe: Observe, clock: Clock) -> AsyncIterator[Journal]:
    """Like :func:`open_journal`; raises ``ConnectorError`` where there is none yet."""
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
    """Whether a connector has run on *state* before."""
    return journal_file(state.directory).exists()


def journal_file(directory: Path) -> Path:
    """The database file of the journal in *directory*."""
    return directory / FILE


def check_file(directory: Path) -> tuple[str, ...]:
    """Check all of the journal in *directory*; return a sentence per problem. Raises ``JournalError``."""
    return recovery.check(directory, FILE)


def recover_file(directory: Path, now: datetime) -> RecoveryReport:
    """Replace the journal in *directory* by what can be read of it. Raises ``JournalError``."""
    return recovery.recover(directory, FILE, now)
