"""Text of a mail where people read it: no mention, no markup, no link, one line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.formats.escaping import Escaping, defanged, escape, one_line
from tests.support.examples import examples

KINDS: tuple[Escaping, ...] = ("plain", "slack", "markdown", "html", "none")
HOSTILE = st.text(
    alphabet=st.one_of(
        st.sampled_from("ht ps:/\\.@#<>&*_~`[]()!|-+=\"'a1\r\n\u202e\u2028。é"), st.characters()
    ),
    max_size=60,
)


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("see http://evil.example/a.b?c=d.e", "see hxxp://evil[.]example/a[.]b?c=d[.]e"),
        ("HTTPS://Evil.Example", "HxxPS://Evil[.]Example"),
        ("http:evil", "hxxp:evil"),
        ("éhttp://localhost/", "éhxxp://localhost/"),
        ("ftp://x ssh:\\\\y", "ftp[:]//x ssh[:][\\\\]y"),
        ("mailto:a javascript:alert(1) data: no", "mailto[:]a javascript[:]alert(1) data: no"),
        ("bob.b@mail.evil.example", "bob[.]b@mail[.]evil[.]example"),
        ("10.1.2.3 and 10.1.2.3:80", "10[.]1[.]2[.]3 and 10[.]1[.]2[.]3:80"),
        ("evil。example", "evil[.]example"),
        ("\\\\server\\share", "[\\\\]server\\share"),
        ("costs 3.50, v1.2. Really. 24.12.2026", "costs 3.50, v1.2. Really. 24.12.2026"),
        ("Re: hello, 12:30:45", "Re: hello, 12:30:45"),
        ("127.0.0[dot]186", "127.0.0[dot]186"),
    ],
)
def test_links_are_broken_and_nothing_else_is(text: str, harmless: str) -> None:
    assert defanged(text) == harmless


@given(HOSTILE)
@settings(max_examples=examples(150))
def test_breaking_links_twice_is_breaking_them_once(text: str) -> None:
    assert defanged(defanged(text)) == defanged(text)


@given(HOSTILE)
@settings(max_examples=examples(150))
def test_no_web_address_is_left(text: str) -> None:
    assert not re.search(r"https?:\S|\w\.[^\W\d_]", defanged(text), re.IGNORECASE)


@pytest.mark.parametrize(
    ("kind", "text", "harmless"),
    [
        ("plain", "a\r\nb\u2028c\u202ed\x1b[0m", "a b cd [0m"),
        ("slack", "<!channel> & <@U1|x>", "&lt;!channel&gt; &amp; &lt;@\u200bU1|x&gt;"),
        ("slack", "@here #news a@b #1", "@\u200bhere #\u200bnews a@b #\u200b1"),
        ("slack", "end.@here", "end.@\u200bhere"),
        ("markdown", "_@all", r"\_@" + "\u200ball"),
        (
            "slack",
            "*b* _i_ ~s~ `c` first_last 2*3",
            "\u2217b\u2217 \uff3fi\uff3f \u223cs\u223c \u02cbc\u02cb first_last 2*3",
        ),
        ("slack", "> quoted", "\u200b&gt; quoted"),
        ("slack", "at 12:30:45 :smile: :+1: :100:", "at 12:30:45 :\u200bsmile: :\u200b+1: :\u200b100:"),
        ("markdown", "[a](b) ![c](d) *e* _f_ `g`", r"\[a\]\(b\) \!\[c\]\(d\) \*e\* \_f\_ \`g\`"),
        ("markdown", "# head", r"\# head"),
        ("markdown", "- item", r"\- item"),
        ("markdown", "12. item", r"12\. item"),
        ("markdown", "> quote <b>&#64;", "&gt; quote &lt;b&gt;&amp;#\u200b64;"),
        ("html", "<img src=\"x\" onerror='y'>&", "&lt;img src=&quot;x&quot; onerror=&#x27;y&#x27;&gt;&amp;"),
        ("none", "a\nb <i>", "a\nb <i>"),
    ],
)
def test_markup_of_its_place_is_taken_out(kind: Escaping, text: str, harmless: str) -> None:
    assert escape(kind, defang=False)(text) == harmless


@given(HOSTILE)
@settings(max_examples=examples(150))
def test_text_for_slack_holds_nothing_that_slack_acts_on(text: str) -> None:
    made = escape("slack")(text)
    assert not re.search(r"[<>`]|&(?!amp;|lt;|gt;)", made)
    assert not re.search(r"(?<![^\W_])[@#]\w", made)
    assert not re.search(r"(?<![^\W_])[*_~][^\s*_~]", made)


@given(HOSTILE)
@settings(max_examples=examples(150))
def test_text_for_markdown_keeps_no_bare_mark(text: str) -> None:
    made = escape("markdown")(text)
    assert not re.search(r"[`*_\[\]()|~<>!]", re.sub(r"\\[\\`*_{}\[\]()|~!$^]", "", made))


@given(HOSTILE, st.sampled_from([kind for kind in KINDS if kind != "none"]))
@settings(max_examples=examples(150))
def test_everything_but_none_stays_on_one_line(text: str, kind: Escaping) -> None:
    assert one_line(escape(kind)(text)) == escape(kind)(text)


@pytest.mark.parametrize("kind", ["slack", "markdown"])
@pytest.mark.parametrize("piece", ["a.", ":a", "http:", "1.1", "@#*", "\\\\a", "aaaa", ":::", "&<"])
def test_a_long_text_costs_no_more_than_its_length(kind: Escaping, piece: str) -> None:
    """Would not end within a test's patience if an expression looked back and forth."""
    assert escape(kind)(piece * (50_000 // len(piece)))


@pytest.mark.parametrize(
    "constant",
    [
        "email.malicious",
        "email.malicious-bec",
        "email.none",
        "connector.heartbeat",
        "cloudflare.email_security",
        f"https://one.dash.cloudflare.com/{'0a' * 16}/email-security/investigation",
    ],
)
def test_constants_of_the_connector_are_not_defanged(constant: str) -> None:
    for text in (constant, f"Class {constant}, see", f"({constant})", f"{constant}."):
        assert escape("plain")(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "email.malicious.example",
        "www.email.malicious",
        "https://email.malicious/x",
        "a@email.spam",
        "email.support",
        f"https://one.dash.cloudflare.com/{'0a' * 16}/email-security/investigation/../x",
        f"https://one.dash.cloudflare.com.evil.example/{'0a' * 16}/email-security/investigation",
        f"https://one.dash.cloudflare.com/{'0a' * 16}/email-security/investigation?x",
    ],
)
def test_what_only_looks_like_a_constant_is_defanged(text: str) -> None:
    assert text not in escape("plain")(text)
