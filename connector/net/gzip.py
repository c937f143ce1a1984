"""Decompresses gzip bodies incrementally and within a limit: a small response may unpack to gigabytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Protocol, cast

_GZIP = 16 + zlib.MAX_WBITS
_MAGIC = b"\x1f\x8b"
"""First bytes of every gzip member (RFC 1952, section 2.3.1)."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes: ...


def _decompressor() -> _Decompressor:
    return _maker()()


@cache
def _maker() -> Callable[[], _Decompressor]:
    # Cached: looking for a package that is not installed takes longer than unpacking a small response.
    try:
        from isal import isal_zlib  # noqa: PLC0415, absent where it has no wheel
    except ImportError:
        return lambda: zlib.decompressobj(_GZIP)
    return lambda: cast("_Decompressor", isal_zlib.decompressobj(_GZIP))


class CorruptBody(Exception):
    """The bytes are not gzip, or they end too early."""


class BodyTooLarge(Exception):
    """The body is larger than the limit."""


class BoundedBody:
    """Collects one body of at most *limit* bytes, before and after decompression; joins gzip members."""

    def __init__(self, limit: int, *, gzip: bool) -> None:
        # BytesIO hands out its buffer without a copy: a large body exists once.
        self._buffer = BytesIO()
        self._rest = b""
        self._limit = self._left = self._packed_left = limit
        self._member = _decompressor() if gzip else None

    def feed(self, data: bytes) -> None:
        """Take the next chunk as received; raises ``CorruptBody`` or ``BodyTooLarge``."""
        self._packed_left -= len(data)
        if self._packed_left < 0:
            raise BodyTooLarge
        if self._member is None:
            self._buffer.write(data)
            return
        data = self._rest + data
        self._rest = b""
        while data:
            if self._member.eof:
                if not data.startswith(_MAGIC[: len(data)]):
                    # Bytes after the last member are ignored, as gzip itself ignores them.
                    return
                if len(data) < len(_MAGIC):
                    self._rest = data
                    return
                self._member = _decompressor()
            self._keep(self._unpack(self._member, data))
            data = self._member.unused_data if self._member.eof else b""

    def finish(self) -> bytes:
        """Return the whole body; raises ``CorruptBody`` when its last member is cut off."""
        if self._member is not None and not self._member.eof and self._packed_left != self._limit:
            raise CorruptBody("the compressed data ends too early")
        return self._buffer.getvalue()

    def _unpack(self, member: _Decompressor, data: bytes) -> bytes:
        try:
            # One byte more than allowed distinguishes "exactly full" from "too large".
            return member.decompress(data, self._left + 1)
        except Exception as error:  # noqa: BLE001, each library raises a class of its own and nothing else
            raise CorruptBody(str(error)) from None

    def _keep(self, part: bytes) -> None:
        self._left -= len(part)
        if self._left < 0:
            raise BodyTooLarge
        self._buffer.write(part)
