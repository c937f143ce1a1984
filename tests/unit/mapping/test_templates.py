"""Bodies of web hooks: templates of a revision and its mapped document, checked where they were written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from connector.errors import ConfigurationError
from connector.formats.escaping import escape
from connector.mapping import Library, body_warnings, build_mapper, compile_body
from connector.mapping.templates import MAX_INSERTED
from connector.secret import Reference
from connector.yaml_nodes import Node, parse
from tests.unit.mapping.packs import revision

PACK = Library().load("ecs")


def rendered(text: str, body: Mapping[str, Any], document: dict[str, Any] | None = None, **more: Any) -> Any:
    render = compile_body(parse(text, "connector.yaml"), PACK, **more)
    return render(revision({"id": "r1", **body}), document or {})[0]


def test_a_lone_reference_keeps_its_kind_and_other_values_stay_as_written() -> None:
    assert rendered(
        'a: "{n}"\nb: "{yes}"\nc: "{list}"\nd: "{map}"\ne: "{$severity}"\nf: 5\ng: null\nh: [true, "x"]',
        {"n": 7, "yes": True, "list": ["x", 1], "map": {"k": "v"}, "final_disposition": "MALICIOUS"},
    ) == {
        "a": 7, "b": True, "c": ["x", 1], "d": {"k": "v"}, "e": 8, "f": 5, "g": None, "h": [True, "x"]
    }  # fmt: skip


def test_what_has_no_value_is_left_out_or_empty_among_text() -> None:
    assert rendered('a: "{absent}"\nb: ["{absent}", x]\nc: "[{absent}]"', {"absent": ""}) == {
        "b": ["x"],
        "c": "[]",
    }


def test_the_document_is_given_on_as_it_is_and_everything_else_is_escaped() -> None:
    body = {"subject": "<b>", "to": ["<x>"], "deep": {"<key>": "<v>"}}
    made = rendered(
        'doc: "{$event}"\npart: "{$event.email.subject}"\ninside: "see {$event.email.subject}"\n'
        'subject: "{subject}"\nto: "{to}"\ndeep: "{deep}"',
        body,
        {"email": {"subject": "<raw>"}},
        escape=escape("html"),
    )
    assert made == {
        "doc": {"email": {"subject": "<raw>"}},
        "part": "<raw>",
        "inside": "see &lt;raw&gt;",
        "subject": "&lt;b&gt;",
        "to": ["&lt;x&gt;"],
        "deep": {"<key>": "&lt;v&gt;"},
    }


def test_text_of_a_mail_is_no_template() -> None:
    assert rendered('text: "{subject}!"', {"subject": "{id} {{x}} {$event}"}) == {
        "text": "{id} {{x}} {$event}!"
    }


@pytest.mark.parametrize("kind", ["plain", "slack", "markdown", "html", "none"])
@pytest.mark.parametrize(
    "text", ["&" * 1_000_000, "a.b" * 1_000_000, "<" * MAX_INSERTED, "x" * (MAX_INSERTED + 1)]
)
def test_one_value_cannot_make_a_text_too_long(kind: Any, text: str) -> None:
    made = rendered('text: "{$disposition}: {subject}"', {"subject": text}, escape=escape(kind))
    shown = made["text"].removeprefix("UNKNOWN: ")
    assert len(shown) <= MAX_INSERTED
    assert shown.endswith("...") or kind in {"none", "plain"}
    assert "&" not in shown.replace("&amp;", "").replace("&lt;", "") or kind in {"none", "plain"}


def test_what_is_cut_is_noted_by_its_name() -> None:
    template = parse('a: "{subject}!"\nb: "{subject}?"\nc: "{$senders}."\nd: "{subject}"', "connector.yaml")
    render = compile_body(template, PACK)
    body = {"id": "r1", "subject": "x" * 1000, "from": "short@corp.example"}
    event = build_mapper(PACK, render=render)(revision(body))
    assert event is not None
    assert [note for note in event.notes if "cut" in note] == [
        "subject cut from 1000 to 400 characters: it is part of other text"
    ]


def test_a_long_list_loses_whole_items() -> None:
    people = [f"user{n}@corp.example" for n in range(1000)]
    made = rendered('text: "to {to}"', {"to": people})["text"]
    assert len(made) <= MAX_INSERTED + 3
    shown, _, rest = made.removeprefix("to ").partition("...")
    assert shown.split(",") == people[: len(shown.split(","))]
    assert rest == f"(+{1000 - len(shown.split(','))})"


def test_a_secret_of_a_body_is_taken_as_it_is() -> None:
    node = parse('key: "${file:/run/secrets/key}"\ntext: "${env:SITE}: {subject}"', "connector.yaml")
    assert isinstance(node.value, dict)
    key, text = node.value["key"], node.value["text"]
    children = {
        "key": Node(Reference(lambda: "{id}", "${file:/run/secrets/key}"), key.position),
        "text": Node(Reference(lambda: "lab: {subject}", "${env:SITE}: {subject}"), text.position),
    }
    render = compile_body(Node(children, node.position, node.keys), PACK, escape=escape("html"))
    made, _ = render(revision({"id": "r1", "subject": "<hi>"}), {})
    assert made == {"key": "{id}", "text": "lab: &lt;hi&gt;"}


def test_everything_that_is_wrong_is_reported_with_its_position() -> None:
    written = (
        'a: "{$sevrity}"\n'
        "b:\n"
        '  - "{subject"\n'
        '  - "{$event.email.sbject}"\n'
        'c: "{$account.nme} {$event.cloudflare.email_security.anything}"\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        compile_body(parse(written, "connector.yaml"), PACK)
    reported = sorted(str(problem) for problem in caught.value.problems)
    assert reported == [
        "connector.yaml:1:4: there is no $sevrity (did you mean $severity?)",
        "connector.yaml:3:5: a single { in a template (write {{ for the character)",
        "connector.yaml:4:5: the mapping ecs has no field email.sbject (did you mean $event.email.subject?)",
        "connector.yaml:5:4: there is no $account.nme (did you mean $account.name?)",
    ]


def test_the_document_as_text_is_for_collectors_that_take_a_line() -> None:
    made = rendered('line: "{$event_json}"', {"subject": "<b>"}, {"email": {"subject": "<raw>"}, "n": 1})

    assert made == {"line": '{"email":{"subject":"<raw>"},"n":1}'}
    with pytest.raises(ConfigurationError, match=r"\$event_json is a text and has no fields"):
        compile_body(parse('a: "{$event_json.email}"', "connector.yaml"), PACK)


def test_a_field_that_the_api_is_not_known_to_send_deserves_a_look() -> None:
    [note] = body_warnings(parse('a: "{subjct}"\nb: "{subject} {findings.name}"\nc: 5', "connector.yaml"))
    assert str(note).startswith("connector.yaml:1:4: the API documents no record field subjct")
    assert "subject" in note.hint


def test_a_mapper_with_a_body_makes_it_the_payload() -> None:
    render = compile_body(parse('text: "{subject}"\nid: "{$event.event.id}"', "connector.yaml"), PACK)
    event = build_mapper(PACK, render=render)(revision({"id": "r1", "subject": "half \ud83d"}))
    assert event is not None
    assert event.payload == '{"text":"half \ufffd","id":"r1"}'.encode()
    assert event.severity == 1
