"""No text of a mail does anything to the terminal that shows it."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.cli.terminal import escape_controls, sanitize
from connector.simulator.mail import hostile

ANY = st.text(alphabet=st.characters(codec=None, exclude_categories=()), max_size=60)


@given(ANY)
@example("\x1b[2J\x1b]8;;http://evil.example\x07")
@example("invoice\u202efdp.exe")
@example("half \ud83d")
def test_a_cell_is_one_line_of_visible_characters(text: str) -> None:
    shown = sanitize(text)

    assert shown.isprintable()
    assert not re.search("[A-Za-z0-9]://", shown)
    assert shown.encode().decode() == shown


@pytest.mark.parametrize("text", [*hostile.TEXTS, *hostile.SURROGATES, *hostile.ADDRESSES])
def test_every_hostile_text_of_the_simulator_becomes_one_short_line(text: str) -> None:
    shown = sanitize(text)

    assert shown.isprintable()
    assert len(shown) < 10 * 401


def test_ordinary_text_of_any_script_stays_as_it_is() -> None:
    for text in (
        "Rechnung März",
        "عرض السعر المحدث",
        "請求書",
        "Дешёвые часы",
        "कीमत",
        "a|b=c\\d [bold]x[/]",
    ):
        assert sanitize(text) == text


def test_what_would_hide_or_reorder_is_spelled_out() -> None:
    assert sanitize("invoice\u202efdp.exe") == "invoice\\u202efdp.exe"
    assert sanitize("a\r\nb\tc") == "a\\r\\nb\\tc"
    assert sanitize("no\u00a0break\u3000wide") == "no break wide"


def test_no_terminal_makes_a_link_of_it() -> None:
    assert sanitize("see http://evil.example or WWW.evil.example") == (
        "see http[://]evil.example or WWW[.]evil.example"
    )


def test_a_tower_of_accents_ends_after_three() -> None:
    assert sanitize("e" + "\u0301" * 5) == "e" + "\u0301" * 3 + "\\u0301" * 2


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=30), max_size=4))
def test_json_on_a_terminal_is_the_same_json(document: dict[str, str]) -> None:
    """Escaped, every value still reads the same; and nothing steers the terminal."""
    line = json.dumps(document, ensure_ascii=False)

    shown = escape_controls(line + "\n")

    assert json.loads(shown) == document
    assert all(letter.isprintable() or letter.isspace() for letter in shown)
    assert not set(shown) & set("\x1b\x9b\x07\u202e\u2066\u2028")
