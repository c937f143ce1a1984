"""Log lines on standard error, as JSON or as text, for facts and for what libraries log.

Normal operation is quiet: facts about single pages and batches have the level ``debug``. Every line passes
``LogLimits``, so that no failure can fill a disk with its own description.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from connector.facts import Fact, Level
from connector.import_guard import absent
from connector.model import Feed, Gap, Window
from connector.telemetry.log_limits import LogLimits
from connector.telemetry.log_writer import LineStream

with absent("pygments", "rich"):
    import structlog

Format = Literal["json", "text"]

_RANK = {"debug": 10, "info": 20, "warning": 30, "error": 40}
VARYING = frozenset({"attempt", "after", "seconds", "sequence", "lag", "until", "asked", "answer"})
"""Fields in which two lines may differ and still count as the same line."""

_LONGEST_MESSAGE = 4000
"""Characters of a library's message; some print whole objects."""

LIBRARY = "library"
SUPPRESSED = "log_lines_suppressed"
DROPPED = "log_lines_dropped"
FAILED = "telemetry_failed"
"""Events of lines that no fact stands behind."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Logs:
    """Writes log lines for facts and for libraries. Never raises, and never blocks if *stream* does not."""

    def __init__(
        self,
        level: Level,
        form: Format,
        *,
        stream: LineStream | None = None,
        monotonic: Callable[[], float],
        suppressed: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._rank = _RANK[level]
        self._limits = LogLimits(monotonic, suppressed)
        self._logger = _logger(level, form, stream or sys.stderr)
        _adopt_standard_logging(_Bridge(self))

    def take(self, fact: Fact) -> None:
        """Write *fact*, unless its level or the limits forbid it."""
        self._report_suppressed()
        if _RANK[fact.level] < self._rank:
            return
        fields = fields_of(fact)
        line = (fact.event, *(str(value) for name, value in fields.items() if name not in VARYING))
        self._write(fact.level, fact.event, fact.event, line, fields)

    def failed(self, event: str, error: str) -> None:
        """Write that telemetry itself failed on *event*."""
        self._write("error", FAILED, FAILED, (FAILED, event, error), {"fact": event, "error": error})

    def library(self, level: Level, logger: str, message: str, error: str) -> None:
        """Write a *message* that a library logged; from any thread."""
        fields = {"logger": logger, "message": message[:_LONGEST_MESSAGE]}
        if error:
            fields["error"] = error[:_LONGEST_MESSAGE]
        self._write(level, LIBRARY, f"{LIBRARY} {logger}", (LIBRARY, logger, message, error), fields)

    def _write(
        self, level: Level, event: str, kind: str, line: tuple[str, ...], fields: dict[str, Any]
    ) -> None:
        repeats = self._limits.admit(kind, line, debug=level == "debug")
        if repeats is None:
            return
        if repeats:
            fields["repeated"] = repeats
        self._logger.log(_RANK[level], event, **fields)

    def _report_suppressed(self) -> None:
        for kind, count in self._limits.reports():
            self._logger.warning(SUPPRESSED, kind=kind, count=count)


def fields_of(fact: Fact) -> dict[str, Any]:
    """The fact's fields as log fields; feeds and windows are spread out."""
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(fact):
        value = getattr(fact, field.name)
        if isinstance(value, Feed):
            fields["account"], fields["search"] = value.account, value.search
        elif isinstance(value, Gap):
            fields["cause"] = value.reason
            fields["start"], fields["end"] = _ends(value.window)
        elif isinstance(value, datetime):
            fields[field.name] = value.isoformat()
        elif isinstance(value, float):
            fields[field.name] = round(value, 3)
        elif value is not None:
            fields[field.name] = value
    return fields


def _ends(window: Window) -> tuple[str, str]:
    return window.start.isoformat(), window.end.isoformat()


def dropped_line(form: Format, count: int) -> str:
    """The line that says how many lines were dropped because the reader of stderr stalled."""
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    if form == "json":
        return _dump({"count": count, "event": DROPPED, "level": "warning", "timestamp": at}) + "\n"
    return f"{at} [warning  ] {DROPPED} count={count}\n"


def _logger(level: Level, form: Format, stream: LineStream) -> structlog.typing.FilteringBoundLogger:
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if form == "json":
        processors.append(structlog.processors.JSONRenderer(serializer=_dump))
    else:
        processors.append(_inert)
        processors.append(structlog.dev.ConsoleRenderer(colors=stream.isatty()))
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        _Stream(stream),
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_RANK[level]),
    )
    return logger


def _dump(value: object, **_: object) -> str:
    return _visible(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode())


def _inert(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Make control and direction characters visible: a collector's answer may contain anything."""
    return {name: _visible(value) if isinstance(value, str) else value for name, value in event.items()}


def _visible(text: str) -> str:
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class _Stream:
    """The sink of structlog: a line at a time; a closed stream is no reason to fail."""

    def __init__(self, stream: LineStream) -> None:
        self._stream = stream

    def msg(self, message: str) -> None:
        try:
            self._stream.write(message + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    log = debug = info = warning = error = critical = msg


class _Bridge(logging.Handler):
    """Takes what libraries log, and the interpreter's own warnings."""

    def __init__(self, logs: Logs) -> None:
        super().__init__(logging.WARNING)
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001, a library formats its message wrongly
            message = str(record.msg)
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        self._logs.library(level, record.name, message, f"{type(error).__name__}: {error}" if error else "")


def _adopt_standard_logging(bridge: _Bridge) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(bridge)
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)


@contextmanager
def interpreter_messages_logged() -> Iterator[None]:
    """Send to the log what the interpreter would print on stderr: errors in threads and in finalizers."""
    before = threading.excepthook, sys.unraisablehook
    logger = logging.getLogger("python")

    def in_thread(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "?"
        logger.error("thread %s ended: %r", name, args.exc_value)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        logger.error("%s: %r", args.err_msg or "error in a finalizer", args.exc_value)

    threading.excepthook, sys.unraisablehook = in_thread, unraisable
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = before
