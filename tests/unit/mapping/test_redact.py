"""What a person keeps from an output: gone from its field and from every other text, and nothing else."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from connector.errors import ConfigurationError
from connector.mapping import compile_redaction
from connector.model import Revision
from connector.yaml_nodes import parse
from tests.unit.mapping.packs import revision

KEY = "0123456789abcdef"
ALICE = "alice@corp.example"


def redacted(fields: str, body: dict[str, Any], key: str | None = KEY, **more: Any) -> Revision:
    return compile_redaction(parse(fields, "connector.yaml"), key)(revision({"id": "r1", **body}, **more))


def body_of(fields: str, body: dict[str, Any], key: str | None = KEY) -> dict[str, Any]:
    return dict(redacted(fields, body, key).record.body)


def test_a_dropped_field_is_gone_and_the_rest_stays() -> None:
    validation = {"spf": "fail", "comment": "x1y2"}
    body = {"subject": "Payroll", "from": "a@b.example", "validation": validation, "n": 1.5}
    made = body_of("{subject: drop, validation.comment: drop}", body)

    assert made == {"id": "r1", "from": "a@b.example", "validation": {"spf": "fail"}, "n": 1.5}


def test_a_hash_is_the_same_for_the_same_value_and_another_with_another_key() -> None:
    first, again, other = (
        body_of("subject: hash", {"subject": "Pay"}, key)["subject"] for key in (KEY, KEY, KEY + "x")
    )

    assert first == again != other
    assert len(first) == 24


def test_the_hash_of_an_address_is_an_address_and_keeps_mailboxes_of_one_domain_together() -> None:
    made = body_of("{to: hash, from: hash}", {
        "from": '"Boss, Big" <bob@Corp.example>', "to": [ALICE, "ALICE@corp.example", "carl@other.example"],
    })  # fmt: skip
    alice, shouting, carl = made["to"]

    assert alice == shouting != carl
    assert alice.endswith(".invalid")
    assert alice.split("@")[1] == made["from"].split("@")[1] != carl.split("@")[1]
    assert alice.split("@")[0] != made["from"].split("@")[0]


def test_the_hash_of_an_ip_address_is_one_of_the_range_for_documentation() -> None:
    made = body_of("x_originating_ip: hash", {"x_originating_ip": "203.0.113.9"})["x_originating_ip"]

    assert ip_address(made) in ip_network("2001:db8::/32")


WRITINGS = [
    ALICE,
    "Alice@Corp.Example",
    f"mail for {ALICE}, urgent",
    "alice@corp[.]example",
    "alice[at]corp[dot]example",
    "https://x.example/?u=alice%40corp.example&v=1",
    "bounce-alice=corp.example@list.example",
    "<b>alice</b>@corp.example clicked",
    "alice&#64;corp.example",
    "https://x.example/?next=https%3A%2F%2Fy.example%2F%3Fu%3Dalice%2540corp.example",
    "alice @ corp.example",
    "al\u200bice@corp.\u00adexample",
    "\uff41lice@corp.example",
]


@pytest.mark.parametrize("text", WRITINGS)
def test_a_value_is_cut_out_of_other_texts_however_it_is_written(text: str) -> None:
    body = {"to": [ALICE], "detection_reasons": [text], "new": {"deep": [{text: text}]}}
    made = body_of("to: drop", body)
    reported = str(made).casefold()

    assert "alice" not in reported.replace("\u200b", "").replace("\u00ad", "")
    assert "\uff41" not in reported
    assert "[redacted]" in made["detection_reasons"][0]


@pytest.mark.parametrize("query", ["Payroll+Q3", "payroll%20q3", "Payroll%2BQ3", "Payroll+%20Q3"])
def test_a_text_of_several_words_is_found_in_the_query_of_a_link(query: str) -> None:
    made = body_of("subject: drop", {"subject": "Payroll Q3", "links": [f"https://x.example/?s={query}&n=1"]})
    assert "q3" not in str(made).casefold()

    kept = {"subject": "C++", "links": ["https://x.example/?s=C+and+D", "plan c is on"]}
    assert body_of("subject: drop", kept)["links"] == kept["links"]


def test_a_link_is_found_defanged_or_not() -> None:
    value = "hxxp://a[.]b/secret"
    body = {
        "findings": [{"value": value}],
        "detection_reasons": [f"saw {value} there", "saw http://a.b/secret there"],
    }

    assert body_of("findings.value: drop", body)["detection_reasons"] == ["saw [redacted] there"] * 2


def test_what_stands_around_a_value_is_kept() -> None:
    made = body_of("to: hash", {"to": [ALICE], "detection_reasons": [f"seen <b>{ALICE}</b> twice"]})

    assert made["detection_reasons"] == [f"seen <b>{made['to'][0]}</b> twice"]


def test_the_same_mailbox_is_hashed_in_every_field_that_names_it() -> None:
    made = body_of(
        "to: hash", {"to": [f"Alice Doe <{ALICE}>"], "envelope_to": [ALICE], "to_name": ["Alice Doe"]}
    )

    assert made["to"] == made["envelope_to"]
    assert "Alice" not in str(made)


def test_what_a_field_was_before_and_what_further_endpoints_say_are_redacted_too() -> None:
    made = redacted(
        "{subject: drop, $enrichment.detections.links: drop}",
        {"subject": "new words"},
        previous={"subject": "old words", "final_disposition": "SPAM"},
        enrichment={
            "detections": {"links": [{"href": "https://x"}], "note": "OLD  WORDS!"},
            "trace": ["new words"],
        },
    )

    assert made.previous == {"final_disposition": "SPAM"}
    assert made.enrichment == {"detections": {"note": "[redacted]!"}, "trace": ["[redacted]"]}
    assert redacted("subject: drop", {"subject": "x"}).previous is None


def test_short_values_are_only_looked_for_as_words() -> None:
    made = body_of(
        "subject: drop", {"subject": "Hi", "detection_reasons": ["this is high", "said hi to all"]}
    )

    assert made["detection_reasons"] == ["this is high", "said [redacted] to all"]


@pytest.mark.parametrize("subject", ["", "  ", "...", "!", None, 5, True, [], {}, {"a": ["b", None]}])
def test_a_value_without_letters_or_of_an_odd_kind_harms_nothing_else(subject: Any) -> None:
    other = {"detection_reasons": ["a... !"], "is_quarantined": True}

    for mode in ("drop", "hash"):
        made = body_of(f"subject: {mode}", {"subject": subject, **other})
        assert {key: made[key] for key in other} == other


@pytest.mark.parametrize("subject", ["MALICIOUS", "quarantined", "r1", "final_disposition", "from", "true"])
def test_no_subject_undoes_a_verdict(subject: str) -> None:
    """A sender who knows that subjects are redacted writes one that equals what he fears."""
    body = {
        "final_disposition": "MALICIOUS",
        "delivery_status": ["quarantined"],
        "is_quarantined": True,
        "from": "evil@bad.example",
    }

    assert body_of("subject: drop", {"subject": subject, **body}) == {"id": "r1", **body}


@pytest.mark.parametrize("subject", ["evil@bad.example", "evil", "bad.example", "203.0.113.9", "203.0"])
def test_no_subject_hides_who_sent_it(subject: str) -> None:
    """Mailboxes and IP addresses in fields of their own give way to redacted mailboxes alone."""
    body = {"from": "evil@bad.example", "smtp_previous_hop_ip": "203.0.113.9"}
    made = body_of("subject: drop", {"subject": subject, **body, "from_name": subject, "n": [subject]})

    assert made == {"id": "r1", **body, "from_name": "[redacted]", "n": ["[redacted]"]}


def test_a_subject_is_cut_out_of_a_display_name_whose_address_stays() -> None:
    made = body_of("subject: drop", {"subject": "Payroll", "from": '"Payroll" <evil@bad.example>'})

    assert made["from"] == '"[redacted]" <evil@bad.example>'


WRONG = [
    ("{subjct: drop}", "c.yaml:1:2: the API documents no record field subjct (did you mean subject?)"),
    ("{subject: remove}", "c.yaml:1:11: expected drop or hash"),
    ("{id: drop}", "c.yaml:1:2: id cannot be redacted"),
    ("{submission_id: drop}", "c.yaml:1:2: submission_id cannot be redacted"),
    ("{$senders: drop}", "c.yaml:1:2: $senders cannot be redacted"),
    ("{a b: drop}", "c.yaml:1:2: 'a b' is not a path"),
    ("{to: hash}", "c.yaml:1:6: hash requires a key (set redaction.key"),
    ("{subject: drop, to: hash, from: x}", "c.yaml:1:33: expected drop or hash"),
    ("[subject]", "c.yaml:1:1: redact must be a map"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_would_let_something_out_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_redaction(parse(text, "c.yaml"), None)

    assert message in str(caught.value)


def test_a_mass_mail_with_a_huge_subject_is_redacted_in_bounded_work() -> None:
    people = [f"person{number}@corp.example" for number in range(3000)]
    body = {
        "to": people,
        "envelope_to": people,
        "subject": "x1 " * 300_000,
        "detection_reasons": [people[7]],
        "from_name": "x@y " * 50_000,
        "validation": {"comment": " " * 1_000_000},
        "to_name": [f"{one} (new)" for one in people],
    }
    made = body_of("{to: hash, subject: drop}", body)

    assert made["to"] == made["envelope_to"]
    assert made["detection_reasons"] == [made["to"][7]]
    assert made["to_name"][7] == f"{made['to'][7]} (new)"


@pytest.mark.parametrize(("number", "sign"), [(300, "="), (3000, "@")])
def test_a_text_that_names_very_many_goes_whole(number: int, sign: str) -> None:
    to = [f"user{each}@corp.example" for each in range(number)]
    made = body_of("to: hash", {"to": to, "from_name": " ".join(to).replace("@", sign)})
    assert made["from_name"] == "[redacted]"

    few = body_of("to: hash", {"to": to, "from_name": "Copy of user7=corp.example"})
    assert few["from_name"] == f"Copy of {few['to'][7]}"


def test_a_value_nested_deeply_does_not_break_it() -> None:
    deep: Any = "leaf"
    for _ in range(400):
        deep = [deep]

    assert "leaf" not in str(body_of("subject: hash", {"subject": deep, "other": deep}))


def test_what_was_sent_to_change_something_can_be_dropped_by_its_name() -> None:
    body = {"resource": {"request": {"pattern": "evil.example"}, "type": "allow_policy"}}

    made = body_of("{resource.request.pattern: drop}", body)

    assert made["resource"] == {"request": {}, "type": "allow_policy"}
