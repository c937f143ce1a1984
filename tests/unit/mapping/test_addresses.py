"""Addresses out of header text that its author controls."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.mapping.functions.addresses import NOT_AN_ADDRESS, addresses
from connector.mapping.functions.values import Losses
from tests.support.sampling import sampled


@pytest.mark.parametrize(
    ("header", "expected", "reasons"),
    [
        ("it-support@example.net", ["it-support@example.net"], []),
        ("It-Support@Example.NET", ["It-Support@example.net"], []),
        ("<a@b.example>", ["a@b.example"], []),
        ('"IT, Support" <a@B.example>', ["a@b.example"], [""]),
        ("a@b.example, C <c@d.example>", ["a@b.example", "c@d.example"], [""]),
        ("staff: a@b.example, c@d.example;", ["a@b.example", "c@d.example"], [""]),
        ("a@b.example\r\nBcc: c@d.example", ["a@b.example", "c@d.example"], [""]),
        ("<>", None, [""]),
        ("", None, [""]),
        ("undisclosed-recipients:;", None, [NOT_AN_ADDRESS]),
        ("not an address", None, [NOT_AN_ADDRESS]),
        ("@b.example", None, [NOT_AN_ADDRESS]),
        ("a@", None, [NOT_AN_ADDRESS]),
        # What stands before the angle brackets is the display name, whatever it looks like.
        ("boss@corp.example <evil@evil.example>", ["evil@evil.example"], [""]),
        ("Boss <boss@corp.example> <evil@evil.example>", ["evil@evil.example"], [""]),
        ("Boss (boss@corp.example) <evil@evil.example>", ["evil@evil.example"], [""]),
        ('"boss@corp.example" evil@evil.example', ["evil@evil.example"], [""]),
        (
            "boss@corp.example:evil <evil@evil.example>, b@c.example",
            ["evil@evil.example", "b@c.example"],
            [""],
        ),
        ("<@relay.example,@other.example:a@b.example>", ["a@b.example"], [""]),
        ('"an open quote <a@b.example>', ["a@b.example"], [""]),
        ("(an open comment <a@b.example>", ["a@b.example"], [""]),
        ("<a@b.example", ["a@b.example"], []),
        ("a @ b.example", ["a@b.example"], [""]),
        ("a@[IPv6:2001:db8::1]", ["a@[ipv6:2001:db8::1]"], []),
        ("jürgen@bücher.example", ["jürgen@bücher.example"], []),
        ('"odd name"@b.example', None, [NOT_AN_ADDRESS]),
        ("((((((" * 2000, None, [NOT_AN_ADDRESS]),
        ("a@b," * 30_000, None, [NOT_AN_ADDRESS]),
        ("\ud83d@b.example", None, [NOT_AN_ADDRESS]),
        (["a@b.example", "x", "c@d.example"], ["a@b.example", "c@d.example"], [NOT_AN_ADDRESS]),
        (5, None, [NOT_AN_ADDRESS]),
        ([{"a": 1}], None, [NOT_AN_ADDRESS]),
    ],
)
def test_addresses_are_bare_and_what_holds_none_is_reported(
    header: object, expected: object, reasons: list[str]
) -> None:
    lost: Losses = []

    made = addresses(header, lost)

    assert (made, [reason for reason, _ in lost]) == (expected, reasons)


@given(st.text(alphabet=st.sampled_from('ab@.,<>()[]":;\\ \r\n\x00é\ud83d'), max_size=60))
def test_no_text_makes_an_address_that_could_pass_for_two_or_end_a_line(text: str) -> None:
    for address in addresses(text, []) or []:
        assert address.count("@") == 1
        assert not set(address) & set(" ,;<>\r\n\x00")


@pytest.mark.parametrize(
    "unit",
    sampled(
        [
            "a@",
            "at",
            ";",
            ",",
            '"',
            "(",
            ")",
            "<",
            ">",
            "[",
            ":",
            "\\",
            '"\\"',
            "(\\",
            "a@b:",
            "<a@",
            "(a",
            "<a@b>,",
            "@ ",
        ],
        3,
    ),
)
def test_time_grows_no_faster_than_the_length_of_a_hostile_header(unit: str) -> None:
    """Four times the length takes four times the processor time; quadratic growth would take sixteen."""
    short, long = (_processor_time((unit * length)[:length]) for length in (15_000, 60_000))

    assert long < 9 * short + 0.02


def _processor_time(header: str) -> float:
    """The least of some runs, in seconds: other processes of the machine do not count."""
    runs = []
    for _ in range(5):
        start = time.process_time()
        addresses(header, [])
        runs.append(time.process_time() - start)
    return min(runs)
