"""What a collector answered, fit to be shown: short, on one line, without credentials."""

from __future__ import annotations

from collections.abc import Iterable

from connector.secret import MASK

_LONGEST = 300
# Shorter texts would be found by chance all over an answer.
_SHORTEST_SECRET = 4


def excerpt(body: bytes, secrets: Iterable[str], longest: int = _LONGEST) -> str:
    """Return the beginning of *body* in at most *longest* characters, *secrets* masked."""
    text = body.decode("utf-8", "replace")
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    text = " ".join(
        "".join(letter if letter.isprintable() else " " for letter in text[: longest * 4]).split()
    )
    return text if len(text) <= longest else text[: longest - 1] + "…"
