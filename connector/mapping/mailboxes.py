"""Mail addresses as fields that are checked strictly take them, and names as mail headers write them."""

from __future__ import annotations

import re

from connector.mapping.functions.values import Lost, Value

_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+\.[A-Za-z0-9.-]+")
_SPECIAL = re.compile(r'(["\\])')
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

NO_MAILBOX = "not a plain mail address"


def mailbox(value: Value, lost: Lost) -> Value:
    """One bare address of ASCII letters whose domain has a dot."""
    if value.__class__ is str and _MAILBOX.fullmatch(value):
        return value
    lost.append((NO_MAILBOX, value))
    return None


def quoted(text: str) -> str | None:
    """In double quotes, as a mail header writes a display name; line ends and controls become blanks."""
    name = _CONTROLS.sub(" ", text).strip()
    return '"' + _SPECIAL.sub(r"\\\1", name) + '"' if name else None
