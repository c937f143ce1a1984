"""The sender writes the texts that are redacted: the work grows with their length and no faster."""

from __future__ import annotations

import hmac
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from connector.mapping import Redact, compile_redaction
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
