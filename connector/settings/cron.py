"""Validate cron expressions while loading, so that an error has a position in the file."""

from __future__ import annotations

import re

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONGEST = dict(zip(range(1, 13), (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), strict=True))
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
_PART = re.compile(r"(\*|[0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?(?:/([0-9]{1,2}))?")


def check_cron(text: str) -> None:
    """Raise ValueError naming the invalid field, without quoting its value."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            "expected five fields: minute, hour, day of the month, month, day of the week, "
            "such as */5 * * * *"
        )
    chosen = [_chosen(field.lower(), *rule) for field, rule in zip(fields, _FIELDS, strict=True)]
    if min(chosen[2]) > max(_LONGEST[month] for month in chosen[3]):
        raise ValueError("this day never occurs in these months")


def _chosen(field: str, name: str, lowest: int, highest: int, words: tuple[str, ...]) -> set[int]:
    """The values that a field selects."""
    if words is _DAYS and re.search(r"(?<!/)\b[0-9]", field):
        # 0 is Sunday to some programs and Monday to others.
        raise ValueError(f"write the days of the week as words: {', '.join(_DAYS)}")
    values: set[int] = set()
    for part in field.split(","):
        allowed = _values(part, lowest, highest, words)
        if not allowed:
            raise ValueError(f"the {name} must be {lowest} to {highest}, a range a-b, a list a,b or */n")
        values.update(allowed)
    return values


def _values(part: str, lowest: int, highest: int, words: tuple[str, ...]) -> range:
    match = _PART.fullmatch(part)
    first, last, step = match.groups() if match else ("", None, None)
    if first == "*" and last is None:
        begin, end = lowest, highest
    else:
        begin = _number(first, words)
        end = begin if last is None else _number(last, words)
        if step is not None and last is None:
            return range(0)  # a step behind a lone number means something else to every program
    every = int(step or 1)
    fits = lowest <= begin <= end <= highest and (step is None or 1 <= every <= end - begin)
    return range(begin, end + 1, every) if fits else range(0)


def _number(text: str, words: tuple[str, ...]) -> int:
    if text.isdigit():
        return int(text)
    # Days count from 0, months from 1.
    return words.index(text) + (len(words) == len(_MONTHS)) if text in words else -1
