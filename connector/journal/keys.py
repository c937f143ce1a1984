"""Ids of records as keys of the seen table: short, reversible, and near each other in time.

The API's ids carry a time in their middle, after a part that may be random. Where such a time is found
it goes to the front, so that the rows of one page lie together however many millions there are; any
other id stays as it is. Nothing else is read into an id.
"""

from __future__ import annotations

import re
from functools import lru_cache

_TIME = re.compile(rb"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})")
_PLAIN = b"\x00"
_TIMED = b"\x01"
_LONGEST = 255


@lru_cache(maxsize=4096)
def to_key(text: str) -> bytes:
    """The key of an id. Different ids have different keys."""
    data = text.encode("utf-8", "surrogatepass")
    found = _TIME.search(data)
    if found is None or found.start() > _LONGEST:
        return _PLAIN + data
    digits = int(b"".join(found.groups())).to_bytes(6, "big")
    return b"%b%b%c%b%b" % (_TIMED, digits, found.start(), data[: found.start()], data[found.end() :])


def from_key(key: bytes) -> str:
    """The id of a key."""
    if key[:1] == _PLAIN:
        return key[1:].decode("utf-8", "surrogatepass")
    digits = b"%014d" % int.from_bytes(key[1:7], "big")
    time = b"%b-%b-%bT%b:%b:%b" % (
        digits[:4], digits[4:6], digits[6:8], digits[8:10], digits[10:12], digits[12:],
    )  # fmt: skip
    at = 8 + key[7]
    return (key[8:at] + time + key[at:]).decode("utf-8", "surrogatepass")
