"""Output ``stdout``: one event per line on the standard output of the process."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence
from functools import cache
from typing import Literal

from connector.errors import Hold, Retryable
from connector.formats.framing import line
from connector.interfaces import Observe
from connector.model import Event, Limits, Receipt
from connector.outputs.common import LocalSettings
from connector.outputs.shared.blocking_thread import BlockingThread
from connector.outputs.shared.fd_writer import FdWriter

_LIMITS = Limits(events=500, bytes=1_000_000, linger=0.1)
_DESCRIPTOR = 1
# A running process cannot get another standard output.
_CLOSED = {errno.EPIPE, errno.EBADF}


class StdoutSettings(LocalSettings):
    """Writes events to standard output, one per line."""

    type: Literal["stdout"] = "stdout"

    def build(self, name: str, observe: Observe) -> StdoutOutput:  # noqa: ARG002, it reports no facts
        """Build the output."""
        limits, timeout = self.batch.applied(_LIMITS), self.timeout.total_seconds()
        return StdoutOutput(name, limits, timeout, writer=_writer_of(_DESCRIPTOR))


@cache
def _writer_of(descriptor: int) -> FdWriter:
    """The one writer of a descriptor: after a reload the new output completes a line that the old one cut."""
    return FdWriter(descriptor)


class StdoutOutput:
    """Accepted means: the operating system took every byte of the line.

    Args:
        name: the output's name.
        limits: of one send.
        timeout: seconds that the reader may pause before the send fails.
        descriptor: where to write.
        writer: an existing writer of *descriptor*, shared with an earlier output.
    """

    def __init__(
        self,
        name: str,
        limits: Limits,
        timeout: float,
        descriptor: int = _DESCRIPTOR,
        writer: FdWriter | None = None,
    ) -> None:
        self._limits = limits
        self._timeout = timeout
        self._thread = BlockingThread(f"output-{name}")
        self._writer = writer or FdWriter(descriptor)

    @property
    def limits(self) -> Limits:
        """Limits of one ``send``."""
        return self._limits

    async def open(self) -> None:
        """Check that the process has a standard output."""
        # Only Python's start-up knows; later the descriptor may belong to any other file of this process.
        if sys.__stdout__ is None:
            raise Hold("stdout was closed when the process started; start it with stdout connected")

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Write one line per event."""
        lines = b"".join(line(event.payload) for event in events)
        try:
            await self._thread.run(lambda token: self._writer.write(lines, token), self._timeout)
        except TimeoutError:
            raise Retryable(f"stdout was not read within {self._timeout:g} s") from None
        except OSError as error:
            if error.errno in _CLOSED:
                raise Hold("the reader of stdout is gone; restart the connector with a reader") from None
            raise Retryable(f"stdout cannot be written: {error.strerror}") from None
        return Receipt()

    async def close(self) -> None:
        """Stop the writer thread."""
        self._thread.stop()

    async def check(self) -> str:
        """Check that the process has a standard output."""
        await self.open()
        return "stdout is open"
