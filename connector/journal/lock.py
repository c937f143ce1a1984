"""Single-instance lock: one process per state directory; the lock file names its holder."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from connector.errors import JournalBroken, JournalInUse

FILE = "lock"

_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EIO, errno.ESTALE}
"""What flock answers on a network file system whose lock service is missing or unreachable."""

_RETRY_EVERY = 0.1
"""Seconds between two attempts to lock a directory that another process has."""


@contextmanager
def hold_directory(directory: Path) -> Iterator[None]:
    """Make *directory* (owner only) where it is missing, and keep every other process out of it.

    Raises ``JournalInUse`` naming the process that is in, ``JournalBroken`` when it cannot be written.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(directory / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalBroken(_unusable(directory, error)) from error
    try:
        _lock(handle, directory)
        yield
    finally:
        os.close(handle)


@asynccontextmanager
async def wait_for_directory(directory: Path, patience: float) -> AsyncIterator[None]:
    """Like :func:`hold_directory`, but wait up to *patience* seconds for a process that is in."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + patience
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(hold_directory(directory))
                break
            except JournalInUse:
                if clock() >= deadline:
                    raise
            await asyncio.sleep(_RETRY_EVERY)
        yield


def _lock(handle: int, directory: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid, host = _holder(handle)
        who = f"process {pid}" if pid else "another process"
        where = f" on {host}" if host and host != socket.gethostname() else ""
        raise JournalInUse(
            f"the state directory {directory} is in use by {who}{where}; "
            "stop that process, or set another state.directory",
            pid,
        ) from None
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise JournalBroken(
                f"the file system of {directory} does not support locks ({error.strerror}), like NFS without "
                "its lock service; set state.directory to a local disk, or mount it with locks"
            ) from error
        raise JournalBroken(_unusable(directory, error)) from error
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
    except OSError:
        # The lock holds without its label: a full disk must not keep the connector from starting.
        return


def _holder(handle: int) -> tuple[int | None, str]:
    words = os.pread(handle, 400, 0).decode("utf-8", "replace").split()
    pid = int(words[0]) if words and words[0].isdigit() else None
    return pid, words[1] if len(words) > 1 else ""


def _unusable(directory: Path, error: OSError) -> str:
    return (
        f"the state directory {directory} cannot be used: {error.strerror}; make it a directory that "
        f"user id {os.getuid()} can write, or set another state.directory"
    )
