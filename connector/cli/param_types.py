"""Moments as people give them on the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from connector.quantities import parse_duration

EXPECTED_TIME = (
    "a time back from now, such as 24h or 7d, or a date, such as 2026-01-31 or 2026-01-31T12:00:00Z"
)


def parse_time(text: str) -> timedelta | datetime:
    """Read a time back from now, or a date with or without a time; raises ValueError with what is wrong."""
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
        raise ValueError(f"needed is {EXPECTED_TIME}") from None
    if aware.tzinfo is None:
        raise ValueError("the time has no time zone; end it with Z for UTC")
    return aware


class TimeParam(click.ParamType[timedelta | datetime]):
    """A time back from now, such as ``24h``, or a date with or without a time."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta | datetime:
        """Read the text; fails with what is expected."""
        if isinstance(value, timedelta | datetime):
            return value
        try:
            return parse_time(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
