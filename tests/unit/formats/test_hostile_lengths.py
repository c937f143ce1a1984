"""Encoding and escaping take time in proportion to the length of a text, whatever a sender puts into it."""

from __future__ import annotations

import pytest

from connector.formats import cef, json, leef
from connector.formats.escaping import escape
from tests.support.sampling import slow

PIECES = [
    "a@",
    "at",
    ";",
    "=",
    "\\",
    "|",
    "\n",
    "a=",
    " x =",
    "^",
    " a",
    ":",
    ".a",
    "1.1.1.1",
    "http://",
    "`",
    "<@",
    "\u202e",
]
LONG = [50_000, slow(200_000)]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("length", LONG)
@pytest.mark.parametrize("piece", PIECES)
def test_a_long_text_of_anything_is_written_at_once(piece: str, length: int) -> None:
    """What grew with the square of the length would take minutes."""
    text = (piece * length)[:length]
    fields = {
        "msg": text,
        "suser": text,
        "cs6": text,
        "duser": text,
        "CloudflareEmailSecurityX": text,
        "request": text,
    }
    for limit in (None, 8192):
        cef.encode({"deviceVendor": "Cloudflare", **fields}, max_bytes=limit)
        leef.encode({"Vendor": "Cloudflare", "subject": text, "recipients": text, "x": text}, max_bytes=limit)
    json.encode({"subject": text})
    for kind in ("plain", "slack", "markdown", "html"):
        escape(kind)(text)


@pytest.mark.parametrize("length", LONG)
@pytest.mark.parametrize("piece", PIECES)
def test_a_line_keeps_its_limit(piece: str, length: int) -> None:
    text = (piece * length)[:length]
    line, _ = cef.encode(
        {"deviceVendor": "Cloudflare", "msg": text, "duser": text, "cs6": text}, max_bytes=2048
    )
    assert len(line) <= 2048
    line, _ = leef.encode({"Vendor": "Cloudflare", "subject": text, "recipients": text}, max_bytes=2048)
    assert len(line) <= 2048
