"""A first look at cron expressions, so that a wrong one is found with its place, before anything starts."""

from __future__ import annotations

import re

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
_PART = re.compile(r"(\*|[0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?(?:/([0-9]{1,2}))?")


def check_cron(text: str) -> None:
    """Raise ValueError that says which of the five fields is wrong, without repeating it."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            "five fields are needed: minute, hour, day of the month, month, day of the week, "
            "such as */5 * * * *"
        )
    for field, (name, lowest, highest, words) in zip(fields, _FIELDS, strict=True):
        if words is _DAYS and re.search(r"(?<!/)\b[0-9]", field):
            # 0 is Sunday to some programs and Monday to others.
            raise ValueError(f"write the days of the week as words: {', '.join(_DAYS)}")
        if not all(_fits(part, lowest, highest, words) for part in field.lower().split(",")):
            raise ValueError(
                f"the {name} is not one of {lowest} to {highest}, a range a-b, a list a,b or */n"
            )


def _fits(part: str, lowest: int, highest: int, words: tuple[str, ...]) -> bool:
    found = _PART.fullmatch(part)
    if not found:
        return False
    first, last, step = found.groups()
    if step is not None and not 1 <= int(step) <= highest - lowest:
        return False
    if first == "*":
        return last is None
    begin = _number(first, words)
    end = begin if last is None else _number(last, words)
    # A step behind a lone number means something else to every program.
    lone_step = step is not None and last is None
    return begin is not None and end is not None and lowest <= begin <= end <= highest and not lone_step


def _number(text: str, words: tuple[str, ...]) -> int | None:
    if text.isdigit():
        return int(text)
    # Days count from 0, months from 1.
    return words.index(text) + (len(words) == len(_MONTHS)) if text in words else None
