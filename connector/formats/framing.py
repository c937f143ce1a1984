"""Where one message ends and the next begins: LF-separated lines, and octet counting (RFC 6587, RFC 5425).

Whatever the payload holds, a frame holds exactly one message: a raw line break or NUL inside it becomes
a space, byte for byte, so that lengths stay as they were counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

Framing: TypeAlias = Literal["octet", "lf"]

_SEPARATORS = bytes.maketrans(b"\n\r\0", b"   ")


def one_line(message: bytes) -> bytes:
    """Replace every raw LF, CR and NUL by a space; the length does not change."""
    return message.translate(_SEPARATORS)


def line(message: bytes) -> bytes:
    """Frame by a trailing LF."""
    return message.translate(_SEPARATORS) + b"\n"


def octet_counted(message: bytes) -> bytes:
    """Frame by the number of bytes, in decimal digits, and a space in front."""
    if not message:
        raise ValueError("an empty message cannot be framed: RFC 6587 knows no length of 0")
    return b"%d %b" % (len(message), message.translate(_SEPARATORS))


FRAMINGS: dict[Framing, Callable[[bytes], bytes]] = {"octet": octet_counted, "lf": line}
