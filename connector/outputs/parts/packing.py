"""Gzip for requests: the same bytes for the same body, fast rather than small."""

from __future__ import annotations

import zlib

_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 1


def gzip(body: bytes) -> bytes:
    """Return *body* as one gzip member without time stamp."""
    try:
        from isal import isal_zlib  # noqa: PLC0415, part of the extra "speed" and often absent
    except ImportError:
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        return packer.compress(body) + packer.flush()
    packed: bytes = isal_zlib.compress(body, _LEVEL, _GZIP)
    return packed
