"""stdout through a real pipe: whole lines, whatever the reader does."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import fcntl
import os
import sys
from collections.abc import Iterator, Sequence

import pytest

from connector.errors import Hold, Retryable
from connector.interfaces import Output
from connector.model import Event, Limits, Receipt
from connector.outputs import stdout as module
from connector.outputs.stdout import StdoutOutput, StdoutSettings
from connector.testing.outputs import events

SMALLEST_PIPE = 4096


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    # As small as the system allows, so that one batch fills it.
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    yield reading, writing
    for descriptor in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def output(descriptor: int, timeout: float = 5.0) -> StdoutOutput:
    return StdoutOutput("stdout", Limits(), timeout, descriptor)


async def test_each_event_is_one_line(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    sent = events(3)
    assert await output(writing).send(sent) == Receipt()
    assert os.read(reading, 1 << 16) == b"".join(event.payload + b"\n" for event in sent)


async def test_a_line_break_in_a_payload_does_not_make_a_second_line(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    forged = dataclasses.replace(events(1)[0], payload=b'{"a":1}\n{"forged":true}')
    await output(writing).send([forged])
    assert os.read(reading, 1 << 16).count(b"\n") == 1


async def test_a_reader_that_pauses_does_not_stop_the_loop_and_gets_whole_lines_later(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    stdout = output(writing, timeout=0.2)
    stuck = events(40, 300, label="stuck")
    with pytest.raises(Retryable, match="not read within"):
        await stdout.send(stuck)
    await stdout._thread.run(lambda _: None, 10.0)  # the write that was given up is gone, inside a line
    # From here on it is read until it is closed, so that a further repetition cannot block either.
    reader = asyncio.create_task(asyncio.to_thread(read_all, reading))
    await sent_at_last(stdout, stuck)
    await stdout.close()
    os.close(writing)
    taken = await reader
    assert taken.endswith(b"\n")
    assert set(taken.split(b"\n")[:-1]) == {event.payload for event in stuck}


async def test_an_output_built_anew_ends_the_line_of_the_one_before(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload while the reader pauses: the first new event must not be glued to half an old one."""
    reading, writing = pipe
    monkeypatch.setattr(module, "_DESCRIPTOR", writing)
    module._writer_of.cache_clear()
    settings = StdoutSettings.model_validate({"timeout": "200ms"})
    first, second = (settings.build("stdout", lambda _: None) for _ in range(2))
    stuck = events(40, 300, label="stuck")
    with pytest.raises(Retryable, match="not read within"):
        await first.send(stuck)
    await first.close()

    reader = asyncio.create_task(asyncio.to_thread(read_all, reading))
    await sent_at_last(second, stuck)
    await second.close()
    os.close(writing)
    assert set((await reader).split(b"\n")[:-1]) == {event.payload for event in stuck}
    module._writer_of.cache_clear()


async def sent_at_last(stdout: Output, batch: Sequence[Event]) -> None:
    while True:
        with contextlib.suppress(Retryable):
            await stdout.send(batch)
            return


def read_all(descriptor: int) -> bytes:
    taken = b""
    while piece := os.read(descriptor, 1 << 16):
        taken += piece
    return taken


async def test_a_reader_that_ended_is_for_an_operator(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(reading)
    with pytest.raises(Hold, match="is gone"):
        await output(writing).send(events(1))


async def test_a_process_without_stdout_says_so(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "__stdout__", None)
    with pytest.raises(Hold, match="was closed when the process started"):
        await output(pipe[1]).open()


async def test_check_says_that_it_is_open(pipe: tuple[int, int]) -> None:
    assert await output(pipe[1]).check() == "stdout is open"
