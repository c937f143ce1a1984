"""Dates of the mapping language: RFC 3339 in UTC with milliseconds, ``2026-11-18T09:41:07.000Z``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector.formats.json import instant
from connector.mapping.functions.values import Losses, Value

_fromisoformat = datetime.fromisoformat
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_BITS = 63
"""Bits of a number that can be a time: nanoseconds since 1970 take 61."""

_ENDS = frozenset(("Z", ""))

FIRST_YEAR, LAST_YEAR = 1971, 2099
"""Dates outside of these years are placeholders: ``0001-01-01`` (the zero of Go and .NET), the epoch of Unix,
``9999-12-31``. No email was scanned then, and no search looks for events at such a time."""

_FIRST_MS, _LAST_MS = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000
                       for year in (FIRST_YEAR, LAST_YEAR + 1))  # fmt: skip

NOT_A_DATE = "not a date"
NO_TIME = "a date that means no time"


def date(value: Value, lost: Losses) -> Value:
    """A date in the one form; a text without zone is UTC. A placeholder for no time is no date."""
    if type(value) is str:
        if value[4:14:3] == "--T:" and value[19:] in _ENDS and "20" <= value < "21":
            # What the API sends, such as 2026-11-18T09:41:07Z: validated in full, then cut, not printed.
            try:
                _fromisoformat(value)
            except ValueError:
                lost.append((NOT_A_DATE, value))
                return None
            return value[:19] + ".000Z"
        moment = moment_of(value)
        if moment is not None and FIRST_YEAR <= moment.year <= LAST_YEAR:
            return instant(moment)
        if moment is not None:
            lost.append((NO_TIME, value))
            return None
    lost.append((NOT_A_DATE, value))
    return None


def moment_of(text: str) -> datetime | None:
    """Parse an ISO 8601 time as UTC; ``None`` if it is not one."""
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
        if not _FIRST_MS <= value < _LAST_MS:
            lost.append((NO_TIME, value))
            return None
        return value
    moment = moment_of(value) if type(value) is str else None
    if moment is None or not FIRST_YEAR <= moment.year <= LAST_YEAR:
        lost.append((NOT_A_DATE if moment is None else NO_TIME, value))
        return None
    return (moment - _EPOCH) // _MILLISECOND


def epoch_ms_of_date(value: str, lost: Losses) -> Value:
    """The same for a text that ``date`` made."""
    since = _fromisoformat(value) - _EPOCH
    milliseconds = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
    return milliseconds if _FIRST_MS <= milliseconds < _LAST_MS else epoch_ms(value, lost)


def epoch_s(value: Value, lost: Losses) -> Value:
    """Seconds since 1970, with a fraction only where there is one."""
    if type(value) is not str:
        lost.append((NOT_A_DATE, value))
        return None
    milliseconds = epoch_ms(value, lost)
    if milliseconds is None:
        return None
    whole, rest = divmod(milliseconds, 1000)
    return whole + rest / 1000 if rest else whole
