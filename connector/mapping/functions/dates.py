"""Dates of the mapping language: RFC 3339 in UTC with milliseconds, ``2026-11-18T09:41:07.000Z``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector.formats.json import instant
from connector.mapping.functions.values import Losses, Value

_fromisoformat = datetime.fromisoformat
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_BITS = 63

NO_DATE = "not a date"


def date(value: Value, lost: Losses) -> Value:
    """A date in the one form; a text without zone is UTC."""
    if type(value) is str:
        if value[4:14:3] == "--T:" and value[19:] == "Z":
            # What the API sends, such as 2026-11-18T09:41:07Z: validated in full, then cut, not printed.
            try:
                _fromisoformat(value)
            except ValueError:
                lost.append((NO_DATE, value))
                return None
            return value[:19] + ".000Z"
        moment = moment_of(value)
        if moment is not None:
            return instant(moment)
    lost.append((NO_DATE, value))
    return None


def moment_of(text: str) -> datetime | None:
    """The moment that *text* names, in UTC; ``None`` where it names none."""
    try:
        moment = _fromisoformat(text)
    except ValueError:
        bare = text.strip()
        if bare.endswith("z"):
            bare = bare[:-1] + "Z"
        return None if bare == text else moment_of(bare)
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        return None


def epoch_ms(value: Value, lost: Losses) -> Value:
    """Milliseconds since 1970; a whole number is taken to be that already."""
    if type(value) is int and value.bit_length() < _BITS:
        return value
    moment = moment_of(value) if type(value) is str else None
    if moment is None:
        lost.append((NO_DATE, value))
        return None
    return (moment - _EPOCH) // _MILLISECOND


def epoch_s(value: Value, lost: Losses) -> Value:
    """Seconds since 1970, with a fraction only where there is one."""
    if type(value) is not str:
        lost.append((NO_DATE, value))
        return None
    milliseconds = epoch_ms(value, lost)
    if milliseconds is None:
        return None
    whole, rest = divmod(milliseconds, 1000)
    return whole + rest / 1000 if rest else whole
