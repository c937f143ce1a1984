"""IP addresses as records and mail headers write them, in one canonical spelling.

``inet_pton`` is as strict as the ``ipaddress`` module and many times faster; two spellings of one address
must become one text, or rules and correlations that compare texts miss it.
"""

from __future__ import annotations

from ipaddress import IPv6Address
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from connector.formats.memo import Memo

_MAX_LENGTH = 64
"""Longer than any address, its brackets and tag; whoever writes the header chooses its length."""

_TAG = "ipv6:"
_COMPATIBLE = bytes(12)
_IS_CANONICAL_NTOP = inet_ntop(AF_INET6, inet_pton(AF_INET6, "1:0:2:3:4:5:6:7")) == "1:0:2:3:4:5:6:7"
"""Whether the C library leaves a single group of zeros (RFC 5952, 4.2.2), as glibc does and not every one."""

_MAPPED = bytes(10) + b"\xff\xff"
"""The first 96 bits of an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2)."""


def canonical_ip(text: str) -> str | None:
    """The canonical form of the address in *text* (RFC 5952); ``None`` where it holds none.

    Accepts brackets, the tag ``IPv6:`` and blanks around it. Zones (``fe80::1%eth0``) are refused.
    """
    if ":" in text or "[" in text:
        return _UNUSUAL[text] if len(text) <= _MAX_LENGTH else None
    try:
        inet_pton(AF_INET, text)  # what most records hold; it accepts no second spelling of an address
    except (OSError, ValueError):  # ValueError: a null character, or a lone surrogate
        return _UNUSUAL[text] if len(text) <= _MAX_LENGTH else None
    return text


def is_canonical_ip(text: str) -> bool:
    """Whether *text* is an IP address in canonical form."""
    if ":" in text or "[" in text:
        return canonical_ip(text) == text
    try:
        inet_pton(AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def _unusual_ip(text: str) -> str | None:
    bare = text.strip()
    if bare[:1] == "[" and bare[-1:] == "]":
        bare = bare[1:-1].strip()
    tagged = bare[: len(_TAG)].lower() == _TAG
    bare = bare[len(_TAG) :].strip() if tagged else bare
    try:
        if ":" not in bare:
            return None if tagged else inet_ntop(AF_INET, inet_pton(AF_INET, bare))
        packed = inet_pton(AF_INET6, bare)
    except (OSError, ValueError):  # ValueError: a null character, or a lone surrogate
        return None
    if "%" in bare:
        return None
    if packed.startswith(_MAPPED):
        return inet_ntop(AF_INET, packed[len(_MAPPED) :])
    # inet_ntop writes the deprecated IPv4-compatible form ::cb00:7107 with dots, RFC 5952 without.
    if _IS_CANONICAL_NTOP and not packed.startswith(_COMPATIBLE):
        return inet_ntop(AF_INET6, packed)
    return str(IPv6Address(packed))


_UNUSUAL: Memo[str | None] = Memo(_unusual_ip)
