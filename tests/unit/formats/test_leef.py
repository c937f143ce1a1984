"""LEEF lines in which no text of a mail can pass for a field, however a receiver splits them."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.formats.leef import encode
from connector.formats.leef_attributes import attributes
from tests.support.leef_parser import escaping_fields, gateway_fields, parse

HEADER: dict[str, Any] = {
    "Vendor": "Cloudflare",
    "Product": "Email Security",
    "Version": "1.0",
    "EventID": "MALICIOUS",
}


def line_of(**fields: Any) -> bytes:
    return encode({**HEADER, **fields})[0]


def value_of(text: Any, key: str = "subject") -> str | None:
    return parse(line_of(sev=1, **{key: text})).attributes.get(key)


def test_a_plain_event_is_written_in_the_order_of_its_fields() -> None:
    line = line_of(cat="detected", devTime="2019-11-20T23:22:01.000Z", sev=8, src="192.0.2.1", subject="a b")

    assert line == (
        b"LEEF:2.0|Cloudflare|Email Security|1.0|MALICIOUS|^|cat=detected"
        b"^devTime=Nov 20 2019 23:22:01.000 GMT^devTimeFormat=MMM dd yyyy HH:mm:ss.SSS z"
        b"^sev=8^src=192.0.2.1^subject=a b"
    )


@pytest.mark.parametrize(
    ("subject", "written"),
    [
        ("x^sev=1", "x sev:1"),
        ("x act=allowed dst=8.8.8.8", "x act:allowed dst:8.8.8.8"),
        ("x act = allowed", "x act : allowed"),
        ("a=b", "a=b"),
        ("https://e.example/?a=1&b=2", "https://e.example/?a=1&b=2"),
        ("a|b", "a/b"),
        ("LEEF:2.0|V|P|1|x|^|sev=0", "LEEF:2.0/V/P/1/x/ /sev=0"),
        ('"quoted', "`quoted"),
        ("'quoted'", "`quoted'"),
        ('it is "quoted"', 'it is "quoted"'),
        ("back\\slash", "back\\slash"),
        ("end\\\\", "end//"),
        ("a\r\n<134>1 - - LEEF:2.0", "a <134>1 - - LEEF:2.0"),
        ("a\nb\rc\x85d\x0be\x0cf\u2028g\u2029h\ti", "a b c d e f g h i"),
        ("\x1b[31mred\x00\x9b", "[31mred"),
        ("  padded \u3000", "padded"),
        ("lone \ud83d half", "lone \ufffd half"),
        ("\u00a0act=allowed", "act=allowed"),
        ("x\u00a0act=allowed", "x\u00a0act:allowed"),
        ("invoice\u202egpj.exe", "invoice\u202egpj.exe"),
    ],
)
def test_hostile_text_stays_inside_its_value(subject: str, written: str) -> None:
    """No text can end its value, forge a key, hide the next one, or break the line."""
    line = line_of(subject=subject, cat="detected")

    assert parse(line).attributes == {"subject": written, "cat": "detected"}
    assert gateway_fields(line) == {"subject": written, "cat": "detected"}
    assert escaping_fields(line) == {"subject": written, "cat": "detected"}


@pytest.mark.parametrize("empty", ["", None, "   ", "\x00", "\r\n", "^", [], math.nan])
def test_an_empty_value_is_left_out(empty: Any) -> None:
    assert parse(line_of(sev=1, subject=empty)).attributes == {"sev": "1"}


@pytest.mark.parametrize(
    ("asked", "named", "delimiter"),
    [
        (None, "^", "^"),
        ("~", "~", "~"),
        ("\t", "x09", "\t"),
        ("x09", "x09", "\t"),
        ("0x5E", "^", "^"),
        ("x7e", "~", "~"),
    ],
)
def test_another_delimiter_can_be_asked_for(asked: str | None, named: str, delimiter: str) -> None:
    line, notes = encode({**HEADER, "Delimiter": asked, "cat": "a^b~c\td", "sev": 2})
    read = parse(line)

    assert notes == ()
    assert read.header["Delimiter"] == named
    assert read.attributes == {"cat": "a^b~c d".replace(delimiter, " "), "sev": "2"}


@pytest.mark.parametrize("asked", ["|", "=", "a", "7", " ", ":", "x41", "x0a", "^^", "xFFFFF", "\\"])
def test_a_delimiter_that_values_are_made_of_is_refused(asked: str) -> None:
    line, notes = encode({**HEADER, "Delimiter": asked, "cat": "detected", "sev": 2})

    assert parse(line).header["Delimiter"] == "^"
    assert notes == ("Delimiter is not allowed; ^ is used instead",)


def test_header_text_cannot_end_the_header() -> None:
    line = encode({"Vendor": "a|b", "Product": "c\r\nd", "Version": "e\\", "EventID": "^|x" + "y" * 300})[0]
    read = parse(line)

    assert read.header["Vendor"] == "a/b"
    assert read.header["Product"] == "c d"
    assert read.header["Version"] == "e/"
    assert read.header["EventID"] == "/x" + "y" * 253
    assert parse(encode({})[0]).header["EventID"] == "unknown"


@pytest.mark.parametrize(
    ("severity", "written"),
    [(0, "1"), (1, "1"), (10, "10"), (99, "10"), (6.6, "7"), ("x", "1"), (None, None)],
)
def test_severity_is_a_number_from_one_to_ten(severity: Any, written: str | None) -> None:
    assert parse(line_of(cat="x", sev=severity)).attributes.get("sev") == written


@pytest.mark.parametrize(
    ("given", "time", "format_of_it"),
    [
        ("2026-11-18T09:41:07Z", "Nov 18 2026 09:41:07.000 GMT", "MMM dd yyyy HH:mm:ss.SSS z"),
        ("2026-01-02T00:30:00.250+02:00", "Jan 01 2026 22:30:00.250 GMT", "MMM dd yyyy HH:mm:ss.SSS z"),
        (1794994867000, "1794994867000", None),
        (datetime(2026, 11, 18, 9, 41, 7, tzinfo=UTC), "1794994867000", None),
        ("2026-13-45T09:41:07Z", "2026-13-45T09:41:07Z", None),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00", None),
    ],
)
def test_the_time_is_written_as_receivers_read_it(given: Any, time: str, format_of_it: str | None) -> None:
    read = parse(line_of(devTime=given)).attributes

    assert (read["devTime"], read.get("devTimeFormat")) == (time, format_of_it)


def test_who_gives_a_format_of_the_time_writes_the_time_himself() -> None:
    read = parse(line_of(devTime="2026-11-18T09:41:07Z", devTimeFormat="yyyy-MM-dd'T'HH:mm:ssX")).attributes

    assert read == {"devTime": "2026-11-18T09:41:07Z", "devTimeFormat": "yyyy-MM-dd'T'HH:mm:ssX"}


def test_values_of_every_kind_become_text() -> None:
    read = parse(
        line_of(srcPort=25, score=0.5, files=["a.pdf", None, "b.doc"], isQuarantined=False)
    ).attributes

    assert read == {"srcPort": "25", "score": "0.5", "files": "a.pdf,b.doc", "isQuarantined": "false"}


def test_a_name_that_is_no_key_is_left_out_and_named() -> None:
    line, notes = encode({**HEADER, "bad key": "x", "x=y": "z", "ключ": "v", "cat": "detected"})

    assert parse(line).attributes == {"cat": "detected"}
    assert len(notes) == 3


def test_texts_are_cut_to_the_limits_of_the_standard() -> None:
    line, notes = encode({**HEADER, "usrName": "u" * 300, "subject": "s" * 5000, "alertId": "\\" * 5000})
    read = parse(line).attributes

    assert read["usrName"] == "u" * 252 + "..."
    assert read["subject"] == "s" * 3997 + "..."
    assert read["alertId"] == "/" * 4000
    assert notes[0] == "usrName cut from 300 to 255 characters"
    assert len(notes) == 3


def test_every_limit_of_the_standard_holds() -> None:
    fields = {item.name: "x" * 5000 for item in attributes().values() if item.name != "sev"}

    for key, text in parse(encode({**HEADER, **fields})[0]).attributes.items():
        assert len(text) == attributes()[key].max_length, key


LONG: dict[str, Any] = {
    "cat": "quarantined",
    "devTime": "2026-11-18T09:41:07.000Z",
    "sev": 8,
    "accountName": "a1",
    "src": "192.0.2.1",
    "resource": "<" + "m" * 90 + "@e.example>",
    "investigateId": "record-id",
    "alertId": "alert-id",
    "messageId": "<" + "m" * 90 + "@e.example>",
    "dispositionRaw": "MALICIOUS",
    "recipients": "a@corp.example,b@corp.example,c@corp.example",
    "subject": "päyroll \\ " * 40,
    "reasons": "first reason; second reason; third reason",
    "findings": "Finding [MALICIOUS 0.9] why",
    "cloudflareBrandNew": "something nobody knows",
    "cloudflareThreadId": "whole",
}
KEPT = {
    **{key: LONG[key] for key in ("cat", "accountName", "investigateId", "alertId", "dispositionRaw")},
    "cloudflareThreadId": "whole",
    "devTime": "Nov 18 2026 09:41:07.000 GMT",
    "devTimeFormat": "MMM dd yyyy HH:mm:ss.SSS z",
    "sev": "8",
}


@pytest.mark.parametrize("size", range(330, 1300, 7))
def test_a_line_that_is_too_long_is_shortened_field_by_field(size: int) -> None:
    """It stays readable, fits, and keeps identifiers and verdict whole."""
    line, notes = encode({**HEADER, **LONG}, max_bytes=size)
    read = parse(line).attributes

    assert len(line) <= size
    assert KEPT.items() <= read.items()
    assert gateway_fields(line) == escaping_fields(line) == read
    assert (len(line) == len(encode({**HEADER, **LONG})[0])) == (not notes)


def test_what_matters_least_goes_first() -> None:
    full = len(encode({**HEADER, **LONG})[0])
    _, notes = encode({**HEADER, **LONG}, max_bytes=full - 110)

    assert [note.split()[0] for note in notes] == ["cloudflareBrandNew", "findings", "reasons"]
    assert notes[-1].startswith("reasons cut from 41 to ")


def test_identifiers_and_verdict_stay_even_in_a_line_that_cannot_fit() -> None:
    """The output decides about such a line; a line without an id would be worse."""
    assert parse(encode({**HEADER, **LONG}, max_bytes=10)[0]).attributes == KEPT


def test_an_id_made_by_the_sender_cannot_crowd_out_the_verdict() -> None:
    line, _ = encode({**HEADER, **LONG, "messageId": "m" * 4000, "resource": "m" * 4000}, max_bytes=1000)

    assert len(line) <= 1000
    assert KEPT.items() <= parse(line).attributes.items()
