"""YAML whose values know their place."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.errors import ConfigurationError, Position
from connector.yaml_nodes import parse, suggestion, walk


def problem(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "f.yaml")
    return str(caught.value)


def test_every_value_and_key_knows_its_line_and_column() -> None:
    root = parse("outputs:\n  siem:\n    timeout: 3x\n    tags: [a, b]\n", "f.yaml")

    assert root.place(("outputs", "siem", "timeout")) == Position("f.yaml", 3, 5)
    assert root.place(("outputs", "siem", "tags", 1)) == Position("f.yaml", 4, 15)
    assert root.place(("outputs", "siem", "absent", "deeper")) == Position("f.yaml", 2, 3)
    assert [path for path, _ in walk(root)][-1] == ("outputs", "siem", "tags", 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("010", "010"),
        ("12:30", "12:30"),
        ("2026-01-31", "2026-01-31"),
        ("1e3", "1e3"),
        ("0x1f", "0x1f"),
        ("12", 12),
        ("-1.5", -1.5),
        ("true", True),
        ("~", None),
        ("'12'", "12"),
        ('"true"', "true"),
        ("|\n  12\n", "12\n"),
    ],
)
def test_only_plain_words_and_decimal_numbers_are_more_than_text(text: str, value: object) -> None:
    assert parse(f"a: {text}", "f").plain() == {"a": value}


def test_a_value_that_is_not_there_differs_from_null() -> None:
    root = parse("a:\nb: null\nc: ''", "f")
    assert isinstance(root.value, dict)

    assert [root.value[key].empty for key in "abc"] == [True, False, False]


def test_an_empty_document_is_an_empty_map() -> None:
    assert parse("# nothing\n", "f").plain() == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1: the key a appears twice (first at line 1)"),
        ("a: &x 1", "f.yaml:1:4: anchors and aliases are not supported (write the value out, or quote it)"),
        ("a: *x", "f.yaml:1:4: anchors and aliases are not supported (write the value out, or quote it)"),
        (
            "a: !!python/name:os.system",
            'f.yaml:1:4: tags are not supported (quote a text that starts with "!")',
        ),
        ("? [a]\n: b", "f.yaml:1:3: a key must be plain text"),
        ("a: 1\n---\nb: 2", "f.yaml:2:1: not YAML: but found another document"),
        ("a: 1\nb: \x07", "f.yaml:2:4: not YAML: the character U+0007 is not allowed"),
        ("a: \ud800", "f.yaml:1:4: not YAML: the character U+D800 is not allowed"),
        ("a: " + "9" * 5000, "f.yaml:1:4: the number is too large"),
        ("a: 1.0e999", "f.yaml:1:4: the number is too large"),
        ("[" * 100_000, "f.yaml:1:65: more than 64 levels of nesting"),
        ("a:\n\tb: 1", "indent with spaces, YAML knows no tabs"),
        ("a: {token: ${env:X}}", 'a reference must be quoted: "${env:NAME}"'),
        (
            "a: b: c",
            "f.yaml:1:5: not YAML: mapping values are not allowed in this context (quote a text that",
        ),
        ("a:\n  b: 1\n  c:2\n", "missing space after the colon"),
    ],
)
def test_what_is_refused_is_reported_with_its_position(text: str, expected: str) -> None:
    assert expected in problem(text)


@pytest.mark.parametrize(
    "text", ["a: !hunter2", "a: *hunter2", 'a: "\\hunter2"', "%hunter2 a", "a: hunter2: b"]
)
def test_a_password_that_is_no_yaml_is_not_repeated(text: str) -> None:
    assert "hunter2" not in problem(text)


def test_a_node_shows_no_value() -> None:
    assert "hunter2" not in repr(parse("a: hunter2", "f"))


def test_the_nearest_word_is_suggested_or_the_choice_where_it_is_small() -> None:
    assert suggestion("timout", ["timeout", "tls"]) == "did you mean timeout?"
    assert suggestion("x", ["timeout", "tls"]) == "known: timeout, tls"
    assert suggestion("x", []) == ""


@given(st.text(alphabet=st.sampled_from("ab:-[]{},#&*!|>'\"%@ \n\t${}~0129."), max_size=60))
@example("\ufeffa: 1")
@example("a: \u2028b")
def test_any_text_is_read_or_refused(text: str) -> None:
    places = [Position("f", 1, 1)]
    try:
        places = [node.position for _, node in walk(parse(text, "f"))]
    except ConfigurationError as error:
        places = [one.position or Position("", 0, 0) for one in error.problems]

    assert all(place.line >= 1 and place.column >= 1 for place in places)
