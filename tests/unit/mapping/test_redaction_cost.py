"""The sender writes the texts that are redacted: the work grows with their length and no faster."""

from __future__ import annotations

import hmac
import sys
import unicodedata
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from connector.mapping import Redact, compile_redaction
from connector.mapping.redaction.scrub import REDACTED, normalized
from connector.yaml_nodes import parse
from tests.unit.mapping.packs import revision

FIELDS = ("from", "to", "envelope_from", "subject")
HOSTILE: dict[str, Callable[[int], str]] = {
    "a@": lambda n: "a@" * (n // 2),
    "at": lambda n: "at" * (n // 2),
    "semicolons": lambda n: ";" * n,
    "digits": lambda n: "1" * n,
    "one address": lambda n: "a@b;" * (n // 4),
    "many addresses": lambda n: "".join(f"u{i}@x{i}.com, " for i in range(n // 16)),
    "many names": lambda n: "".join(f'"name {i}" <u{i}@x.com>, ' for i in range(n // 24)),
    "a long name": lambda n: f'"{"x y" * (n // 3)}" <a@b.com>',
    "open brackets": lambda n: "<a@b " * (n // 5),
    "comments": lambda n: "(" * n,
    "defanged": lambda n: "a[at]b " * (n // 7),
    "escapes": lambda n: "%25" * (n // 3),
    "entities": lambda n: "&amp;" * (n // 5),
    "no ASCII": lambda n: "ä@ö " * (n // 4),
}


def redaction(mode: str) -> Redact:
    fields = ", ".join(f"{field}: {mode}" for field in FIELDS)
    return compile_redaction(parse(f"{{{fields}}}", "connector.yaml"), "0123456789abcdef")


def hostile(text: str) -> dict[str, Any]:
    return {
        "id": "r1",
        "from": text,
        "to": [text + "t"],
        "envelope_from": text + "e",
        "subject": text + "s",
        "findings": [{"detail": text}],
        "links": [{"href": f"https://x.example/{text}"}],
    }


def calls(redact: Redact, text: str) -> int:
    """How many functions it takes to redact a record of *text*."""
    count = 0

    def counted(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    one = revision(hostile(text))
    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        redact(one)
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("mode", ["drop", "hash"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_twice_the_text_is_twice_the_work(kind: str, mode: str) -> None:
    redact, make = redaction(mode), HOSTILE[kind]

    assert calls(redact, make(8000)) < 2.3 * calls(redact, make(4000))


FAR_TOO_MUCH: dict[str, dict[str, Any]] = {
    "one long header": {"from": ", ".join(f"Name {i} <a@b.example>" for i in range(4000))},
    "addresses": {"to": [f"u{i}@x{i}.example" for i in range(12_000)]},
    "names": {
        "from": ", ".join(f"Name {i} <a@b.example>" for i in range(2500)),
        "findings": [{"detail": "x y " * 50_000}],
    },
    "lengths of local parts": {
        "from": ", ".join(f"{'u' * length}@b.example" for length in range(1, 500)),
        "findings": [{"detail": "x@y " * 50_000}],
    },
    "letters that expand": {
        "subject": "\ufdfa" * 20_000,
        "findings": [{"detail": "secret " + "\ufdfa" * 3000}],
    },
}


@pytest.mark.parametrize("mode", ["drop", "hash"])
@pytest.mark.parametrize("kind", FAR_TOO_MUCH)
def test_where_there_is_too_much_to_compare_no_text_is_left(kind: str, mode: str) -> None:
    body = {
        "id": "r1",
        "final_disposition": "MALICIOUS",
        "links": [{"href": "https://x.example/u7@x7.example"}],
        "to_name": ["Name 7"],
        **FAR_TOO_MUCH[kind],
    }

    made = redaction(mode)(revision(body)).record.body

    assert made["final_disposition"] == "MALICIOUS"
    assert made["links"] == [{"href": REDACTED}]
    assert made["to_name"] == [REDACTED]
    assert "\ufdfa" not in str(made)
    assert "@b.example" not in str(made)
    assert REDACTED not in made


def test_every_invisible_character_is_ignored() -> None:
    invisible = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Cf"]

    assert normalized(f"a{''.join(invisible)}b") == "ab"


def test_an_address_that_is_repeated_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = 0
    digest = hmac.digest

    def counted(*arguments: Any) -> bytes:
        nonlocal hashed
        hashed += 1
        return digest(*arguments)

    monkeypatch.setattr(hmac, "digest", counted)
    redaction("hash")(revision(hostile("a@b.example; " * 3000)))

    assert hashed < 100
