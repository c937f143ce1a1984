"""Output ``file``: settings and class; one event per line, appended and synced to disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connector.errors import DeliveryError, Hold, Retryable
from connector.formats.framing import line
from connector.interfaces import Observe
from connector.model import Event, Limits, Receipt
from connector.net.clock import utc_now
from connector.outputs.common import LocalSettings
from connector.outputs.file.appender import Appender, InUse, NotAFile
from connector.outputs.file.rotation import Rotation
from connector.outputs.shared.blocking_thread import BlockingThread
from connector.quantity_fields import Duration, Size

_LIMITS = Limits(events=1000, bytes=4_000_000)
# An operator has to fix the path or its permissions; other errors (no space, I/O) may pass.
_HOLD_ERRNOS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR,
                 errno.ENXIO, errno.ELOOP, errno.ENAMETOOLONG}  # fmt: skip


class RotateSettings(BaseModel):
    """When to start a new file, and how many older ones to keep."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    size: Size | None = Field(
        default=None, ge=1024, description="Start a new file before the current one exceeds this size."
    )
    every: Duration | None = Field(
        default=None,
        ge=timedelta(minutes=1),
        le=timedelta(days=366),
        description="Start a new file at the end of every period of this length; 1d ends at midnight UTC.",
    )
    keep: int = Field(default=5, ge=1, le=1000, description="Rotated files to keep; path.1 is the newest.")

    @model_validator(mode="after")
    def _says_when(self) -> RotateSettings:
        if self.size is None and self.every is None:
            raise ValueError("rotate requires size, every, or both")
        return self

    def value(self) -> Rotation:
        """Return it as a ``Rotation``."""
        every = None if self.every is None else self.every.total_seconds()
        return Rotation(self.size, every, self.keep)


class FileSettings(LocalSettings):
    """Appends events to a file, one per line."""

    type: Literal["file"] = "file"
    path: Path = Field(
        description="File to append to. Its directory must exist; no other output may use the file."
    )
    rotate: RotateSettings | None = Field(
        default=None, description="Rotation by the connector; without it, logrotate can rotate the file."
    )

    def build(self, name: str, observe: Observe) -> FileOutput:  # noqa: ARG002, it reports no facts
        """Build the output."""
        appender = Appender(self.path, self.rotate.value() if self.rotate else None, utc_now)
        return FileOutput(
            name, self.path, appender, self.batch.applied(_LIMITS), self.timeout.total_seconds()
        )


class FileOutput:
    """Accepted means: the lines are in the file and ``fsync`` returned.

    Args:
        name: the output's name.
        path: the file, for messages.
        appender: writes to the file.
        limits: of one send.
        timeout: of one write, in seconds.
    """

    def __init__(self, name: str, path: Path, appender: Appender, limits: Limits, timeout: float) -> None:
        self._path = path
        self._appender = appender
        self._limits = limits
        self._timeout = timeout
        self._thread = BlockingThread(f"output-{name}")

    @property
    def limits(self) -> Limits:
        """Limits of one ``send``."""
        return self._limits

    async def open(self) -> None:
        """Open the file; an incomplete last line left by a crash is cut off."""
        await self._do(self._appender.open)

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Append one line per event; lines written by a failed attempt are not written twice."""
        lines = b"".join(line(event.payload) for event in events)
        await self._do(lambda: self._appender.append(lines))
        return Receipt()

    async def close(self) -> None:
        """Release the file and stop the writer thread."""
        try:
            await self._thread.run(lambda _: self._appender.close(), self._timeout)
        except TimeoutError:
            # The disk does not respond; the daemon thread ends with the process.
            return
        finally:
            self._thread.stop()

    async def check(self) -> str:
        """Check that the file can be written, without creating or changing it."""
        await self._do(lambda: _must_be_writable(self._path))
        return f"{self._path} is writable"

    async def _do(self, call: Callable[[], None]) -> None:
        try:
            await self._thread.run(lambda _: call(), self._timeout)
        except TimeoutError:
            raise Retryable(f"{self._path}: the disk did not respond within {self._timeout:g} s") from None
        except NotAFile:
            raise Hold(f"{self._path} is not a regular file; set path to one") from None
        except InUse:
            raise Hold(
                f"{self._path} is in use by another process or output; give each output its own file"
            ) from None
        except OSError as error:
            raise _delivery_error(self._path, error) from None


def _delivery_error(path: Path, error: OSError) -> DeliveryError:
    if error.errno in _HOLD_ERRNOS:
        return Hold(
            f"{path} cannot be written: {error.strerror}; check the path, its directory and its owner"
        )
    return Retryable(f"{path} cannot be written: {error.strerror}")


def _must_be_writable(path: Path) -> None:
    if path.exists():
        if not path.is_file():
            raise NotAFile
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK))
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        number = errno.EACCES if path.parent.is_dir() else errno.ENOENT
        raise OSError(number, os.strerror(number))
