"""Message templates: generated once, rendered thousands of times with different identities.

Templates are compiled to a bytes format per era, so that rendering a record costs one formatting operation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final, NamedTuple

from connector.simulator.eras import project
from connector.simulator.mail.vocabulary import NUMBER
from connector.simulator.values import Body, Era, encode


class MessageValues(NamedTuple):
    """The values that differ between two messages of one template; texts are ASCII.

    *scanned* and *sent* are times without a zone, *second* and *sent_second* the same without a
    fraction; *queue* makes the start of the id, *postfix* the postfix id, *own* the end of the id.
    """

    queue: int
    postfix: int
    own: int
    number: int
    scanned: bytes
    second: bytes
    sent: bytes
    sent_second: bytes
    domain: bytes

    @property
    def id(self) -> str:
        """The record's id."""
        return _write("id", self)

    @property
    def alert_id(self) -> str:
        """The id of the alert, where the record has one."""
        return _write("alert_id", self)

    @property
    def message_id(self) -> str:
        """The Message-ID header."""
        return _write("message_id", self)


_PLACES: Final[dict[str, tuple[bytes, tuple[str, ...]]]] = {
    "id": (b"4W%013X-%b-%08x", ("queue", "second", "own")),
    "postfix_id": (b"4W%013X", ("postfix",)),
    "alert_id": (b"4W%013X-%b", ("queue", "second")),
    "message_id": (b"<%x.%08x@%b>", ("queue", "own", "domain")),
    "scanned_at": (b"%bZ", ("scanned",)),
    "sent_at": (b"%bZ", ("sent",)),
    "ts": (b"%b", ("second",)),
    "sent_date": (b"%b", ("sent_second",)),
    "number": (b"%d", ("number",)),
}
"""Format of each filled-in field, and the values it is built from."""

_FIELDS: Final = tuple(name for name in _PLACES if name != "number")
_MARK = re.compile(rb"\xee\x80\x81(\w+)\xee\x80\x82")  # U+E001 name U+E002 in UTF-8

_Compiled = tuple[bytes, Callable[[MessageValues], Any]]


@dataclass(eq=False, slots=True)
class MessageTemplate:
    """One generated message.

    Args:
        number: its index in the pool.
        body: a whole record; the filled-in fields are empty, or ``None`` where a record has null there.
        offset: microseconds from ``scanned_at`` to ``sent_at``; ``None`` where it was not sent at all.
        domain: the domain of its Message-ID, ASCII.
        details: content of the sibling endpoints: attachments, links, headers, sender_info.
    """

    number: int
    body: Body
    offset: int | None
    domain: bytes
    details: Body
    _formats: dict[Era, _Compiled] = field(default_factory=dict)

    def fill(self, values: MessageValues) -> Body:
        """Return the whole record of one message, with the fields of every era."""
        body = self.body.copy()
        for name in _FIELDS:
            if body[name] is not None:
                body[name] = _write(name, values)
        if body["subject"] and NUMBER in body["subject"]:
            body["subject"] = body["subject"].replace(NUMBER, _write("number", values))
        return body

    def render(self, values: MessageValues, era: Era) -> bytes:
        """Return ``encode(project(fill(values), era))``, at a fraction of its cost."""
        compiled = self._formats.get(era)
        if compiled is None:
            compiled = self._formats[era] = self._compile(era)
        text, pick = compiled
        done: bytes = text % pick(values)
        return done

    def _compile(self, era: Era) -> _Compiled:
        marked = self.body.copy()
        for name in _FIELDS:
            if marked[name] is not None:
                marked[name] = f"\ue001{name}\ue002"
        if marked["subject"]:
            marked["subject"] = marked["subject"].replace(NUMBER, "\ue001number\ue002")
        text = _utf8(encode(project(marked, era))).replace(b"%", b"%%")
        sources = [source for name in _MARK.findall(text) for source in _PLACES[name.decode()][1]]
        pick = itemgetter(*map(MessageValues._fields.index, sources))
        return _MARK.sub(lambda match: _PLACES[match[1].decode()][0], text), pick


def _write(name: str, values: MessageValues) -> str:
    text, sources = _PLACES[name]
    return (text % tuple(getattr(values, source) for source in sources)).decode("ascii")


def _utf8(text: bytes) -> bytes:
    """Unescape the marks in a text that a lone surrogate forced to ASCII."""
    return text.replace(b"\\ue001", "\ue001".encode()).replace(b"\\ue002", "\ue002".encode())
