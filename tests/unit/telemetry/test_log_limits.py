"""No failure fills the log with its own description, whoever reports it."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connector import facts
from connector.telemetry.log_limits import LINES_PER_KIND
from connector.telemetry.logs import Logs, interpreter_messages_logged
from tests.unit.telemetry.test_facts_everywhere import NOW


class Log:
    """A log in memory, with a clock to set."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.now = 0.0
        self.suppressed = 0
        self.logs = Logs(
            "info", "json", stream=self.stream, monotonic=lambda: self.now, suppressed=self._count
        )

    def _count(self, lines: int) -> None:
        self.suppressed += lines

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture
def log() -> Iterator[Log]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield Log()
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)


@pytest.fixture(params=["fact", "library", "warning"])
def flood(request: pytest.FixtureRequest, log: Log) -> Callable[[int], None]:
    """Say something new, as one part of the program or another."""

    def fact(number: int) -> None:
        log.logs.take(facts.OutputHeld("siem", f"reason {number}"))

    def library(number: int) -> None:
        logging.getLogger("asyncio").error("socket.accept() out of system resource %d", number)

    def warning(number: int) -> None:
        warnings.warn(f"old {number}", UserWarning, stacklevel=1)

    found: Callable[[int], None] = {"fact": fact, "library": library, "warning": warning}[request.param]
    return found


def test_a_flood_of_different_lines_of_a_kind_is_cut_and_counted(
    log: Log, flood: Callable[[int], None]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        for number in range(4000):
            flood(number)
            log.now += 0.01
        assert len(log.lines) == LINES_PER_KIND
        assert log.suppressed == 4000 - LINES_PER_KIND

        log.now = 61.0
        log.logs.take(facts.LoopLagMeasured(0.0))
        [report] = log.of("log_lines_suppressed")
        assert report["count"] == 4000 - LINES_PER_KIND
        assert report["kind"].split()[0] == log.lines[0]["event"]
        flood(0)
    assert len(log.lines) == LINES_PER_KIND + 2


def test_other_kinds_are_written_meanwhile(log: Log) -> None:
    for number in range(1000):
        log.logs.take(facts.OutputHeld("siem", f"reason {number}"))
    log.logs.take(facts.OutputReleased("siem", 1.0))

    assert len(log.of("output_released")) == 1


def test_a_message_that_a_library_formats_wrongly_is_logged_all_the_same(log: Log) -> None:
    [bridge] = [handler for handler in logging.getLogger().handlers if type(handler).__name__ == "_Bridge"]
    for message, arguments in (("%d records", ("many",)), ("x" * 1_000_000, ())):
        record = logging.LogRecord("some.library", logging.ERROR, "x.py", 1, message, arguments, None)
        bridge.handle(record)

    assert [line["message"][:10] for line in log.of("library")] == ["%d records", "x" * 10]
    assert len(log.stream.getvalue()) < 10_000


def test_what_the_interpreter_prints_goes_to_the_log(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    class Bad:
        def __del__(self) -> None:
            raise ValueError("in a finalizer")

    with interpreter_messages_logged():
        thread = threading.Thread(target=lambda: 1 / 0, name="worker")
        thread.start()
        thread.join()
        del [Bad()][0]

    assert capsys.readouterr().err == ""
    assert sys.unraisablehook is not None
    messages = [line["message"] for line in log.of("library")]
    assert any("worker" in message and "ZeroDivisionError" in message for message in messages)
    assert any("in a finalizer" in message for message in messages)


def test_debug_lines_have_a_bound_of_their_own() -> None:
    stream = io.StringIO()
    logs = Logs("debug", "json", stream=stream, monotonic=lambda: 0.0)
    for number in range(5000):
        logs.take(facts.OutputPosition("siem", number, number))

    assert 100 < len(stream.getvalue().splitlines()) < 1000


def test_a_clock_in_a_fact_keeps_lines_apart_no_longer_than_the_bound(log: Log) -> None:
    for number in range(1000):
        log.logs.take(facts.RateLimited(f"account {number}", 1.0, NOW))

    assert len(log.lines) == LINES_PER_KIND
