"""Masks configured secrets in texts that come from a peer, in every form in which a peer may repeat them.

Proxies and collectors echo requests in their errors: a password as it was sent, percent-encoded,
Base64-encoded, or as a piece of a URL. ``mask_secrets`` is applied where such a text enters an error, and
``SecretMasker`` once more where facts leave for log, metrics and status.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, runtime_checkable
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from pydantic import BaseModel

from connector.secret import MASK, Reference, Secret, urlsplit_uncached

_SHORTEST = 4
"""Characters of a secret that is masked: a shorter one would match by chance all over a text."""

_TOKEN = re.compile(r"(?![A-Za-z]{8,15}$).{8,}", re.DOTALL)
"""A piece of a URL's path or query that may be a token, unlike ``v1``, ``services`` and ``collector``."""

_HEADER = re.compile(r"(?i)\b(basic|bearer|splunk|apikey|genie-?key)(\s+)(?=\S*[\d/+=_-])[\w./+=~-]{8,}")
"""Credentials in an echoed ``Authorization`` header, whoever's they are."""


_DATABASES = frozenset({"postgres", "postgresql"})
"""Schemes of URLs in which a user without a password is no secret."""


@runtime_checkable
class _Revealable(Protocol):
    def reveal(self) -> str:
        """The secret text."""
        ...


def mask_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return *text* with every form of *secrets* and every echoed ``Authorization`` value masked."""
    forms = {form for secret in secrets for form in forms_of(secret)}
    return _HEADER.sub(rf"\1\2{MASK}", _masked(text, forms))


def forms_of(secret: str) -> frozenset[str]:
    """Return the forms in which *secret* may appear: itself, pieces of a URL, and encodings of each.

    A URL of scheme, host and port alone has none: it says which collector answered.
    """
    forms: set[str] = set()
    if _is_origin(secret):
        return frozenset()
    for piece in {secret, *_pieces_of_url(secret)}:
        for plain in {piece, unquote(piece)}:
            forms |= {
                plain,
                quote(plain, safe=""),
                quote(plain, safe="").lower(),
                quote(plain),
                quote_plus(plain),
            }
            forms |= {
                html.escape(plain),
                json.dumps(plain)[1:-1],
                json.dumps(plain, ensure_ascii=False)[1:-1],
                plain.encode("unicode_escape").decode(),
            }
            data = plain.encode("utf-8", "surrogatepass")
            for encoded in (base64.b64encode(data), base64.urlsafe_b64encode(data)):
                forms |= {encoded.decode(), encoded.decode().rstrip("=")}
            forms.add(data.hex())
    return frozenset(form for form in forms if len(form) >= _SHORTEST)


def secrets_in(value: object) -> Iterator[Callable[[], str]]:
    """Yield a reader for every secret in *value*, a settings model or a container of them."""
    if isinstance(value, (Secret, _Revealable)):
        yield value.reveal
    elif isinstance(value, Reference):
        text = str(value)
        yield lambda: text
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secrets_in(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from secrets_in(item)


class SecretMasker:
    """Masks a fixed set of secrets, at little cost per text; follows secrets that are rotated."""

    def __init__(self, secrets: Iterable[Callable[[], str]]) -> None:
        self._secrets = tuple(secrets)
        self._texts: frozenset[str] = frozenset()
        self._forms: frozenset[str] = frozenset()

    def __call__(self, text: str) -> str:
        """Return *text* with the secrets masked."""
        texts = frozenset(secret() for secret in self._secrets)
        if not texts <= self._texts:
            # A rotated secret stays masked: a peer may still echo it.
            self._texts |= texts
            self._forms = frozenset(form for secret in self._texts for form in forms_of(secret))
        return _masked(text, self._forms)


def _masked(text: str, forms: Iterable[str]) -> str:
    """*text* with every occurrence of *forms* masked, those that overlap as one.

    Without a pattern: the cache of ``re`` would keep the secrets of a configuration that is gone.
    """
    spans = sorted(span for form in forms if form in text for span in _occurrences(text, form))
    parts, end = [], 0
    for start, stop in spans:
        if start >= end:
            parts += [text[end:start], MASK]
        end = max(end, stop)
    return "".join([*parts, text[end:]])


def _occurrences(text: str, form: str) -> Iterator[tuple[int, int]]:
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + 1)


def _is_origin(text: str) -> bool:
    if not text.lower().startswith(("http://", "https://")):
        return False
    try:
        parts = urlsplit_uncached(text)
    except ValueError:
        return False
    return "@" not in parts.netloc and not (parts.path.strip("/") or parts.query or parts.fragment)


def _pieces_of_url(secret: str) -> Iterator[str]:
    """The secret pieces of a URL: user and password, long segments of the path, values of the query."""
    if "://" not in secret and "@" not in secret:
        return
    try:
        parts = urlsplit_uncached(secret if "://" in secret else f"http://{secret}")
    except ValueError:
        return
    user, password = parts.username or "", parts.password or ""
    if parts.scheme in _DATABASES and not password:
        return
    if password:
        yield password
        yield f"{unquote(user)}:{unquote(password)}"
    elif user:
        yield user
    values = [value for _, value in parse_qsl(parts.query)]
    yield from (piece for piece in (*parts.path.split("/"), parts.query, *values) if _TOKEN.fullmatch(piece))
