"""Whatever stands in a mail, a CEF line gives back exactly that, cleaned, and nothing else."""

import re
import unicodedata
from datetime import UTC, datetime
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.formats.cef import encode
from connector.interfaces import Mapper
from connector.mapping import Library, build_mapper
from connector.model import Feed, Record, Revision
from tests.support.cef_parser import parse, splunk_fields
from tests.support.examples import examples

HOSTILE = st.text(
    st.one_of(
        st.sampled_from(list("\\|=\r\n\t \x00\x0b\x0c\x1b\x7f\x85\x9b\u2028\u2029\u00a0\ud83d\ude00,;\"'nr")),
        st.characters(codec=None, exclude_categories=()),
    ),
    max_size=60,
)
FORGERY = st.lists(
    st.one_of(
        HOSTILE,
        st.sampled_from(
            ["act=allowed", " cs2=NONE", "CEF:0|a|b|c|d|e|9|", "\r\n<134>1 ", "\\=", "\\", "=", " x="]
        ),
    ),
    max_size=6,
).map("".join)
TEXT_KEYS = ("reason", "suser", "msg", "cs3", "CloudflareEmailSecurityFromName")
FIXED: dict[str, Any] = {
    "rt": 1574292121000,
    "act": "quarantined",
    "cs2": "MALICIOUS",
    "cs2Label": "Disposition",
}
HEADER: dict[str, Any] = {
    "deviceVendor": "Cloudflare",
    "deviceProduct": "Email Security",
    "deviceVersion": "1.0",
    "deviceEventClassId": "email.malicious",
    "name": "Malicious email detected",
    "severity": 8,
}


def cleaned(text: str) -> str:
    """The documented cleaning, in the simplest words."""
    sound = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    lines = re.sub("\r\n|[\x0b\x0c\x85\u2028\u2029]", "\n", sound).replace("\t", " ")
    return "".join(char for char in lines if char in "\r\n" or unicodedata.category(char) != "Cc").strip()


@given(st.fixed_dictionaries(dict.fromkeys(TEXT_KEYS, FORGERY)))
def test_any_text_comes_back_exactly_and_forges_no_field(texts: dict[str, str]) -> None:
    """Reading the line with the strictest rules yields the cleaned values, and only these keys."""
    line, notes = encode({**HEADER, **FIXED, **texts})
    expected = {key: cleaned(text) for key, text in texts.items() if cleaned(text)}

    assert parse(line).extension == {**{key: str(value) for key, value in FIXED.items()}, **expected}
    assert notes == ()


@given(st.fixed_dictionaries(dict.fromkeys(TEXT_KEYS, FORGERY)))
def test_a_gateway_that_splits_by_one_expression_sees_the_same_keys(texts: dict[str, str]) -> None:
    line, _ = encode({**HEADER, **FIXED, **texts})

    assert set(splunk_fields(line)) == set(parse(line).extension)
    assert splunk_fields(line)["act"] == "quarantined"


@given(st.fixed_dictionaries(dict.fromkeys([name for name in HEADER if name != "severity"], FORGERY)))
def test_no_header_text_can_end_the_header_or_the_line(texts: dict[str, str]) -> None:
    read = parse(encode({**texts, "severity": 3, **FIXED})[0])

    assert read.header["severity"] == "3"
    assert set(read.extension) == set(FIXED)
    assert re.fullmatch(r"[A-Za-z0-9._-]+", read.header["deviceEventClassId"])


@given(
    st.fixed_dictionaries(dict.fromkeys(TEXT_KEYS, FORGERY.map(lambda text: text * 40))),
    st.integers(200, 4000),
)
def test_a_shortened_line_is_still_well_formed_and_keeps_the_verdict(
    texts: dict[str, str], size: int
) -> None:
    line, _ = encode({**HEADER, **FIXED, **texts}, max_bytes=size)
    read = parse(line)

    assert len(line) <= size
    assert {key: str(value) for key, value in FIXED.items()}.items() <= read.extension.items()
    assert set(read.extension) <= set(FIXED) | set(texts)


@given(
    st.dictionaries(
        st.sampled_from([*TEXT_KEYS, *FIXED, *HEADER]) | HOSTILE, HOSTILE | st.lists(HOSTILE), max_size=8
    )
)
def test_a_line_is_one_line_whatever_the_fields_are(fields: dict[str, str | list[str]]) -> None:
    line, _ = encode(fields)

    assert parse(line).version == "0"
    assert len(line.decode("utf-8").splitlines()) == 1


MAPPED = {
    "subject": "msg",
    "from": "suser",
    "envelope_from": "cs3",
    "message_id": "cs1",
    "from_name": "CloudflareEmailSecurityFromName",
    "replyto": "CloudflareEmailSecurityReplyTo",
}


@cache
def mapper() -> Mapper:
    return build_mapper(Library().load("cef"))


@settings(max_examples=examples(60))
@given(st.fixed_dictionaries(dict.fromkeys(MAPPED, FORGERY)))
def test_no_text_of_a_mail_gets_out_of_its_field(texts: dict[str, str]) -> None:
    """From the record to the line: subject, names and addresses come back as sent, cleaned."""
    body = {"id": "x", "final_disposition": "MALICIOUS", "is_quarantined": True, **texts}
    event = mapper()(
        Revision(Feed("a" * 32, "s"), Record("x", body), "d", 1, datetime(2026, 1, 1, tzinfo=UTC))
    )
    assert event is not None
    read = parse(event.payload).extension

    assert {name: read.get(key, "") for name, key in MAPPED.items()} == {
        name: cleaned(text) for name, text in texts.items()
    }
    assert (read["act"], read["cs2"]) == ("quarantined", "MALICIOUS")
    assert "dst" not in read
    assert b"\n" not in event.payload
