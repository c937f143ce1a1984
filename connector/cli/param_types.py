"""Parameter types of the command line: times, durations, record limits, journal positions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from connector.quantities import parse_duration

EXPECTED_TIME = "a duration back from now such as 24h, or a date such as 2026-01-31 or 2026-01-31T12:00:00Z"

ITEM_NUMBER = click.IntRange(1, 2**62)
"""Number of a dead letter or a quarantined item."""

_LIMIT_DIGITS = 18
"""Digits of a number that fits 64 bits."""


def parse_time(text: str) -> timedelta | datetime:
    """Parse a duration back from now, or a date with or without a time; raises ValueError."""
    try:
        return parse_duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        if len(text) <= len("2026-01-31"):
            return moment.replace(tzinfo=UTC)
        aware = moment if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"expected {EXPECTED_TIME}") from None
    if aware.tzinfo is None:
        raise ValueError("the time has no time zone; append Z for UTC")
    return aware


class TimeParam(click.ParamType[timedelta | datetime]):
    """A duration back from now, such as ``24h``, or a date with or without a time."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | datetime:
        """Parse the text."""
        if isinstance(value, timedelta | datetime):
            return value
        try:
            return parse_time(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class DurationParam(click.ParamType[timedelta]):
    """A duration as in the configuration file, such as ``5m``."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Parse the text."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class LimitParam(click.ParamType[int]):
    """A number of records, or ``all``."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the text; 0 stands for ``all``."""
        text = str(value)
        if text.lower() == "all":
            return 0
        if not text.isascii() or not text.isdigit() or len(text) > _LIMIT_DIGITS or not int(text):
            self.fail("expected a number of records, or all", param, ctx)
        return int(text)


class PositionParam(click.ParamType[int | datetime]):
    """A position in the journal: a sequence number, a duration back from now, or a date."""

    name = "position"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | datetime:
        """Parse the text."""
        if isinstance(value, int | datetime):
            return value
        text = str(value)
        if text.isascii() and text.isdigit() and len(text) <= len(str(2**62)):
            return int(text)
        try:
            moment = parse_time(text)
            return datetime.now(UTC) - moment if isinstance(moment, timedelta) else moment
        except (ValueError, OverflowError):
            self.fail(f"expected {EXPECTED_TIME}, or a sequence number such as 4711", param, ctx)
