"""A log that nobody reads blocks nobody; what is dropped is counted and said once somebody reads again."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import pytest

from connector.telemetry.log_writer import LogWriter
from connector.telemetry.logs import dropped_line

LINE = "x" * 999 + "\n"


class Pipe(NamedTuple):
    reader: int
    writer: int


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ends = Pipe(*os.pipe())
    yield ends
    for end in ends:
        close(end)


def close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return


def read_until(pipe: Pipe, ending: bytes) -> bytes:
    text = b""
    while ending not in text:
        text += os.read(pipe.reader, 1 << 16)
    return text


def test_a_full_pipe_blocks_nobody_and_the_dropped_lines_are_counted(pipe: Pipe) -> None:
    dropped: list[int] = []
    log = LogWriter(pipe.writer, dropped=dropped.append, most_bytes=100_000)
    log.notice = partial(dropped_line, "json")
    began = time.monotonic()
    for _ in range(10_000):
        log.write(LINE)
    assert time.monotonic() - began < 5
    assert sum(dropped) > 9_000

    text = read_until(pipe, b"log_lines_dropped")
    if not text.endswith(b"\n"):
        text += read_until(pipe, b"\n")
    notice = json.loads(text.splitlines()[-1])
    assert notice["count"] == sum(dropped)
    assert notice["level"] == "warning"
    assert text.count(LINE.encode()) == 10_000 - sum(dropped)

    log.write("after\n")
    assert read_until(pipe, b"after\n") == b"after\n"
    log.close()


def test_closing_writes_what_waits_but_not_for_ever(pipe: Pipe) -> None:
    log = LogWriter(pipe.writer)
    log.write("last words\n")
    log.close()
    assert os.read(pipe.reader, 100) == b"last words\n"

    stuck = LogWriter(pipe.writer)
    for _ in range(1000):
        stuck.write(LINE)
    began = time.monotonic()
    stuck.close(0.2)
    assert time.monotonic() - began < 5
    os.close(pipe.reader)
    stuck.close(30)  # its thread must not write into the next test's pipe


def test_a_reader_that_is_gone_is_no_error(pipe: Pipe) -> None:
    os.close(pipe.reader)
    log = LogWriter(pipe.writer)
    for _ in range(100):
        log.write(LINE)
    log.close()


def test_a_descriptor_that_somebody_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    flags = fcntl.fcntl(pipe.writer, fcntl.F_GETFL)
    fcntl.fcntl(pipe.writer, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    log = LogWriter(pipe.writer)
    for number in range(500):
        log.write(f"{number} {LINE}")
    log.write("end\n")
    lines = read_until(pipe, b"end\n").splitlines()

    assert [int(line.split()[0]) for line in lines[:-1]] == list(range(500))
    log.close()
