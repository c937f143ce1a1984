"""The closed set of functions: what each makes, what each loses, and that the manual lists them all."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.mapping.functions.registry import FUNCTIONS
from connector.mapping.functions.scalars import ip
from connector.mapping.functions.values import Losses
from tests.unit.mapping.packs import mapped, pack_of, value_of

MANUAL = Path(__file__).parents[3] / "docs" / "mapping.md"

CASES: list[tuple[str, object, object]] = [
    ("text", 5, "5"),
    ("text", [True, 0.5, "x"], ["true", "0.5", "x"]),
    ("text", {"a": None, "b": [1]}, '{"b":[1]}'),
    ("lower", "ÄB", "äb"),
    ("lower", 7, "7"),
    ("upper", ["a", ""], ["A"]),
    ("strip", "  a ", "a"),
    ("strip", "  ", None),
    ("strip_tags", "a <b>b</b><br/> c", "a b c"),
    ("strip_tags", "1 < 2 <me@x.example> <b", "1 < 2 <me@x.example> <b"),
    ("strip_tags", '<a href="x">y</a>', "y"),
    ("strip_brackets", "<a@b>", "a@b"),
    ("strip_brackets", " <a", "a"),
    ("strip_brackets", "<>", None),
    ("truncate: 3", "äöüß", "äöü"),
    ("truncate: 3", "ab", "ab"),
    ("prefix: 'p.'", ["a"], ["p.a"]),
    ("prefix: p", 1, "p1"),
    ("suffix: s", "a", "as"),
    ("quoted", 'IT "Help\\desk"', '"IT \\"Help\\\\desk\\""'),
    ("quoted", "a\r\nBcc: b\x00", '"a Bcc: b"'),
    ("quoted", "\x00", None),
    ("extension", "Invoice.PDF ", "pdf"),
    ("extension", "README", None),
    ("extension", "a.b/c", None),
    ("domain", "Me@Example.COM.", "example.com"),
    ("domain", '"a@b"@c.example', "c.example"),
    ("domain", "x", None),
    ("domain", 5, None),
    ("domain", "a@", None),
    ("integer", "42", 42),
    ("integer", 2.6, 3),
    ("integer", "2.4", 2),
    ("integer", 10**30, None),
    ("integer", True, None),
    ("number", "1e3", 1000.0),
    ("number", "1_0", None),
    ("number", "nan", None),
    ("number", 3, 3),
    ("boolean", " True", True),
    ("boolean", False, False),
    ("boolean", 1, None),
    ("date", "2026-11-18T09:41:07Z", "2026-11-18T09:41:07.000Z"),
    ("date", "2019-11-20 23:22:01", "2019-11-20T23:22:01.000Z"),
    ("date", "2026-11-18T10:41:07.123456+01:00", "2026-11-18T09:41:07.123Z"),
    ("date", "2026-W47-3T09:41:07Z", "2026-11-18T09:41:07.000Z"),
    ("date", "20261118T094107.123Z", "2026-11-18T09:41:07.123Z"),
    ("date", "2026-13-18T09:41:07Z", None),
    ("date", "soon", None),
    ("date", 1574292121, None),
    ("date", "0001-01-01T00:00:00+14:00", None),
    ("date", "2026-11-18t09:41:07z", "2026-11-18T09:41:07.000Z"),
    ("epoch_ms", "2026-11-18T09:41:07Z", 1794994867000),
    ("epoch_ms", "1969-12-31T23:59:59.999Z", None),
    ("epoch_ms", 1794994867000, 1794994867000),
    ("epoch_ms", 0, None),
    ("epoch_s", "0001-01-01T00:00:00Z", None),
    ("date", "0001-01-01T00:00:00Z", None),
    ("date", "1970-01-01T00:00:00Z", None),
    ("date", "9999-12-31T23:59:59Z", None),
    ("date", "2100-01-01", None),
    ("date", "1999-12-31T23:59:59Z", "1999-12-31T23:59:59.000Z"),
    ("verdict", " malicious-bec ", "MALICIOUS-BEC"),
    ("verdict", "quishing", "QUISHING"),
    ("verdict", " ", None),
    ("epoch_ms", "x", None),
    ("epoch_s", "2026-11-18T09:41:07.250Z", 1794994867.25),
    ("epoch_s", "2026-11-18T09:41:07Z", 1794994867),
    ("epoch_s", 5, None),
    ("ip", "2001:db8::1", "2001:db8::1"),
    ("ip", "1.2.3", None),
    ("ip", "fe80::1%eth0", None),
    ("ip", "[203.0.113.77]", "203.0.113.77"),
    ("ip", "IPv6:2001:db8::7", "2001:db8::7"),
    ("ip", "[IPv6:2001:DB8:0:0::7]", "2001:db8::7"),
    ("ip", "::ffff:203.0.113.77", "203.0.113.77"),
    ("ip", ["2001:DB8:0::1", "2001:db8::1"], ["2001:db8::1", "2001:db8::1"]),
    ("ip", "IPv6:203.0.113.77", None),
    ("ip", "[" * 1_000_000, None),
    ("ipv4", "::ffff:203.0.113.77", "203.0.113.77"),
    ("ip", "1.2.3.04", None),
    ("ipv4", ["1.2.3.4", "::1"], ["1.2.3.4"]),
    ("ipv6", ["1.2.3.4", "::1"], ["::1"]),
    ("table: t", "a", "A"),
    ("table: t", [True, "zzz"], ["yes", "other"]),
    ("table: strict", "zzz", None),
    ("addresses", "a@b.example", ["a@b.example"]),
    ("mailbox", ["a@b.example", "jürgen@bücher.example", "root@localhost"], ["a@b.example"]),
    ("unique", ["b", "a", "b"], ["b", "a"]),
    ("unique", [1, True, 1, {"a": 1}, {"a": 1}], [1, True, {"a": 1}]),
    ("unique", "a", "a"),
    ("first", ["a", "b"], "a"),
    ("first", "a", "a"),
    ("last", ["a", "b"], "b"),
    ("count", ["a", None], 1),
    ("count", "a", 1),
    ("count", [], None),
    ("max", [1, 2.5, "9", True], 2.5),
    ("max", "a", None),
    ("min", [3, 1], 1),
    ("max", [float("inf")], None),
    (
        "max_by: score",
        [{"score": 1, "n": 1}, {"score": 3, "n": 2}, {"score": 3, "n": 3}, "x"],
        {"score": 3, "n": 2},
    ),
    ("max_by: score", [{"score": None}], None),
    ("join: ', '", ["a", 1, True, {"x": "y", "z": 2}], "a, 1, true, y 2"),
    ("join: ','", "abc", "abc"),
    ("join: ','", ["a", "b"], "a,b"),
    ("pick: {n: 2}", [{"n": 1}, {"n": 2, "x": 1}, {"n": 2}], {"n": 2, "x": 1}),
    ("pick: {n: 5}", [{"n": 1}], None),
    ("only: {n: {exists: true}}", [{"n": 1}, {"m": 1}], [{"n": 1}]),
    ("only: [a, b]", ["c", "b", "a"], ["b", "a"]),
    ("only: {gte: 2}", [1, 2, 3], [2, 3]),
    ("only: {.: x}", ["x", "y"], ["x"]),
    ("each: {k: n}", [{"n": 1}, {"m": 1}, 5], [{"k": 1}]),
    ("each: {k: .}", "a", [{"k": "a"}]),
]


@pytest.mark.parametrize(("call", "given_value", "expected"), CASES)
def test_a_function_makes_what_the_manual_says(
    tmp_path: Path, call: str, given_value: object, expected: object
) -> None:
    function = f"{{{call}}}" if ":" in call else call
    tables = "tables: {t: {a: A, 'true': yes, '*': other}, strict: {a: A}}\n"
    pack = pack_of(tmp_path, f"{tables}fields: {{out: {{from: x, as: {function}}}}}\n")

    made = mapped(pack, {"x": given_value}).document.get("out")

    assert (made, type(made)) == (expected, type(expected))


def test_every_function_is_tried_here() -> None:
    assert {call.split(":")[0] for call, _, _ in CASES} == set(FUNCTIONS)


def test_the_manual_lists_every_function_with_what_it_does() -> None:
    section = MANUAL.read_text("utf-8").split("\n## Functions\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z0-9_]+)(: [^`]+)?` \| ([^|]+) \|", section, re.MULTILINE)
    listed = {name: (bool(argument), does.strip().replace("`", "")) for name, argument, does in rows}

    assert listed == {name: (row.argument_kind != "nothing", row.summary) for name, row in FUNCTIONS.items()}


def test_functions_follow_one_another(tmp_path: Path) -> None:
    rule = '{from: x, as: [addresses, domain, unique, {join: " "}, upper]}'

    assert (
        value_of(tmp_path, rule, {"x": ["a@b.example", "c@B.example", "d@e.example"]})
        == "B.EXAMPLE E.EXAMPLE"
    )


@given(st.one_of(st.from_regex(r"[0-9a-f:.%]{1,40}"), st.ip_addresses().map(str), st.text()))
def test_an_ip_address_is_valid_exactly_where_the_standard_library_says_so(text: str) -> None:
    lost: Losses = []

    found = ip(text, lost)

    assert (found is not None) is valid(text)
    assert bool(lost) is (found != text)  # another spelling, such as 0::, is noted, too


def valid(text: str) -> bool:
    """What the standard library says; zones are no part of an address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text
