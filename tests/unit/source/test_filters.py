"""Filters: every parameter of both eras of the API, checked with texts that help."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connector.model import FilterValue
from connector.source.filters import FILTERS, NOT_FILTERS, query_parameters, validate, warnings

SPECIFICATION = Path(__file__).parents[4] / "shared" / "data" / "cloudflare-email-security-openapi.json"
SEARCH = "/accounts/{account_id}/email-security/investigate"


def test_every_parameter_of_the_api_is_a_filter_or_says_why_not() -> None:
    if not SPECIFICATION.exists():
        pytest.skip("the API's specification is not part of this checkout")
    document = json.loads(SPECIFICATION.read_text())
    for parameter in document["paths"][SEARCH]["get"]["parameters"]:
        name = parameter.get("name") or parameter["$ref"].rpartition("_per")[1].lstrip("_") + "_page"
        if "account_id" in parameter.get("$ref", ""):
            continue
        assert (name in FILTERS) != (name in NOT_FILTERS), name
        reference = parameter.get("schema", {}).get("$ref", "")
        schema = document["components"]["schemas"].get(
            reference.rpartition("/")[2], parameter.get("schema", {})
        )
        if "enum" in schema:
            assert set(FILTERS[name].allowed) == {value for value in schema["enum"] if value}, name


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("detections_only", "false", False),
        ("detections_only", True, True),
        ("final_disposition", "malicious", "MALICIOUS"),
        ("final_disposition", ["SPAM", "Spam", "bulk"], ("SPAM", "BULK")),
        ("final_disposition", "SPAM,BULK", ("SPAM", "BULK")),
        ("delivery_status", "QUARANTINED", "quarantined"),
        ("message_action", "moved", "MOVED"),
        ("subject", " invoice ", "invoice"),
        ("subject", 42, "42"),
        ("smtp_helo_ip", "2001:DB8::1", "2001:db8::1"),
        ("action_log", "TRUE", True),
        ("query", "Müller & Söhne", "Müller & Söhne"),
    ],
)
def test_values_are_accepted_as_people_write_them(name: str, given: object, expected: FilterValue) -> None:
    assert validate(name, given) == expected
    assert validate(name, validate(name, given)) == expected


@pytest.mark.parametrize(
    ("name", "given", "text"),
    [
        ("finaldisposition", "SPAM", "did you mean final_disposition"),
        ("page", 2, "follows cursors"),
        ("cursor", "x", "not a filter"),
        ("start", "2026-01-01", "not a filter"),
        ("per_page", 10, "`per_page` of the search"),
        ("final_disposition", "MALICIOUS-BEC", "when: {final_disposition: MALICIOUS-BEC}"),
        ("final_disposition", "EVIL", "one of MALICIOUS, SUSPICIOUS"),
        ("final_disposition", [], "empty list"),
        ("delivery_status", ["moved", "queued"], "one search per value"),
        ("detections_only", "yes", "true or false"),
        ("detections_only", 1, "true or false"),
        ("sender", "", "empty"),
        ("sender", None, "expected a text"),
        ("sender", True, "expected a text"),
        ("sender", ["a", "b"], "one search per value"),
        ("subject", "a\r\nb", "control character"),
        ("subject", "x" * 2000, "at most 1000 characters"),
        ("smtp_helo_ip", "300.1.1.1", "IP address"),
    ],
)
def test_what_the_api_would_not_take_is_refused_with_advice(name: str, given: object, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        validate(name, given)


def test_an_unknown_filter_is_reported_in_whole_words() -> None:
    with pytest.raises(ValueError, match="filter") as caught:
        validate("finaldisposition", "SPAM")
    assert str(caught.value) == "unknown filter 'finaldisposition': did you mean final_disposition?"
    with pytest.raises(ValueError, match="filter") as caught:
        validate("zzz", "SPAM")
    assert str(caught.value) == "unknown filter 'zzz'"


def test_every_parameter_that_cloudflare_dropped_is_accepted_with_a_warning() -> None:
    dropped = {name for name, row in FILTERS.items() if row.era == "seed"}
    assert dropped == {"action_log", "exact_subject", "submissions"}
    for name in dropped:
        assert "Cloudflare removed this parameter" in warnings({name: validate(name, "true")})[0]


def test_what_deserves_a_look_is_said() -> None:
    assert warnings({"sender": "x", "final_disposition": "SPAM"}) == ()
    for name in ("action_log", "exact_subject", "submissions", "metric"):
        assert warnings({name: "x"})[0].startswith(name)
    assert "SUBMITTED" in warnings({"message_action": "SUBMITTED"})[0]
    assert "detections_only" in warnings({"final_disposition": ("SPAM", "NONE")})[0]
    assert warnings({"final_disposition": "NONE", "detections_only": False}) == ()


def test_a_list_of_dispositions_makes_one_walk_each() -> None:
    assert query_parameters({"final_disposition": ("SPAM", "BULK"), "sender": "x"}) == (
        (("detections_only", "true"), ("sender", "x"), ("final_disposition", "SPAM")),
        (("detections_only", "true"), ("sender", "x"), ("final_disposition", "BULK")),
    )
    assert query_parameters({"detections_only": False}) == ((("detections_only", "false"),),)
