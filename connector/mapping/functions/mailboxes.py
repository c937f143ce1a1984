"""Parses address headers (From, To, Reply-To) in one pass, however malformed (RFC 5322, section 3.4).

The author of a header is the attacker. Python's own ``email.utils.getaddresses`` takes an address inside an
unquoted display name for the sender (``boss@corp.example <evil@evil.example>``), differs between Python
versions, and slows down faster than the length of its input. This parser looks at every special character
once, so its time grows with the length of the header and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_HEADER = 65_536
"""Characters of the longest header that is parsed; mail servers accept far less in one header."""

_SPECIAL = re.compile(r'(?:[,;]\s*)+|[":<>()\[\\]')
"""Separators in a row count as one: nothing stands between them."""

_UNESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Mailbox(NamedTuple):
    """One mailbox of a header as written: display name (phrase and comments), and the unchecked address."""

    name: str
    address: str


def parse_mailboxes(header: str) -> list[Mailbox]:
    """Every mailbox in *header*, in order; none where it is longer than ``MAX_HEADER``.

    In ``phrase <address>`` only the last angle brackets count: what stands before them is the display name,
    addresses included. Without angle brackets every word with an ``@`` is an address.
    """
    if len(header) > MAX_HEADER:
        return []
    return [mailbox for element in _Scanner(header).elements() for mailbox in element.mailboxes()]


class _Element:
    """One comma-separated part of a header while it is scanned."""

    def __init__(self) -> None:
        self.text: list[str] = []  # outside of angle brackets, comments and quoted names: addresses
        self.phrase: list[str] = []  # the display name, if there are angle brackets
        self.comments: list[str] = []
        self.angle: str | None = None
        self._holds_address = False

    def add(self, text: str, phrase: str | None = None) -> None:
        self.text.append(text)
        self.phrase.append(text if phrase is None else phrase)
        self._holds_address = self._holds_address or "@" in text

    def open_group(self) -> None:
        """A colon: what stands before it names a group, unless it holds an address."""
        if self.angle is None and not self._holds_address:
            self.text, self.phrase = [], []
        else:
            self.add(":")

    def mailboxes(self) -> Iterator[Mailbox]:
        comments = [comment for comment in self.comments if comment.strip()]
        if self.angle is not None:
            phrase = " ".join("".join(self.phrase).split())
            address = self.angle.strip()
            if address.startswith("@"):  # an obsolete route, <@relay.example:user@host.example>
                address = address.rpartition(":")[2]
            yield Mailbox(" ".join([phrase, *comments]).strip(), address)
            return
        name = " ".join(comments).strip()
        for word in _words("".join(self.text)):
            if "@" in word:
                yield Mailbox(name, word)


def _words(text: str) -> list[str]:
    """*text* split at blanks; those beside an ``@`` do not count."""
    return " ".join(text.split()).replace(" @", "@").replace("@ ", "@").split(" ")


class _Scanner:
    """Walks from one special character to the next; looks ahead for a closing one at most once per kind."""

    def __init__(self, header: str) -> None:
        self._header = header
        self._ends: dict[str, int] = {}

    def elements(self) -> Iterator[_Element]:
        """The parts of the header between commas and semicolons."""
        element, position = _Element(), 0
        while (special := _SPECIAL.search(self._header, position)) is not None:
            start = special.start()
            element.add(self._header[position:start])
            if self._header[start] in ",;":
                yield element
                element, position = _Element(), special.end()
            else:
                position = self._special(element, start)
        element.add(self._header[position:])
        yield element

    def _special(self, element: _Element, start: int) -> int:
        """Add what begins with the special character at *start* to *element*; return where it ends."""
        header, character = self._header, self._header[start]
        if character == ":":
            element.open_group()
        elif character == "\\":
            element.add(header[start : start + 2], header[start + 1 : start + 2])
            return start + 2
        elif character == "<":
            return self._angle(element, start + 1)
        elif character == '"' and (end := self._end_of_quotes(start)):
            is_local_part = header.startswith("@", end + 1)
            text = header[start : end + 1] if is_local_part else " "
            element.add(text, _UNESCAPE.sub(r"\1", header[start + 1 : end]))
            return end + 1
        elif character == "(" and (end := self._end_of_comment(start)):
            element.comments.append(header[start + 1 : end])
            element.add(" ")
            return end + 1
        elif character == "[" and (end := self._find("]", start)) > 0:
            element.add(header[start : end + 1])
            return end + 1
        else:
            element.add(character)
        return start + 1

    def _angle(self, element: _Element, start: int) -> int:
        """Take the text in angle brackets as the address; that of earlier ones becomes part of the name."""
        end = self._find(">", start)
        end = len(self._header) if end < 0 else end
        if element.angle is not None:
            element.add(f" {element.angle} ")
        element.angle = self._header[start:end].rpartition("<")[2]  # "<a <b@c>": the innermost brackets
        return end + 1

    def _find(self, character: str, start: int) -> int:
        """Where *character* next stands from *start* on; -1 for nowhere. Remembers the answer."""
        known = self._ends.get(character, 0)
        if 0 <= known < start or character not in self._ends:
            known = self._ends[character] = self._header.find(character, start)
        return known

    def _end_of_quotes(self, start: int) -> int:
        """Where the quoted string from *start* ends; 0 for nowhere: then no later one ends either."""
        if self._ends.get("quotes") == 0:
            return 0
        position = start + 1
        while (found := _QUOTE_OR_ESCAPE.search(self._header, position)) is not None:
            if found[0] == '"':
                return found.start()
            position = found.start() + 2
        self._ends["quotes"] = 0
        return 0

    def _end_of_comment(self, start: int) -> int:
        """Where the comment from *start* ends, comments inside it included; 0 for nowhere.

        Where one is not closed, the rest of the header is not searched for comments again.
        """
        if self._ends.get("comments") == 0:
            return 0
        depth, position = 0, start
        while (found := _PARENTHESIS_OR_ESCAPE.search(self._header, position)) is not None:
            position = found.end() + (found[0] == "\\")
            depth += {"(": 1, ")": -1}.get(found[0], 0)
            if depth == 0 and found[0] == ")":
                return found.start()
        self._ends["comments"] = 0
        return 0


_QUOTE_OR_ESCAPE = re.compile(r'["\\]')
_PARENTHESIS_OR_ESCAPE = re.compile(r"[()\\]")
