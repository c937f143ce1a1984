"""Arrays in PostgreSQL's binary format, packed with one call per column.

A page has a thousand rows of eight columns. Packing each value with an adapter of its own takes several times
as long as everything else that the connector does for the row.

Format: number of dimensions, whether there are nulls, type of the elements, length, lower bound, then each
element
with its length (-1: null), all big-endian (PostgreSQL, ``array_recv``).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.numeric import Int8BinaryDumper

_INT8, _INT4, _BYTEA = 20, 23, 17
_INT8_ARRAY, _INT4_ARRAY, _BYTEA_ARRAY = 1016, 1007, 1001
"""Object ids of the types in ``pg_type``; they never change."""

_HEAD = struct.Struct(">iiIii")
_LENGTH = struct.Struct(">i")
_NULL = _LENGTH.pack(-1)


class Int8Array(bytes):
    """A packed ``bigint[]``."""


class Int4Array(bytes):
    """A packed ``integer[]``."""


class ByteaArray(bytes):
    """A packed ``bytea[]``."""


def int8s(values: Sequence[int]) -> Int8Array:
    """Pack *values*."""
    pairs = [8] * (2 * len(values))
    pairs[1::2] = values
    return Int8Array(_head(_INT8, len(values)) + struct.pack(">" + "iq" * len(values), *pairs))


def int4s(values: Sequence[int]) -> Int4Array:
    """Pack *values*."""
    pairs = [4] * (2 * len(values))
    pairs[1::2] = values
    return Int4Array(_head(_INT4, len(values)) + struct.pack(">" + "ii" * len(values), *pairs))


def byteas(values: Sequence[bytes | None]) -> ByteaArray:
    """Pack *values*."""
    pack = _LENGTH.pack
    parts = [_NULL if value is None else pack(len(value)) + value for value in values]
    return ByteaArray(_head(_BYTEA, len(values), nulls=None in values) + b"".join(parts))


def register(connection: psycopg.Connection[Any]) -> None:
    """Let *connection* send packed arrays, and integers as one type: a statement is prepared per type."""
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    for kind, oid in ((Int8Array, _INT8_ARRAY), (Int4Array, _INT4_ARRAY), (ByteaArray, _BYTEA_ARRAY)):
        connection.adapters.register_dumper(kind, _dumper(oid))


def _head(kind: int, count: int, *, nulls: bool = False) -> bytes:
    return _HEAD.pack(1, nulls, kind, count, 1) if count else struct.pack(">iiI", 0, 0, kind)


def _dumper(array_oid: int) -> type[Dumper]:
    class Packed(Dumper):
        format = Format.BINARY
        oid = array_oid

        def dump(self, obj: bytes) -> bytes:
            return bytes(obj)

    return Packed
