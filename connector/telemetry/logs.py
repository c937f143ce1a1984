"""Facts to log lines on standard error, as JSON or as text; the same line is said once in ten seconds.

Normal operation is quiet: what happens to single pages and batches is on the level ``debug``.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TextIO

import orjson

from connector.facts import Fact, Level
from connector.import_guard import absent
from connector.model import Feed, Gap, Window

with absent("pygments", "rich"):
    import structlog

Format = Literal["json", "text"]

_RANK = {"debug": 10, "info": 20, "warning": 30, "error": 40}
VARYING = frozenset({"attempt", "after", "seconds", "sequence", "lag", "until", "asked", "answer"})
"""Fields in which lines may differ and still say the same."""

_WINDOW = 10.0
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Logs:
    """Writes log lines for facts; never raises for a stream that is gone."""

    def __init__(
        self,
        level: Level,
        form: Format,
        *,
        stream: TextIO | None = None,
        monotonic: Callable[[], float],
        suppressed: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._rank = _RANK[level]
        self._monotonic = monotonic
        self._suppressed = suppressed
        self._said: dict[tuple[object, ...], tuple[float, int]] = {}
        self._logger = _logger(level, form, stream or sys.stderr)

    def take(self, fact: Fact) -> None:
        """Say *fact*, unless its level is too low or the same was said within ten seconds."""
        level = fact.level
        if _RANK[level] < self._rank:
            return
        fields = fields_of(fact)
        repeats = self._repeats(fact, fields)
        if repeats is None:
            return
        if repeats:
            fields["repeated"] = repeats
        self._logger.log(_RANK[level], fact.event, **fields)

    def _repeats(self, fact: Fact, fields: Mapping[str, Any]) -> int | None:
        """How often the same was left out since it was last said; ``None``: leave it out again."""
        key = (type(fact), *(str(value) for name, value in fields.items() if name not in VARYING))
        now = self._monotonic()
        said, left_out = self._said.get(key, (float("-inf"), 0))
        if now - said < _WINDOW:
            self._said[key] = (said, left_out + 1)
            self._suppressed(1)
            return None
        if len(self._said) > 10_000:  # noqa: PLR2004, a bound for memory, not a rule
            self._said.clear()
        self._said[key] = (now, 0)
        return left_out


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


def _logger(level: Level, form: Format, stream: TextIO) -> structlog.typing.FilteringBoundLogger:
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
    _adopt_standard_logging(logger)
    return logger


def _dump(value: object, **_: object) -> str:
    return _visible(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode())


def _inert(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Make control and direction characters visible: answers of collectors may hold anything."""
    return {name: _visible(value) if isinstance(value, str) else value for name, value in event.items()}


def _visible(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _Stream:
    """The sink of structlog: a line at a time; a closed stream is no reason to fail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, message: str) -> None:
        try:
            self._stream.write(message + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    log = debug = info = warning = error = critical = msg


class _Bridge(logging.Handler):
    """Takes what libraries log and says it in our form."""

    def __init__(self, logger: structlog.typing.FilteringBoundLogger) -> None:
        super().__init__(logging.WARNING)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        level = min(max(record.levelno // 10 * 10, _RANK["debug"]), _RANK["error"])
        fields = {"error": str(record.exc_info[1])} if record.exc_info and record.exc_info[1] else {}
        self._logger.log(level, "library", logger=record.name, message=record.getMessage(), **fields)


def _adopt_standard_logging(logger: structlog.typing.FilteringBoundLogger) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge(logger))
    root.setLevel(logging.WARNING)
