"""Functions on email addresses: extract them from headers, validate one, quote a display name.

A header may hold display names, comments, groups, several addresses or plain nonsense, and its author is
the attacker. Extraction never fails and takes time linear in the header's length (see ``mailboxes``); a
header without any address is reported as lost.
"""

from __future__ import annotations

import re

from connector.formats.memo import Memo
from connector.mapping.functions.mailboxes import parse_mailboxes
from connector.mapping.functions.values import Losses, Value

_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+\.[A-Za-z0-9.-]+")
_SPECIAL = re.compile(r'(["\\])')
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

NO_MAILBOX = "not a plain email address"


def mailbox(value: Value, lost: Losses) -> Value:
    """One bare address of ASCII letters whose domain has a dot."""
    if value.__class__ is str and _MAILBOX.fullmatch(value):
        return value
    lost.append((NO_MAILBOX, value))
    return None


def quoted(text: str) -> str | None:
    """In double quotes, as a mail header writes a display name; line ends and controls become blanks."""
    name = (text if text.isprintable() else _CONTROLS.sub(" ", text)).strip()
    if '"' in name or "\\" in name:
        name = _SPECIAL.sub(r"\\\1", name)
    return f'"{name}"' if name else None


_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff<>(),;:\\\"]")
_MAX_ADDRESS = 320
"""Octets of an address: 64 before the @, 255 behind it (RFC 5321 section 4.5.3.1)."""

_EMPTY_SENDERS = frozenset(("<>", ""))

NOT_AN_ADDRESS = "not an address"


def addresses(value: Value, lost: Losses) -> Value:
    """All addresses in a header text or a list of them, in order; domains in lower case."""
    if type(value) is not list:
        return _addresses_in_header(value, lost) or None
    for item in value:
        if type(item) is not str or not is_bare_address(item):
            return [address for item in value for address in _addresses_in_header(item, lost)] or None
    return value


is_bare_address = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9.-]+").fullmatch
"""Whether a text is an address and nothing else, which is what the API sends nearly always.

Not remembered: matching takes less time than remembering an address that does not come again.
"""


def _addresses_in_header(value: Value, lost: Losses) -> list[str]:
    if type(value) is not str:
        lost.append((NOT_AN_ADDRESS, value))
        return []
    addresses, reason = _PARSED[value]
    if reason is not None:
        lost.append((reason, value))
    return list(addresses)


def _read(header: str) -> tuple[tuple[str, ...], str | None]:
    """The addresses in *header*, and why something of it is lost, if it is."""
    if is_bare_address(header):
        return (header,), None
    bare_addresses = tuple(address for _, text in parse_mailboxes(header) if (address := _address(text)))
    if len(bare_addresses) == 1 and bare_addresses[0].lower() == header.strip("<> ").lower():
        return bare_addresses, None
    # An empty sender <> is no misfit; like a display name, it is only not part of the address.
    return bare_addresses, "" if bare_addresses or header.strip() in _EMPTY_SENDERS else NOT_AN_ADDRESS


_PARSED: Memo[tuple[tuple[str, ...], str | None]] = Memo(_read)


def _address(text: str) -> str | None:
    local, _, host = text.strip().rpartition("@")
    bare = local[1:-1] if len(local) > 2 and local[0] == local[-1] == '"' else local  # noqa: PLR2004, quotes
    fits = bare and host and len(text) <= _MAX_ADDRESS and "@" not in bare
    if not fits or _FORBIDDEN.search(bare) or _FORBIDDEN.search(host.strip("[]").replace(":", "")):
        return None
    return f"{local}@{host.lower()}"
