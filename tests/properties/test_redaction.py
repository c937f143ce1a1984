"""A redacted value appears nowhere in an event of any pack, however else the record repeats it."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.mapping import Library, Redact, build_mapper, compile_redaction
from connector.model import Revision
from connector.yaml_nodes import parse
from tests.support.examples import examples
from tests.unit.mapping.packs import revision

PACKS = {name: Library().load(name) for name in Library().names()}
WORDS = st.text("0123456789", min_size=5, max_size=9).map("zq{}".format)
NAMES = st.text("0123456789", min_size=5, max_size=9).map("xk{}".format)
TEXTS = WORDS | st.lists(WORDS, min_size=2, max_size=3).map(" ".join)
MAILBOXES = st.tuples(NAMES, NAMES).map(lambda pair: f"{pair[0]}@{pair[1]}.example")
HEADERS = MAILBOXES | st.tuples(NAMES, MAILBOXES).map(lambda pair: f'"{pair[0]}" <{pair[1]}>')
TEXT_FIELDS = (
    "subject",
    "from_name",
    "to_name",
    "detection_reasons",
    "findings.attachment",
    "findings.value",
)
MAIL_FIELDS = ("from", "to", "envelope_from", "envelope_to", "replyto", "client_recipients")
LISTS = frozenset({"to", "to_name", "envelope_to", "client_recipients", "detection_reasons"})
MODES = st.sampled_from(["drop", "hash"])

WRITINGS = st.sampled_from(
    [
        lambda text: text,
        str.upper,
        lambda text: f"<b>{text}</b>",
        lambda text: f"x: {text}, again {text}.",
        lambda text: text.replace(".", "[dot]").replace("@", "[at]"),
        lambda text: text.replace("@", "="),
        lambda text: f"https://a.example/?v={quote(text, safe='')}",
        lambda text: html.escape(text).replace("@", "&#64;"),
        lambda text: text.replace(" ", "\r\n "),
        lambda text: f"{text[:2]}<i>{text[2:]}</i>",
    ]
)
PLACES = st.sampled_from(
    ["subject", "detection_reasons", "from_name", "comment", "reason", "new", "link", "previous", "key"]
)


def record(values: dict[str, str], repeated: list[tuple[str, str]]) -> Revision:
    """A record with *values* in their fields, and texts *repeated* in other places."""
    body: dict[str, Any] = {
        "id": "r1",
        "final_disposition": "MALICIOUS",
        "findings": [{"name": "F", "score": 1}],
    }
    for name, value in values.items():
        if name.startswith("findings."):
            body["findings"][0][name.partition(".")[2]] = value
        else:
            body[name] = [value] if name in LISTS else value
    beside: dict[str, Any] = {"detections": {"links": []}, "trace": {"lines": []}}
    before: dict[str, Any] = {"is_quarantined": True}
    for place, text in repeated:
        repeat(place, text, body, beside, before)
    return revision(body, enrichment=beside, previous=before, number=2)


def repeat(
    place: str, text: str, body: dict[str, Any], beside: dict[str, Any], before: dict[str, Any]
) -> None:
    """Put *text* into one more place of a record, or of what stands beside it."""
    if place in {"subject", "from_name"}:
        body.setdefault(place, text)
    elif place == "comment":
        body["validation"] = {"comment": text}
    elif place == "reason":
        body["findings"][0]["reason"] = text
    elif place == "link":
        beside["detections"]["links"].append({"href": text})
    elif place == "previous":
        before["unknown_before"] = text
    elif place == "key":
        beside["trace"][f"<{text}>"] = 1
    else:
        beside["trace"]["lines"].append({"text": text})
        body.setdefault(place, []).append(text)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Revision, str, list[str]]:
    """A revision, the redaction as written, and the words of which none may be seen."""
    values = draw(
        st.dictionaries(st.sampled_from(TEXT_FIELDS), TEXTS, max_size=3).flatmap(
            lambda texts: st.dictionaries(st.sampled_from(MAIL_FIELDS), HEADERS, min_size=1, max_size=4).map(
                lambda mail: {**texts, **mail}
            )
        )
    )
    hidden = draw(st.lists(st.sampled_from(sorted(values)), min_size=1, unique=True))
    parts = [
        part for name in hidden for part in [values[name], *re.findall(r"[a-z0-9]+@[a-z0-9.]+", values[name])]
    ]
    writing = st.tuples(
        PLACES, st.tuples(WRITINGS, st.sampled_from(parts)).map(lambda pair: pair[0](pair[1]))
    )
    fields = ", ".join(f"{name}: {draw(MODES)}" for name in hidden)
    secret = [part for part in parts if "@" in part or len(part) > 4]
    return record(values, draw(st.lists(writing, max_size=6))), f"{{{fields}}}", secret


def traces(payload: bytes, secrets: list[str]) -> list[str]:
    """The *secrets* that can still be read, with whatever stands between their words and signs."""
    reported = re.sub(r"[^a-z0-9]+", "", html.unescape(payload.decode("utf-8")).casefold())
    return [text for text in secrets if re.sub("[^a-z0-9]+", "", text.casefold()) in reported]


class Switch:
    """Redacts by whatever is set; so that each pack is compiled once."""

    redact: Redact

    def __call__(self, revision: Revision) -> Revision:
        return self.redact(revision)


SWITCH = Switch()
MAPPERS = {name: build_mapper(pack, redact=SWITCH) for name, pack in PACKS.items()}


@settings(max_examples=examples(80), deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_a_redacted_value_appears_nowhere_in_the_event_of_any_pack(
    case: tuple[Revision, str, list[str]],
) -> None:
    one, fields, secrets = case
    SWITCH.redact = compile_redaction(parse(fields, "c.yaml"), "0123456789abcdef")

    for name, mapper in MAPPERS.items():
        event = mapper(one)
        assert event is not None
        assert traces(event.payload, secrets) == [], name
        assert traces("\n".join(event.notes).encode(), secrets) == [], name
        assert event.severity == 8, "the verdict stays"
