"""Syslog headers: readable by a strict parser, whatever the event is called and wherever it comes from."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.formats.syslog import FACILITIES, Origin, clean, rfc3164, rfc5424, severity

SEEN = datetime(2026, 3, 7, 9, 5, 4, 123456, tzinfo=UTC)
HERE = Origin(FACILITIES["local0"], "connector-1", "cf-email-security")

# RFC 5424 section 6, as a grammar: PRI without leading zeros, fields of printable ASCII with their lengths.
STRICT = re.compile(
    rb"<(0|[1-9][0-9]{0,2})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) "
    rb"([!-~]{1,255}) ([!-~]{1,48}) - ([!-~]{1,32}) - "
)


def test_header_of_rfc5424_reads_as_the_standard_says() -> None:
    header = rfc5424(HERE, 8, SEEN, "email.malicious")
    assert header == (
        b"<131>1 2026-03-07T09:05:04.123456Z connector-1 cf-email-security - email.malicious - "
    )


def test_header_of_rfc3164_pads_the_day_and_names_the_program() -> None:
    assert rfc3164(HERE, 5, SEEN, "ignored") == b"<132>Mar  7 09:05:04 connector-1 cf-email-security: "


def test_rfc3164_without_tag_lets_the_payload_be_the_tag() -> None:
    bare = Origin(16, "h", "app", tag=False)
    assert rfc3164(bare, 0, SEEN, "") + b"CEF:0|" == b"<134>Mar  7 09:05:04 h CEF:0|"


def test_a_tag_cannot_end_itself_early() -> None:
    assert rfc3164(Origin(16, "h", "a: b[1]"), 0, SEEN, "").endswith(b" h ab1: ")


def test_time_of_another_zone_is_reported_in_utc() -> None:
    elsewhere = SEEN.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert rfc5424(HERE, 8, elsewhere, "x") == rfc5424(HERE, 8, SEEN, "x")
    assert rfc3164(HERE, 8, elsewhere, "x") == rfc3164(HERE, 8, SEEN, "x")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(10, 2), (8, 3), (7, 3), (5, 4), (3, 5), (2, 6), (1, 6), (0, 6), (-5, 6), (99, 2)],
)
def test_severity_of_an_event_in_syslog(number: int, expected: int) -> None:
    assert severity(number) == expected


def test_a_more_severe_event_is_never_less_urgent() -> None:
    levels = [severity(number) for number in range(11)]
    assert levels == sorted(levels, reverse=True)


@given(
    host=st.text(),
    app=st.text(),
    code=st.text(),
    number=st.integers(),
    facility=st.sampled_from([*FACILITIES.values()]),
)
def test_no_text_can_break_out_of_its_field(
    host: str, app: str, code: str, number: int, facility: int
) -> None:
    origin = Origin(facility, host, app)
    found = STRICT.fullmatch(rfc5424(origin, number, SEEN, code))
    assert found
    assert int(found[1]) == facility * 8 + severity(number)
    old = rfc3164(origin, number, SEEN, code)
    assert re.fullmatch(rb"<\d{1,3}>Mar  7 09:05:04 [!-~]{1,255} [!-9;-Z\\^-~]{1,32}: ", old)


def test_a_field_without_a_usable_letter_is_nil() -> None:
    assert clean("  \n\u2028é", 10) == "-"
