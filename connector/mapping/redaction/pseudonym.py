"""Pseudonyms: keyed hashes in place of values, equal for equal values, not reversible without the key.

HMAC-SHA-256 (RFC 2104), cut to 96 bits. The shape is that of the value where something depends on it: a
mail address stays one (below ``.invalid``, RFC 2606), an IP address too (in 2001:db8::/32, RFC 3849).
"""

from __future__ import annotations

import hmac
import re
from ipaddress import IPv6Address

from connector.mapping.functions.ip_addresses import canonical_ip

_DIGITS = 24
"""Hex digits of a pseudonym: 96 bits, so that no two of a billion values collide."""

_APART = re.compile(r"[\s<>\"(),;:]+")
_DOCUMENTATION = 0x20010DB8 << 96
"""2001:db8::/32, reserved for documentation (RFC 3849): a pseudonym is no host's address."""


class Pseudonyms:
    """Makes pseudonyms with *key*; two values that differ only in case get the same one."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, text: str) -> str:
        """The pseudonym of *text*: an address for an address, addresses for a header, else hex digits."""
        mailboxes = addresses_in(text)
        if mailboxes:
            # A header may hold one address thousands of times.
            made = {mailbox: self.address(mailbox) for mailbox in dict.fromkeys(mailboxes)}
            return ", ".join([made[mailbox] for mailbox in mailboxes])
        address = canonical_ip(text)
        if address is None:
            return self.of_whole(text)
        return str(IPv6Address(_DOCUMENTATION | int(self._hash("ip", address), 16)))

    def of_whole(self, text: str) -> str:
        """The pseudonym of *text*, whatever is in it."""
        return self._hash("text", text)

    def address(self, address: str) -> str:
        """A mail address that cannot exist; mailboxes of one domain stay together."""
        domain = address.rpartition("@")[2]
        return f"{self._hash('address', address)}@{self._hash('domain', domain)}.invalid"

    def _hash(self, kind: str, text: str) -> str:
        message = f"{kind}\0{text.strip().casefold()}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, message, "sha256").hex()[:_DIGITS]


def addresses_in(text: str) -> list[str]:
    """Everything in *text* that looks like an email address, valid or not."""
    if "@" not in text:
        return []
    words = (word.strip(".'`") for word in _APART.split(text))
    return [word for word in words if "@" in word[1:-1]]
