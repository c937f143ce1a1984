"""Compresses lines one after the other, so that the whole text never exists."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

_GZIP = 16 + zlib.MAX_WBITS
"""zlib writes the gzip format with 16 added to the window size."""

_LEVEL = 6
"""Objects are kept for years: a quarter smaller than level 1, for three times the processor time."""

_PIECE = 256 << 10
"""Bytes that are compressed at once: a call per line would take longer than its compression."""


def gzip_lines(lines: Iterable[bytes]) -> bytes:
    """Return *lines*, each ended by LF, as one gzip member without a time stamp."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    compressed, piece = bytearray(), bytearray()
    for line in lines:
        piece += line
        piece += b"\n"
        if len(piece) >= _PIECE:
            compressed += compressor.compress(piece)
            piece.clear()
    compressed += compressor.compress(piece)
    compressed += compressor.flush()
    return bytes(compressed)
