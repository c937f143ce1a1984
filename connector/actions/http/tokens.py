"""Recognises callers by their bearer token, in the same time whichever it is, and whether it is one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

from connector.actions.callers import Caller


class Tokens:
    """The tokens of all callers. Only their digests are kept."""

    def __init__(self, tokens: Iterable[tuple[Caller, str]]) -> None:
        self._callers = [(caller, _digest(token.encode())) for caller, token in tokens]

    def caller(self, headers: Sequence[tuple[bytes, bytes]]) -> Caller | None:
        """The caller whose token the request carries."""
        values = [value for name, value in headers if name == b"authorization"]
        if len(values) != 1:
            return None
        scheme, _, token = values[0].partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        # Digests have the same length, and all are compared: the time tells nothing.
        given, found = _digest(token.strip()), None
        for caller, digest in self._callers:
            if hmac.compare_digest(given, digest):
                found = caller
        return found


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
