"""``Message``: its template, when it is searchable, and all its versions; ``Renderer`` writes its JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from connector.simulator.eras import project
from connector.simulator.mail.corpus import Corpus
from connector.simulator.mail.template import MessageTemplate, MessageValues
from connector.simulator.values import Body, Era, Fields, encode


@dataclass(frozen=True, slots=True)
class Version:
    """State of a message from *since* (microseconds) on: the fields that differ from its first version."""

    since: int
    fields: Fields = field(default_factory=dict)


_FIRST: Final = (Version(0),)


@dataclass(slots=True, eq=False)
class Message:
    """A message. All times are microseconds.

    Args:
        index: its number; together with the seed it determines everything else.
        key: its 64 random bits.
        template: the template it is rendered from.
        scanned: its ``scanned_at``.
        sent: time that a search on ``sent_at`` compares; ``scanned_at`` if the message has none.
        searchable: when a search can first find it.
        gone: when it was deleted, if it was.
        versions: its states, future ones included; the first holds from the start.
    """

    index: int
    key: int
    template: MessageTemplate
    scanned: int
    sent: int
    searchable: int
    gone: int | None = None
    versions: Sequence[Version] = _FIRST

    def at(self, now: int) -> int:
        """Return the number of the version that holds at *now*, from 0 on."""
        if self.versions is _FIRST:
            return 0
        number = len(self.versions) - 1
        while number and self.versions[number].since > now:
            number -= 1
        return number

    def visible(self, now: int) -> bool:
        """Return whether the API knows it at *now*."""
        return self.searchable <= now and (self.gone is None or self.gone > now)


@dataclass(frozen=True, slots=True)
class Renderer:
    """Renders messages as JSON."""

    corpus: Corpus

    def values(self, message: Message) -> MessageValues:
        """Return the values that are unique to the message."""
        return self.corpus.values(message.index, message.key, message.template, message.scanned)

    def id(self, message: Message) -> str:
        """Return the record's id."""
        own = message.versions[0].fields.get("id")
        return self.values(message).id if own is None else str(own)

    def body(self, message: Message, version: int) -> Body:
        """Return the whole record in that version, with the fields of every era."""
        body = message.template.fill(self.values(message))
        body.update(message.versions[version].fields)
        return body

    def render(self, message: Message, version: int, era: Era) -> bytes:
        """Return the record's JSON as *era* shows it."""
        if message.versions[version].fields:
            return encode(project(self.body(message, version), era))
        template = message.template
        values = self.corpus.values(message.index, message.key, template, message.scanned)
        return template.render(values, era)

    def render_without_log(self, message: Message, version: int) -> bytes:
        """Return the record's JSON as the ``reference`` era shows it with ``action_log=false``."""
        return encode(project({**self.body(message, version), "action_log": []}, "reference"))
