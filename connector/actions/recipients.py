"""Remembers who received the messages that were looked at, so that a scope check costs no request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from connector.actions.action import texts_of
from connector.model import Record

_MOST = 20_000
"""Messages remembered, at about 200 bytes each."""


class KnownRecipients:
    """Recipients by account and message id; they never change, so that what was read once is true."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[str, ...]] = OrderedDict()

    def learn(self, account: str, records: Iterable[Record]) -> tuple[str, ...]:
        """Remember the recipients of *records*; return those of the last one."""
        recipients: tuple[str, ...] = ()
        for record in records:
            recipients = tuple(texts_of(record.body.get("client_recipients")))
            self._known[account, record.id] = recipients
            self._known.move_to_end((account, record.id))
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return recipients

    def of(self, account: str, message_id: str) -> tuple[str, ...] | None:
        """The recipients of a message, if it was looked at."""
        return self._known.get((account, message_id))
