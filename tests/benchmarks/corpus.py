"""The mail that benchmarks read: invented, and each address in it used once.

Real mail repeats some addresses. A corpus that repeats a handful flatters everything that remembers what it
has worked out before.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from connector.simulator import Corpus, World
from connector.simulator.values import Era, micros

_MAILBOX = re.compile(rb"([\w.+-]+)@((?:[\w-]+(?:\[?\.\]?|\[dot\]))+)([A-Za-z]{2,})")
_IPV4 = re.compile(rb'"(\d{1,3})\.\d{1,3}\.\d{1,3}\.\d{1,3}"')


def records(
    count: int, span: timedelta, *, end: datetime | None = None, era: Era = "current", first: int = 0
) -> list[tuple[int, bytes]]:
    """So many records, oldest first: the second of ``scanned_at``, and the record as JSON.

    They lie in the *span* before *end* (default: two minutes ago). *first* numbers the first of them: no
    address repeats among records with different numbers.
    """
    latest = end or datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=2)
    world = World(Corpus(seed=1), clock=lambda: latest, backlog=count, span_of_backlog=span)
    messages = world.between("scanned_at", micros(latest - span), micros(latest))
    made = [
        (message.scanned // 1_000_000, _unique(world.renderer.render(message, 0, era), number))
        for number, message in enumerate(messages, first)
    ]
    return sorted(made, key=lambda pair: pair[0])


def _unique(record: bytes, number: int) -> bytes:
    """*record* with mailboxes, domains and IP addresses that no record of another *number* has."""
    mark = b"%x" % number

    def mailbox(found: re.Match[bytes]) -> bytes:
        return b"%b.%b@u%b.%b%b" % (found[1], mark, mark, found[2], found[3])

    def ipv4(found: re.Match[bytes]) -> bytes:
        return b'"%b.%d.%d.%d"' % (found[1], number >> 16 & 255, number >> 8 & 255, number & 255)

    return _IPV4.sub(ipv4, _MAILBOX.sub(mailbox, record))
