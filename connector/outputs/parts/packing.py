"""Gzip for requests: the same bytes for the same body, fast rather than small."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache

_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 1


def gzip(body: bytes) -> bytes:
    """Return *body* as one gzip member without time stamp."""
    return _packer()(body)


@cache
def _packer() -> Callable[[bytes], bytes]:
    # Once: looking for what is not installed takes as long as packing a few events.
    try:
        from isal import isal_zlib  # noqa: PLC0415, part of the extra "speed" and often absent
    except ImportError:
        return _plain
    return lambda body: bytes(isal_zlib.compress(body, _LEVEL, _GZIP))


def _plain(body: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()
