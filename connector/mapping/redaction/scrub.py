"""Removes given texts (needles) from all other texts of a record, however emails and links spell them.

The search ignores case, markup, defanging (``[dot]``) and escapes of links and HTML, and reads ``=`` as
``@``, as bounce addresses write it. Where a needle is found but cannot be cut out exactly, the whole text
around it is replaced: too much is better than a trace.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeAlias
from urllib.parse import unquote

from connector.mapping.functions.ip_addresses import canonical_ip
from connector.mapping.functions.texts import strip_tags
from connector.mapping.functions.values import DEPTH, TOO_DEEP, Value
from connector.mapping.redaction.pseudonym import addresses_in
from connector.values import dataclass

REDACTED = "[redacted]"
"""The replacement of a dropped text."""


@dataclass(frozen=True, slots=True)
class Needle:
    """A text to remove, as written, and whether it is a mailbox.

    *replace* makes what stands in its place. A header may hold thousands of addresses of which no other text
    holds one, so a pseudonym is made only where it is needed.
    """

    text: str
    replace: Callable[[str], str]
    mailbox: bool = False

    @property
    def replacement(self) -> str:
        """What stands in its place."""
        return self.replace(self.text)


Needles: TypeAlias = Mapping[str, Needle]
"""Needles by their normalized form."""

_WHOLE_WORD_BELOW = 4
"""Shorter needles only match whole words; otherwise a two-letter name would shred every sentence."""
_MAX_NEEDLE_LENGTH = 2000
"""A longer needle is not cut out of a text: the whole text is replaced."""
_MAX_NEEDLES, _MAX_PATTERNS = 1000, 100
"""With more needles than this (plain, or with a pattern each) the whole text is replaced: the sender
chooses how many there are, so the work must be bounded."""

_DOT = re.compile(r"[\[(](?:\.|dot)[\])]")
_AT = re.compile(r"[\[(](?:@|at)[\])]|=")
_UNQUOTE_ROUNDS = 3
"""How often links inside links are unescaped."""
_BLANKS = re.compile(r"\s+")
_INVISIBLE = re.compile(
    "[\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001"
    "\U000e0020-\U000e007f]+"
)
"""The general category Cf (format) of Unicode 15, in ranges: asking for each letter takes thirty times as
long."""
_MOST_EXPANSION = 3
"""Characters of the normal form per character from which on a text is not compared but replaced as a whole.
Only U+FDFA and its like expand more; a text of them would take seconds."""
_MOST_WORK = 300_000_000
"""Characters to compare, needles times texts, before all texts give way: a third of a second."""
_LOOK_UP = 100
"""Characters that are compared in the time of one look-up of a mailbox."""
_PLUSES = re.compile(r"[+ ]+")
_SPELLINGS = {
    ".": r"(?:\.|[\[(](?:\.|dot)[\])]|%2e|&#46;)",
    "@": r"(?:@|=|[\[(](?:@|at)[\])]|%40|%3d|&#64;|&commat;)",
    " ": r"(?:\s|%20|\+|&nbsp;)+",
}

_VENDOR_FIELDS = frozenset(
    (
        *("id", "alert_id", "postfix_id", "postfix_id_outbound", "final_disposition", "detection", "score"),
        *("delivery_mode", "delivery_status", "post_delivery_operations", "operation", "status"),
        *("incomplete", "threat_categories", "spf", "dkim", "dmarc", "allowlisted_pattern_type"),
        *("scanned_at", "sent_at", "sent_date", "ts", "completed_at", "completed_timestamp", "started_at"),
        *("whitelisted_pattern_type", "edf_hash", "htmltext_structure_hash", "sha256", "sha1", "md5"),
        *("customer_status", "outcome", "outcome_disposition", "original_disposition", "escalated_as"),
        *("requested_disposition", "requested_at", "requested_ts", "escalated_at", "submission_id"),
        *("escalated_submission_id", "original_postfix_id", "original_edf_hash", "cf_ray_id", "token_id"),
    )
)  # fmt: skip
"""Fields that hold Cloudflare's own words. An email with the subject MALICIOUS must not erase a verdict."""

MAILBOX_FIELDS = frozenset(
    (
        *("from", "to", "replyto", "envelope_from", "envelope_to", "client_recipients"),
        *("requested_by", "escalated_by", "email"),
    )
)
"""Fields that hold email addresses."""

_INDICATOR_FIELDS = (
    MAILBOX_FIELDS
    | {"smtp_helo_server_ip", "smtp_previous_hop_ip", "x_originating_ip", "ip"}
    | {"ip_address"}
)
"""Fields whose addresses are only removed for a needle that is a mailbox. Otherwise a sender could hide by
writing his own address into a subject that is redacted."""

_API_FIELD_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names that the API gives to fields; no email text gets into them."""


def normalized(text: str) -> str:
    """*text* in the form in which texts are compared; ``OVERGROWN`` where that is far longer than *text*."""
    plain = text
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", text)
        if len(plain) > _MAX_NEEDLE_LENGTH and len(plain) > _MOST_EXPANSION * len(text):
            return OVERGROWN
        plain = _visible(plain)
    for _ in range(_UNQUOTE_ROUNDS):
        if "%" not in plain:
            break
        plain = unquote(plain)
    if "&" in plain:
        plain = html.unescape(plain)
    plain = _AT.sub("@", _DOT.sub(".", plain.casefold().replace("hxxp", "http")))
    return _BLANKS.sub(" ", plain).strip().replace(" @", "@").replace("@ ", "@")


def _visible(text: str) -> str:
    """*text* without invisible characters, such as zero-width spaces."""
    return _INVISIBLE.sub("", text)


OVERGROWN = "\0overgrown"
"""The normal form of a text that is replaced as a whole."""


class Scrubbed(str):
    """A replacement made here, which is not searched again."""

    __slots__ = ()


def search_forms(form: str) -> str:
    """Where a secret is looked for in a text of the normal *form*: with its markup, and without."""
    return form if "<" not in form else f"{form}\n{_BLANKS.sub(' ', strip_tags(form) or '')}"


def _search_forms_of_links(form: str) -> str:
    """As ``haystack``, and once more with the blanks that the queries of links write as ``+``."""
    places = search_forms(form)
    return places if "+" not in places else f"{places}\n{_PLUSES.sub(' ', places)}"


def scrub(value: Value, needles: Needles) -> Value:
    """*value* with every text in it free of *needles*; Cloudflare's own words and all numbers stay.

    Where there is too much to compare, no text is left.
    """
    forms = {place: normalized(place.text) for place in set(_texts(value, guarded=False, depth=0))}
    changed = {
        place: needles[form].replacement
        for place, form in forms.items()
        if form in needles and (needles[form].mailbox or not place.guarded)
    }
    for place in [place for place, form in forms.items() if needles and form == OVERGROWN]:
        changed[place] = REDACTED
    left = {place: _search_forms_of_links(form) for place, form in forms.items() if place not in changed}
    finder, everything = Finder(needles), "\n".join(left.values())
    if finder.work(everything) > _MOST_WORK:
        return blank(value)
    finder = Finder(finder.within(everything))
    for place, form in left.items() if finder else ():
        inside = {needle: needles[needle] for needle in finder.within(form)}
        if inside:
            changed[place] = (
                _scrub_keeping_indicators(place.text, inside) if place.guarded else _cut(place.text, inside)
            )
    return _rebuilt(value, changed, guarded=False, depth=0)


def blank(value: Value, depth: int = 0) -> Value:
    """*value* with every text in it replaced; Cloudflare's own words and all numbers stay."""
    if isinstance(value, str):
        return str(value) if isinstance(value, Scrubbed) else REDACTED
    if not isinstance(value, list | dict):
        return value
    if depth >= DEPTH:
        return TOO_DEEP
    if isinstance(value, list):
        return [blank(item, depth + 1) for item in value]
    return {
        key if _API_FIELD_NAME.fullmatch(key.removeprefix("$")) else REDACTED: item
        if key in _VENDOR_FIELDS
        else blank(item, depth + 1)
        for key, item in value.items()
    }


class Finder:
    """Finds many needles in a text. Mailboxes are looked up at each ``@``, for there may be thousands."""

    def __init__(self, needles: Iterable[str]) -> None:
        self._mailboxes: dict[int, dict[str, list[str]]] = {}
        self._others: list[str] = []
        for needle in needles:
            at = needle.find("@")
            if 0 < at < len(needle) - 1:
                self._mailboxes.setdefault(at, {}).setdefault(needle[: at + 2], []).append(needle)
            else:
                self._others.append(needle)

    def __bool__(self) -> bool:
        return bool(self._mailboxes or self._others)

    def work(self, text: str) -> int:
        """How much ``within`` has to compare, in characters."""
        look_ups = text.count("@") * len(self._mailboxes) if self._mailboxes else 0
        return len(self._others) * len(text) + look_ups * _LOOK_UP

    def within(self, text: str) -> list[str]:
        """The needles in *text*, the longest first: one may be a part of another."""
        needles = {needle for needle in self._others if _inside(needle, text)}
        lengths = self._mailboxes.items()
        at = text.find("@") if lengths else -1
        while at >= 0:
            for length, starts in lengths:
                for needle in starts.get(text[max(0, at - length) : at + 2], ()):
                    if at >= length and text.startswith(needle, at - length):
                        needles.add(needle)
            at = text.find("@", at + 1)
        return sorted(needles, key=lambda needle: (-len(needle), needle))


class _Text(NamedTuple):
    """One text, and whether it is in an indicator field (*guarded*)."""

    guarded: bool
    text: str


def _scrub_keeping_indicators(text: str, needles: Needles) -> str:
    """*text* without *needles*; the indicators in it give way to mailboxes only."""
    kept = _cut(text, {form: needle for form, needle in needles.items() if needle.mailbox})
    made = _cut(kept, {form: needle for form, needle in needles.items() if not needle.mailbox})
    indicators = _indicators(kept)
    return made if _indicators(made) == indicators else ", ".join(indicators)


def _indicators(text: str) -> list[str]:
    address = canonical_ip(text)
    return addresses_in(text) if address is None else [address]


def _inside(needle: str, text: str) -> bool:
    if needle not in text:
        return False
    return (
        len(needle) >= _WHOLE_WORD_BELOW or re.search(rf"(?<!\w){re.escape(needle)}(?!\w)", text) is not None
    )


def _cut(text: str, needles: Needles) -> str:
    """*text* without *needles*; all of it gives way where one cannot be cut out exactly."""
    if len(needles) > _MAX_NEEDLES or any(len(form) > _MAX_NEEDLE_LENGTH for form in needles):
        return REDACTED
    for form, needle in needles.items():
        text = _replace_literal(text, form, needle.replacement)
    left = _remaining(text, needles)
    if len(left) > _MAX_PATTERNS:
        return REDACTED
    for form in left:
        text = _pattern(form).sub(needles[form].replacement, text)
    return REDACTED if _remaining(text, needles) else text


def _remaining(text: str, needles: Needles) -> list[str]:
    form = _search_forms_of_links(normalized(text))
    return [needle for needle in needles if _inside(needle, form)]


def _replace_literal(text: str, form: str, replacement: str) -> str:
    """Cut *form* out where it is written as it is, which is nearly always and needs no pattern."""
    folded = text.casefold()
    if len(form) < _WHOLE_WORD_BELOW or len(folded) != len(text) or form not in folded:
        return text
    parts, start = [], 0
    while (found := folded.find(form, start)) >= 0:
        parts += [text[start:found], replacement]
        start = found + len(form)
    return "".join([*parts, text[start:]])


def _pattern(needle: str) -> re.Pattern[str]:
    written = "".join(_SPELLINGS.get(letter) or re.escape(letter) for letter in needle)
    written = written.replace("http", "h(?:tt|xx)p")
    return re.compile(
        written if len(needle) >= _WHOLE_WORD_BELOW else rf"(?<!\w){written}(?!\w)", re.IGNORECASE
    )


def _texts(value: Value, *, guarded: bool, depth: int) -> Iterator[_Text]:
    if isinstance(value, Scrubbed):
        return
    if isinstance(value, str):
        yield _Text(guarded, value)
    elif depth >= DEPTH:
        return
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, guarded=guarded, depth=depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not _API_FIELD_NAME.fullmatch(key):
                yield _Text(False, key)
            if key not in _VENDOR_FIELDS:
                yield from _texts(item, guarded=key in _INDICATOR_FIELDS, depth=depth + 1)


def _rebuilt(value: Value, changed: Mapping[_Text, str], *, guarded: bool, depth: int) -> Value:
    if isinstance(value, str):
        return str(value) if isinstance(value, Scrubbed) else changed.get(_Text(guarded, value), value)
    if not isinstance(value, list | dict):
        return value
    if depth >= DEPTH:
        return TOO_DEEP
    if isinstance(value, list):
        return [_rebuilt(item, changed, guarded=guarded, depth=depth + 1) for item in value]
    return {
        changed.get(_Text(False, key), key): item
        if key in _VENDOR_FIELDS
        else _rebuilt(item, changed, guarded=key in _INDICATOR_FIELDS, depth=depth + 1)
        for key, item in value.items()
    }
