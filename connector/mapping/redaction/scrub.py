"""Takes given texts out of all other texts of a record, however mails and links write them.

A text is looked for without regard to case, markup, defanging (``[dot]``), escapes of links and HTML,
and with ``=`` for ``@`` as bounce addresses have it. Where it is found but cannot be cut out exactly, the
whole text around it goes: rather too much than a trace.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple, TypeAlias
from urllib.parse import unquote

from connector.mapping.functions.texts import strip_tags
from connector.mapping.functions.values import DEPTH, TOO_DEEP, Value
from connector.mapping.redaction.pseudonym import addresses_in

REDACTED = "[redacted]"
"""What stands where a text was."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What must not appear: what stands in for it, and whether it is a mailbox or other text."""

    instead: str
    mailbox: bool = False


Secrets: TypeAlias = Mapping[str, Secret]
"""Secrets by their normal form."""

_SHORT = 4
"""Texts with fewer characters are only looked for as whole words, or every line would fall to pieces."""
_LONG = 2000
"""Texts with more characters are not cut out of others: the whole other text goes."""
_MANY, _MANY_ODD = 1000, 100
"""More texts than these are not cut out of one, plainly or by a pattern each: a sender chooses how many."""

_DOT = re.compile(r"[\[(](?:\.|dot)[\])]")
_AT = re.compile(r"[\[(](?:@|at)[\])]|=")
_ESCAPES = 3
"""How often links inside links are unescaped."""
_BLANKS = re.compile(r"\s+")
_PLUSES = re.compile(r"[+ ]+")
_WRITTEN = {
    ".": r"(?:\.|[\[(](?:\.|dot)[\])]|%2e|&#46;)",
    "@": r"(?:@|=|[\[(](?:@|at)[\])]|%40|%3d|&#64;|&commat;)",
    " ": r"(?:\s|%20|\+|&nbsp;)+",
}

_VOCABULARY = frozenset(
    (
        *("id", "alert_id", "postfix_id", "postfix_id_outbound", "final_disposition", "detection", "score"),
        *("delivery_mode", "delivery_status", "post_delivery_operations", "operation", "status"),
        *("incomplete", "threat_categories", "spf", "dkim", "dmarc", "allowlisted_pattern_type"),
        *("scanned_at", "sent_at", "sent_date", "ts", "completed_at", "completed_timestamp", "started_at"),
        *("whitelisted_pattern_type", "edf_hash", "htmltext_structure_hash", "sha256", "sha1", "md5"),
    )
)  # fmt: skip
"""Fields that hold Cloudflare's own words. A mail with the subject MALICIOUS must not undo a verdict."""

MAILBOXES = frozenset(("from", "to", "replyto", "envelope_from", "envelope_to", "client_recipients"))
"""Fields that hold mail addresses."""

_INDICATORS = MAILBOXES | {"smtp_helo_server_ip", "smtp_previous_hop_ip", "x_originating_ip", "ip"}
"""Fields whose mailboxes and IP addresses give way to mailboxes alone: whoever writes his own address into a
subject must not become invisible where subjects are redacted."""

_FIELD = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names that the API gives to fields; no mail has a part in them."""


def normal(text: str) -> str:
    """*text* in the form in which texts are compared."""
    plain = text if text.isascii() else _visible(unicodedata.normalize("NFKC", text))
    for _ in range(_ESCAPES):
        if "%" not in plain:
            break
        plain = unquote(plain)
    if "&" in plain:
        plain = html.unescape(plain)
    plain = _AT.sub("@", _DOT.sub(".", plain.casefold().replace("hxxp", "http")))
    return _BLANKS.sub(" ", plain).strip().replace(" @", "@").replace("@ ", "@")


def _visible(text: str) -> str:
    """*text* without letters that nobody sees, such as blanks of no width."""
    return "".join(letter for letter in text if unicodedata.category(letter) != "Cf")


class Done(str):
    """A text that was made here and needs no second look."""

    __slots__ = ()


def haystack(form: str) -> str:
    """Where a secret is looked for in a text of the normal *form*: with its markup, and without."""
    return form if "<" not in form else f"{form}\n{_BLANKS.sub(' ', strip_tags(form) or '')}"


def _searched(form: str) -> str:
    """As ``haystack``, and once more with the blanks that the queries of links write as ``+``."""
    places = haystack(form)
    return places if "+" not in places else f"{places}\n{_PLUSES.sub(' ', places)}"


def conceal(value: Value, secrets: Secrets) -> Value:
    """*value* with every text in it free of *secrets*; Cloudflare's own words and all numbers stay."""
    forms = {place: normal(place.text) for place in set(_texts(value, guarded=False, depth=0))}
    changed = {
        place: secrets[form].instead
        for place, form in forms.items()
        if form in secrets and (secrets[form].mailbox or not place.guarded)
    }
    left = {place: _searched(form) for place, form in forms.items() if place not in changed}
    finder = Finder(Finder(secrets).within("\n".join(left.values())))
    for place, form in left.items() if finder else ():
        inside = {secret: secrets[secret] for secret in finder.within(form)}
        if inside:
            changed[place] = _spared(place.text, inside) if place.guarded else _cut(place.text, inside)
    return _rebuilt(value, changed, guarded=False, depth=0)


class Finder:
    """Finds many secrets in a text. Mailboxes are looked up at each ``@``, for there may be thousands."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._mailboxes: dict[int, dict[str, list[str]]] = {}
        self._others: list[str] = []
        for secret in secrets:
            at = secret.find("@")
            if 0 < at < len(secret) - 1:
                self._mailboxes.setdefault(at, {}).setdefault(secret[: at + 2], []).append(secret)
            else:
                self._others.append(secret)

    def __bool__(self) -> bool:
        return bool(self._mailboxes or self._others)

    def within(self, text: str) -> list[str]:
        """The secrets in *text*, the longest first: one may be a part of another."""
        found = {secret for secret in self._others if _inside(secret, text)}
        lengths = self._mailboxes.items()
        at = text.find("@") if lengths else -1
        while at >= 0:
            for length, starts in lengths:
                for secret in starts.get(text[max(0, at - length) : at + 2], ()):
                    if at >= length and text.startswith(secret, at - length):
                        found.add(secret)
            at = text.find("@", at + 1)
        return sorted(found, key=lambda secret: (-len(secret), secret))


class _Place(NamedTuple):
    """One text, and whether it stands in a field of indicators."""

    guarded: bool
    text: str


def _spared(text: str, secrets: Secrets) -> str:
    """*text* without *secrets*; the indicators in it give way to mailboxes only."""
    kept = _cut(text, {form: secret for form, secret in secrets.items() if secret.mailbox})
    made = _cut(kept, {form: secret for form, secret in secrets.items() if not secret.mailbox})
    indicators = _indicators(kept)
    return made if _indicators(made) == indicators else ", ".join(indicators)


def _indicators(text: str) -> list[str]:
    try:
        return [str(ip_address(text.strip()))]
    except ValueError:
        return addresses_in(text)


def _inside(secret: str, text: str) -> bool:
    if secret not in text:
        return False
    return len(secret) >= _SHORT or re.search(rf"(?<!\w){re.escape(secret)}(?!\w)", text) is not None


def _cut(text: str, secrets: Secrets) -> str:
    """*text* without *secrets*; all of it gives way where one cannot be cut out exactly."""
    if len(secrets) > _MANY or any(len(form) > _LONG for form in secrets):
        return REDACTED
    for form, secret in secrets.items():
        text = _plainly(text, form, secret.instead)
    left = _left(text, secrets)
    if len(left) > _MANY_ODD:
        return REDACTED
    for form in left:
        text = _pattern(form).sub(secrets[form].instead, text)
    return REDACTED if _left(text, secrets) else text


def _left(text: str, secrets: Secrets) -> list[str]:
    form = _searched(normal(text))
    return [secret for secret in secrets if _inside(secret, form)]


def _plainly(text: str, form: str, instead: str) -> str:
    """Cut *form* out where it is written as it is, which is nearly always and needs no pattern."""
    folded = text.casefold()
    if len(form) < _SHORT or len(folded) != len(text) or form not in folded:
        return text
    parts, start = [], 0
    while (found := folded.find(form, start)) >= 0:
        parts += [text[start:found], instead]
        start = found + len(form)
    return "".join([*parts, text[start:]])


def _pattern(secret: str) -> re.Pattern[str]:
    written = "".join(_WRITTEN.get(letter) or re.escape(letter) for letter in secret)
    written = written.replace("http", "h(?:tt|xx)p")
    return re.compile(written if len(secret) >= _SHORT else rf"(?<!\w){written}(?!\w)", re.IGNORECASE)


def _texts(value: Value, *, guarded: bool, depth: int) -> Iterator[_Place]:
    if isinstance(value, Done):
        return
    if isinstance(value, str):
        yield _Place(guarded, value)
    elif depth >= DEPTH:
        return
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, guarded=guarded, depth=depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not _FIELD.fullmatch(key):
                yield _Place(False, key)
            if key not in _VOCABULARY:
                yield from _texts(item, guarded=key in _INDICATORS, depth=depth + 1)


def _rebuilt(value: Value, changed: Mapping[_Place, str], *, guarded: bool, depth: int) -> Value:
    if isinstance(value, str):
        return str(value) if isinstance(value, Done) else changed.get(_Place(guarded, value), value)
    if not isinstance(value, list | dict):
        return value
    if depth >= DEPTH:
        return TOO_DEEP
    if isinstance(value, list):
        return [_rebuilt(item, changed, guarded=guarded, depth=depth + 1) for item in value]
    return {
        changed.get(_Place(False, key), key): item
        if key in _VOCABULARY
        else _rebuilt(item, changed, guarded=key in _INDICATORS, depth=depth + 1)
        for key, item in value.items()
    }
