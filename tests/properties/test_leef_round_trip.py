"""Whatever stands in a mail, a LEEF line gives back exactly that, cleaned as documented, and nothing else."""

import re
import unicodedata
from datetime import UTC, datetime
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.formats.leef import encode
from connector.interfaces import Mapper
from connector.mapping import Library, build_mapper
from connector.model import Feed, Record, Revision
from tests.support.examples import examples
from tests.support.leef_parser import escaping_fields, gateway_fields, parse

HOSTILE = st.text(
    st.one_of(
        st.sampled_from(
            list("\\|=^~\"'\r\n\t \x00\x0b\x0c\x1b\x7f\x85\x9b\u2028\u2029\u00a0\ud83d\ude00,;.-_ab")
        ),
        st.characters(codec=None, exclude_categories=()),
    ),
    max_size=60,
)
FORGERY = st.lists(
    st.one_of(
        HOSTILE,
        st.sampled_from(
            [
                "^sev=1",
                " cat=allowed",
                "LEEF:2.0|a|b|c|d|^|",
                "\r\n<134>1 ",
                "\\^",
                '"',
                "' cat =x",
                "=",
                "\tsev=1",
            ]
        ),
    ),
    max_size=6,
).map("".join)
TEXT_KEYS = ("subject", "sender", "fromName", "messageId", "cloudflareNew")
FIXED: dict[str, Any] = {"cat": "quarantined", "sev": 8, "dispositionRaw": "MALICIOUS"}
HEADER: dict[str, Any] = {
    "Vendor": "Cloudflare",
    "Product": "Email",
    "Version": "1.0",
    "EventID": "MALICIOUS",
}
WRITTEN = {key: str(value) for key, value in FIXED.items()}


def cleaned(text: str, delimiter: str = "^") -> str:
    """The documented cleaning, in the simplest words."""
    sound = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    lines = re.sub("\r\n|[\t\n\x0b\x0c\r\x85\u2028\u2029]", " ", sound).replace(delimiter, " ")
    plain = "".join(char for char in lines if unicodedata.category(char) != "Cc").replace("|", "/").strip()
    safe = re.sub(r"(\s[A-Za-z0-9_.-]+\s*)=", r"\1:", plain)
    while safe != plain:
        plain, safe = safe, re.sub(r"(\s[A-Za-z0-9_.-]+\s*)=", r"\1:", safe)
    if safe[:1] in {"'", '"'}:
        safe = "`" + safe[1:]
    end = re.search(r"\\*\Z", safe)
    return safe[: end.start()] + "/" * len(end[0]) if end else safe


@given(st.fixed_dictionaries(dict.fromkeys(TEXT_KEYS, FORGERY)), st.sampled_from(["^", "~", ";", "#", "\t"]))
def test_any_text_comes_back_cleaned_and_forges_no_field(texts: dict[str, str], delimiter: str) -> None:
    """However a receiver splits the line, it sees these keys with these values."""
    line, notes = encode({**HEADER, "Delimiter": delimiter, **texts, **FIXED})
    expected = {key: cleaned(text, delimiter) for key, text in texts.items() if cleaned(text, delimiter)}

    assert parse(line).attributes == {**expected, **WRITTEN}
    assert gateway_fields(line) == {**expected, **WRITTEN}
    assert escaping_fields(line) == {**expected, **WRITTEN}
    assert notes == ()


@given(st.fixed_dictionaries(dict.fromkeys(HEADER, FORGERY)))
def test_no_header_text_can_end_the_header_or_the_line(texts: dict[str, str]) -> None:
    read = parse(encode({**texts, **FIXED})[0])

    assert read.attributes == WRITTEN
    assert read.header["EventID"] == (cleaned(texts["EventID"])[:255].rstrip() or "unknown")


@given(
    st.fixed_dictionaries(dict.fromkeys(TEXT_KEYS, FORGERY.map(lambda text: text * 40))),
    st.integers(200, 4000),
)
def test_a_shortened_line_is_still_well_formed_and_keeps_the_verdict(
    texts: dict[str, str], size: int
) -> None:
    line, _ = encode({**HEADER, **FIXED, **texts}, max_bytes=size)
    read = parse(line).attributes

    assert len(line) <= size
    assert WRITTEN.items() <= read.items()
    assert set(read) <= set(FIXED) | set(texts)
    assert gateway_fields(line) == escaping_fields(line) == read


@given(
    st.dictionaries(
        st.sampled_from([*TEXT_KEYS, *FIXED, *HEADER, "Delimiter", "devTime", "devTimeFormat"]) | HOSTILE,
        HOSTILE | st.lists(HOSTILE),
        max_size=8,
    )
)
def test_a_line_is_one_line_whatever_the_fields_are(fields: dict[str, str | list[str]]) -> None:
    line, _ = encode(fields)

    assert parse(line).header["EventID"]
    assert len(line.decode("utf-8").splitlines()) == 1


MAPPED = {
    "subject": "subject",
    "from": "sender",
    "from_name": "fromName",
    "envelope_from": "envelopeFrom",
    "message_id": "messageId",
    "replyto": "replyTo",
}


@cache
def mapper() -> Mapper:
    return build_mapper(Library().load("leef"))


@settings(max_examples=examples(60))
@given(st.fixed_dictionaries(dict.fromkeys(MAPPED, FORGERY)))
def test_no_text_of_a_mail_gets_out_of_its_field(texts: dict[str, str]) -> None:
    """From the record to the line: subject, names and addresses come back as sent, cleaned."""
    body = {"id": "x", "final_disposition": "MALICIOUS", "is_quarantined": True, **texts}
    event = mapper()(
        Revision(Feed("a" * 32, "s"), Record("x", body), "d", 1, datetime(2026, 1, 1, tzinfo=UTC))
    )
    assert event is not None
    read = parse(event.payload).attributes

    assert {name: read.get(key, "") for name, key in MAPPED.items()} == {
        name: cleaned(text) for name, text in texts.items()
    }
    assert (read["cat"], read["sev"], read["dispositionRaw"]) == ("quarantined", "8", "MALICIOUS")
    assert gateway_fields(event.payload) == escaping_fields(event.payload) == read
