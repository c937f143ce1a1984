"""CEF lines that every receiver reads the same way, however hostile the mail was."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.formats import cef_dictionary
from connector.formats.cef import encode
from tests.support.cef_parser import parse, splunk_fields

HEADER: dict[str, Any] = {
    "deviceVendor": "Cloudflare",
    "deviceProduct": "Email Security",
    "deviceVersion": "1.0",
    "deviceEventClassId": "email.malicious",
    "name": "Malicious email detected",
    "severity": 8,
}


def line_of(**extension: Any) -> bytes:
    return encode({**HEADER, **extension})[0]


def value_of(text: str, key: str = "msg") -> str | None:
    return parse(line_of(rt=1, **{key: text})).extension.get(key)


def test_a_plain_event_is_written_in_the_order_of_its_fields() -> None:
    line = line_of(rt=1574292121000, act="detected", cs2="MALICIOUS", cs2Label="Disposition", cfp1=0.98)

    assert line == (
        b"CEF:0|Cloudflare|Email Security|1.0|email.malicious|Malicious email detected|8|"
        b"rt=1574292121000 act=detected cs2=MALICIOUS cs2Label=Disposition cfp1=0.98"
    )


@pytest.mark.parametrize(
    ("subject", "written"),
    [
        ("x act=allowed dst=8.8.8.8", rb"msg=x act\=allowed dst\=8.8.8.8"),
        ("a|b", rb"msg=a|b"),
        ("back\\slash", rb"msg=back\\slash"),
        ("end\\", rb"msg=end\\"),
        ("\\=", rb"msg=\\\="),
        ("a\r\n<134>1 - - CEF:0|x", rb"msg=a\n<134>1 - - CEF:0|x"),
        ("a\nb\rc", rb"msg=a\nb\rc"),
        ("a\x85b\x0bc\x0cd\u2028e\u2029f", rb"msg=a\nb\nc\nd\ne\nf"),
        ("tab\there", rb"msg=tab here"),
        ("\x1b[31mred\x00\x9b", rb"msg=[31mred"),
        ("  padded \u3000", rb"msg=padded"),
        ("lone \ud83d half", "msg=lone \ufffd half".encode()),
        ('"quoted"', rb'msg="quoted"'),
        ("two  blanks", rb"msg=two  blanks"),
    ],
)
def test_hostile_text_stays_inside_its_value(subject: str, written: bytes) -> None:
    """No text can end its value, forge a key, or break the line."""
    line = line_of(msg=subject, act="detected")

    assert line.endswith(b"|8|" + written + b" act=detected")
    assert parse(line).extension["act"] == "detected"
    assert set(splunk_fields(line)) == {"msg", "act"}


def test_bidirectional_overrides_are_kept_as_evidence() -> None:
    assert value_of("invoice\u202egpj.exe") == "invoice\u202egpj.exe"


@pytest.mark.parametrize("empty", ["", None, "   ", "\x00", "\r\n", [], math.nan])
def test_an_empty_value_is_left_out_with_its_label(empty: Any) -> None:
    """Receivers refuse empty numbers and addresses, and a label alone says nothing."""
    extension = parse(line_of(rt=1, cs1=empty, cs1Label="MessageID", act="detected")).extension

    assert extension == {"rt": "1", "act": "detected"}


def test_header_text_is_escaped_and_kept_on_one_line() -> None:
    line = encode({**HEADER, "name": " a|b\\c=d\r\n\x00e "})[0]

    assert rb"|a\|b\\c=d e|8|" in line
    assert parse(line).header["name"] == "a|b\\c=d e"


@pytest.mark.parametrize(
    ("class_id", "written"),
    [
        ("email.malicious-bec", "email.malicious-bec"),
        ("email.new one=%#|x", "email.new-one-x"),
        ("", "unknown"),
        ("|||", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_class_id_holds_only_what_no_receiver_stumbles_over(class_id: str | None, written: str) -> None:
    assert (
        parse(encode({**HEADER, "deviceEventClassId": class_id})[0]).header["deviceEventClassId"] == written
    )


@pytest.mark.parametrize(
    ("severity", "written"),
    [
        (0, "0"),
        (10, "10"),
        (11, "10"),
        (-1, "0"),
        (6.6, "7"),
        ("High", "High"),
        ("x", "Unknown"),
        (None, "Unknown"),
    ],
)
def test_severity_is_a_number_to_ten_or_a_word_of_the_standard(severity: Any, written: str) -> None:
    assert parse(encode({**HEADER, "severity": severity})[0]).header["severity"] == written


def test_texts_are_cut_to_the_dictionary_before_they_are_escaped() -> None:
    """A cut after escaping could leave half an escape, which shifts every later key."""
    line, notes = encode({**HEADER, "msg": "=" * 2000, "externalId": "i" * 41, "act": "detected"})
    extension = parse(line).extension

    assert extension == {"msg": "=" * 1020 + "...", "externalId": "i" * 40, "act": "detected"}
    assert notes == ("msg cut from 2000 to 1023 characters", "externalId cut from 41 to 40 characters")


def test_lists_lose_whole_items() -> None:
    """Half an address would be another address."""
    recipients = [f"recipient{number}@corp.example" for number in range(100)]
    duser = parse(line_of(duser=recipients)).extension["duser"]
    kept, _, count = duser.rpartition("...(+")

    assert len(duser) <= 1023
    assert recipients[: kept.count(",") + 1] == kept.split(",")
    assert int(count.rstrip(")")) == 100 - len(kept.split(","))


@pytest.mark.parametrize("text", ["<x@mailer.example>" * 500, "=" * 5000, "\U0001f600" * 5000])
def test_a_sender_cannot_crowd_the_verdict_out_with_a_message_id(text: str) -> None:
    """The one long value whose author is the attacker, and that is an identifier at the same time."""
    document: dict[str, Any] = {
        "rt": 1,
        "devicePayloadId": "id",
        "cs2": "MALICIOUS",
        "cs1": text,
        "cs1Label": "MessageID",
    }
    line, notes = encode({**HEADER, **document}, max_bytes=1900)
    read = parse(line)
    assert len(line) <= 1900
    assert read.extension["cs2"] == "MALICIOUS"
    assert read.extension["cs1"].endswith("...")
    assert text.startswith(read.extension["cs1"].removesuffix("..."))
    assert any("cs1 cut from" in note for note in notes)


def test_header_fields_are_cut_to_their_sizes() -> None:
    header = parse(encode(dict.fromkeys(HEADER, "\\" * 2000))[0]).header

    assert {name: len(text) for name, text in header.items()} == {
        "deviceVendor": 63,
        "deviceProduct": 63,
        "deviceVersion": 31,
        "deviceEventClassId": len("unknown"),
        "name": 512,
        "severity": len("Unknown"),
    }


def test_values_of_every_kind_become_text() -> None:
    extension = parse(
        line_of(
            rt=datetime(2019, 11, 20, 23, 22, 1, tzinfo=UTC),
            cn1=3,
            cfp1=0.5,
            fname=["a.pdf", None, "b.doc"],
            CloudflareEmailSecurityIsQuarantined=False,
        )
    ).extension

    assert extension == {
        "rt": "1574292121000",
        "cn1": "3",
        "cfp1": "0.5",
        "fname": "a.pdf,b.doc",
        "CloudflareEmailSecurityIsQuarantined": "false",
    }


def test_a_name_that_is_no_key_is_left_out_and_named() -> None:
    line, notes = encode({**HEADER, "bad key": "x", "x=y": "z", "act": "detected"})

    assert parse(line).extension == {"act": "detected"}
    assert len(notes) == 2


LONG: dict[str, Any] = {
    "rt": 1574292121000,
    "externalId": "alert-id",
    "devicePayloadId": "record-id",
    "act": "quarantined",
    "reason": "first reason; second reason; third reason",
    "duser": "a@corp.example,b@corp.example,c@corp.example",
    "msg": "päyroll = \\ " * 40,
    "cs2": "MALICIOUS",
    "cs2Label": "Disposition",
    "cs6": "Finding [MALICIOUS 0.9] why",
    "cs6Label": "Findings",
    "cn1": 3,
    "cn1Label": "RecipientCount",
    "CloudflareEmailSecurityAlertId": "whole alert id",
    "CloudflareEmailSecurityFromName": "A Name",
    "CloudflareEmailSecurityReplyTo": "r@example.org",
}
KEPT = {
    key: str(LONG[key])
    for key in (
        *("rt", "externalId", "devicePayloadId", "act", "cs2", "cs2Label", "CloudflareEmailSecurityAlertId"),
    )
}


@pytest.mark.parametrize("size", range(320, 1500, 7))
def test_a_line_that_is_too_long_is_shortened_field_by_field(size: int) -> None:
    """It stays readable, fits, and keeps identifiers and verdict whole."""
    line, notes = encode({**HEADER, **LONG}, max_bytes=size)
    extension = parse(line).extension

    assert len(line) <= size
    assert KEPT.items() <= extension.items()
    assert (len(extension) == len(LONG)) == (not notes)
    assert ("cs6" in extension) == ("cs6Label" in extension)


def test_what_matters_least_goes_first() -> None:
    full = len(encode({**HEADER, **LONG})[0])
    _, notes = encode({**HEADER, **LONG}, max_bytes=full - 160)

    assert [note.split()[0] for note in notes] == [
        "CloudflareEmailSecurityReplyTo",
        "CloudflareEmailSecurityFromName",
        "cs6",
        "reason",
    ]
    assert notes[-1].startswith("reason cut from 41 to ")


def test_identifiers_and_verdict_stay_even_in_a_line_that_cannot_fit() -> None:
    """The output decides about such a line; a line without an id would be worse."""
    line, _ = encode({**HEADER, **LONG}, max_bytes=10)

    assert parse(line).extension == KEPT


def test_every_dictionary_limit_holds() -> None:
    fields = {key.name: "x" * 5000 for key in cef_dictionary.keys().values() if key.max_length}
    extension = parse(encode({**HEADER, **fields})[0]).extension

    for key, text in extension.items():
        assert len(text) == cef_dictionary.keys()[key].max_length, key
