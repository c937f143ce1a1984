"""Moments as the database keeps them: microseconds since 1970, exact both ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000


def to_micros(moment: datetime) -> int:
    """*moment*, which must be aware, as microseconds since 1970."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * _SECOND + since.microseconds


def to_moment(micros: int) -> datetime:
    """The moment, in UTC, that :func:`to_micros` was given."""
    return _EPOCH + timedelta(microseconds=micros)


def whole_seconds(earliest: int, latest: int) -> tuple[int, int]:
    """The shortest half-open range of whole seconds that holds both, in microseconds."""
    return earliest // _SECOND * _SECOND, (latest // _SECOND + 1) * _SECOND
