"""An endless corpus of generated messages: message *n* of a seed is always the same."""

from __future__ import annotations

from typing import Final

from connector.simulator.mail.composition import Recipe, compose
from connector.simulator.mail.template import MessageTemplate, MessageValues
from connector.simulator.mail.verdicts import VERDICTS, Verdict
from connector.simulator.values import chance, mix, timestamp

_ODD: Final = 0x9E3779B1
"""2^32 divided by the golden ratio (Knuth's multiplicative hashing): spreads consecutive numbers."""

_ODD_INVERSE: Final = pow(_ODD, -1, 1 << 32)
_U32: Final = (1 << 32) - 1


class Corpus:
    """A pool of templates, and the identity of every message rendered from it.

    Args:
        seed: determines everything.
        recipe: share of hostile and odd messages.
        templates: size of the pool; every verdict has at least one.
    """

    def __init__(self, seed: int = 1, recipe: Recipe | None = None, templates: int = 500) -> None:
        self.seed = seed
        self._recipe = recipe or Recipe()
        self._verdicts = _deal(seed, max(templates, len(VERDICTS)))
        self._pool: list[MessageTemplate | None] = [None] * len(self._verdicts)
        self._salt = mix(seed, -2) & _U32

    def key(self, index: int) -> int:
        """Return the 64 random bits of message *index*."""
        return mix(self.seed, index)

    def template(self, key: int) -> MessageTemplate:
        """Return the template of the message with *key*."""
        number = (key & 0xFFFFFF) % len(self._pool)
        template = self._pool[number]
        if template is None:
            template = self._pool[number] = compose(self.seed, number, self._verdicts[number], self._recipe)
        return template

    def values(self, index: int, key: int, template: MessageTemplate, scanned: int) -> MessageValues:
        """Return the values unique to message *index*; *scanned* is in microseconds."""
        time = timestamp(scanned)
        sent = b"" if template.offset is None else timestamp(scanned + template.offset)
        queue = key >> 12
        return MessageValues(
            queue,
            # The API's own example shows a postfix id that differs from the prefix of the id.
            queue if key & 31 else queue ^ 0xFFFF,
            (index * _ODD ^ self._salt) & _U32,
            10_000 + (key >> 20) % 90_000,
            time,
            time[:19],
            sent,
            sent[:19],
            template.domain,
        )

    def index(self, record_id: str) -> int | None:
        """Return which message *record_id* may be; the caller compares its id."""
        try:
            own = int(record_id[-8:], 16)
        except ValueError:
            return None
        return ((own ^ self._salt) * _ODD_INVERSE) & _U32


def _deal(seed: int, size: int) -> list[Verdict]:
    """Deal *size* verdicts by their shares, each at least once, in an order that depends on *seed*."""
    dealt = list(VERDICTS)
    weights = [verdict.share for verdict in VERDICTS]
    left = size - len(dealt)
    for verdict, weight in zip(VERDICTS, weights, strict=True):
        dealt += [verdict] * (left * weight // sum(weights))
    dealt += [VERDICTS[0]] * (size - len(dealt))
    chance(seed, "verdicts").shuffle(dealt)
    return dealt
