"""Functions from non-empty text to text or ``None``; none of them reports a loss."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

OnText: TypeAlias = Callable[[str], str | None]

_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]*(?:\s[^<>]*)?/?>")
_EXTENSION = re.compile(r"[A-Za-z0-9]{1,16}")


def strip(text: str) -> str | None:
    """Without blanks around it."""
    return text.strip() or None


def verdict(text: str) -> str | None:
    """A verdict in capitals, as the API writes them, without blanks around it."""
    return text.strip().upper() or None


def strip_tags(text: str) -> str | None:
    """Without markup such as ``<b>``; the text between the tags stays."""
    if "<" in text:
        text = text.replace("<b>", "").replace("</b>", "")  # all that the API uses today
        return (_TAG.sub("", text) if "<" in text else text) or None
    return text


def strip_brackets(text: str) -> str | None:
    """Without the angle brackets around a message id."""
    if text[0] == "<" and text[-1] == ">":
        return text[1:-1] or None
    return text.strip().removeprefix("<").removesuffix(">") or None


def extension(text: str) -> str | None:
    """The extension of a file name, in lower case, without the dot."""
    _, dot, last = text.rstrip().rpartition(".")
    return last.lower() if dot and _EXTENSION.fullmatch(last) else None


def domain(text: str) -> str | None:
    """What follows the last ``@``, in lower case; no value without one."""
    _, at, host = text.rpartition("@")
    return host.strip("<> \t\r\n").rstrip(".").lower() or None if at else None


def prefix(fixed: str) -> OnText:
    """A fixed text before it."""
    return lambda text: fixed + text


def suffix(fixed: str) -> OnText:
    """A fixed text after it."""
    return lambda text: text + fixed
