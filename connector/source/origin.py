"""Whether an address may see the credentials: only the origin that was configured may."""

from __future__ import annotations

from urllib.parse import parse_qs, urljoin, urlsplit

_PORTS = {"http": 80, "https": 443}


class Foreign(Exception):
    """The address leads elsewhere, or is none."""


def resolved(base: str, location: str) -> str:
    """Return *location* made absolute against *base*; raises ``Foreign`` for another origin."""
    try:
        target = urljoin(base, location.strip())
        same = _origin(target) == _origin(base)
        parts = urlsplit(target)
    except ValueError:
        raise Foreign from None
    # A name or password in an address would replace the credentials that are sent.
    if not same or "@" in parts.netloc or any(not letter.isprintable() or letter == " " for letter in target):
        raise Foreign
    return parts._replace(fragment="").geturl()


def cursor_in(base: str, text: str) -> str | None:
    """Return the cursor of *text* where it is an address instead of a cursor; ``None`` where it is none.

    Raises ``Foreign`` for an address of another origin, or one without a cursor. A cursor may begin with a
    slash, so that a path counts as an address only when its query names a cursor.
    """
    absolute = text.lower().startswith(("http://", "https://"))
    rooted = text.startswith("/") and "cursor=" in text.partition("?")[2]
    if not absolute and not rooted:
        return None
    found = parse_qs(urlsplit(resolved(base, text)).query).get("cursor")
    if not found:
        raise Foreign
    return found[0]


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.hostname, parts.port or _PORTS.get(parts.scheme.lower())
