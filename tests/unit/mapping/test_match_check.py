"""A condition that no message can satisfy is refused before it silences an output."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import ConfigurationError
from connector.mapping import KnownNames, Library, compile_matcher, match_warnings
from connector.yaml_nodes import parse

KNOWN = KnownNames(frozenset({"detections"}), {"a" * 32: "prod"})

IMPOSSIBLE = [
    ("{final_disposition: MALICUOUS}", "final_disposition is never 'MALICUOUS'", "did you mean MALICIOUS?"),
    ("{final_disposition: [SPAM, MALICUOUS]}", "is never 'MALICUOUS'", "did you mean MALICIOUS?"),
    ("{$disposition: SPOFF}", "$disposition is never 'SPOFF'", "did you mean SPOOF?"),
    ("{final_disposition: QUISHING}", "is never 'QUISHING'", "for a new value use matches"),
    ("{findings.detection: SPAMM}", "findings.detection is never 'SPAMM'", "did you mean SPAM?"),
    ("{$severity: {gte: 11}}", "$severity is never at least 11", "its values are 0 to 10"),
    ("{$severity: {lte: -1}}", "$severity is never at most -1", "its values are 0 to 10"),
    ("{$severity: 9}", "$severity is never 9", ""),
    ("{$severity: high}", "$severity is never 'high'", ""),
    ("{$alert: 'yes'}", "$alert is never 'yes'", ""),
    ("{$action: quarantine}", "$action is never 'quarantine'", "did you mean quarantined?"),
    ("{delivery_status: [quarantine]}", "is never 'quarantine'", "did you mean quarantined?"),
    ("{validation.spf: passed}", "validation.spf is never 'passed'", "did you mean pass?"),
    ("{is_quarantined: 'true'}", "is_quarantined is never 'true'", "expected true or false"),
    ("{is_quarantined: {gte: 1}}", "is_quarantined is never at least 1", "expected true or false"),
    ("{findings.score: '0.5'}", "findings.score is never '0.5'", "expected a number"),
    ("{subject: 5}", "subject is never 5", "put it in quotes"),
    ("{scanned_at: {gte: yesterday}}", "scanned_at is never at least 'yesterday'", "expected a date"),
    ("{$time: {lte: 5}}", "$time is never at most 5", "expected a date"),
    ("{$change: [final_disposition]}", "$change is never 'final_disposition'", "one of the fields inside"),
    ("{findings: SPAM}", "findings is never 'SPAM'", "one of the fields inside"),
    ("{$search: detection}", "$search is never 'detection'", "did you mean detections?"),
    ("{$account.name: prd}", "$account.name is never 'prd'", "did you mean prod?"),
    ("{$change.fields: final_dispositon}", "$change.fields is never", "did you mean final_disposition?"),
    ("{final_disposition: SPAM, $alert: true}", "no message can match this", "exclude each other"),
    ("{all: [{$severity: {gte: 8}}, {$severity: {lte: 3}}]}", "no message can match this", ""),
    ("{final_disposition: SPAM, not: {final_disposition: spam}}", "no message can match this", ""),
    ("{to: {exists: false}, all: [{to: x}]}", "to cannot be both absent and present", ""),
    ("{not: {final_disposition: MALICUOUS}}", "is never 'MALICUOUS'", ""),
    ("{any: [{final_disposition: MALICUOUS}, {$alert: true}]}", "is never 'MALICUOUS'", ""),
]

POSSIBLE = [
    "{final_disposition: malicious}",
    "{final_disposition: {matches: '*QUISHING*'}}",
    "{final_disposition: null}",
    "{final_disposition: [SPAM, null]}",
    "{$severity: {gte: 7}}",
    "{$severity: [8, 10], is_quarantined: false}",
    "{$code: email.malicious}",
    "{$code: {matches: 'email.*'}}",
    "{$alert: true, not: {final_disposition: SPOOF}}",
    "{$action: [quarantined, rejected]}",
    "{$time: {gte: '2026-11-18'}}",
    "{from: {matches: '*@partner.example'}}",
    "{from: $record.envelope_from}",
    "{findings: {exists: true}}",
    "{$search: detections, $account.name: prod, $account.id: " + "a" * 32 + "}",
    "{$change.fields: final_disposition}",
    "{$change.fields: [customer_status, outcome]}",
    "{resource.request.pattern: evil.example}",
    "{$enrichment.detections.findings.name: x}",
    "{threat_categories: {contains: malware}}",
    "{$recipient_count: {gte: 100}}",
]


@pytest.mark.parametrize(("text", "message", "hint"), IMPOSSIBLE)
def test_a_condition_that_never_holds_is_an_error_with_its_place(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_matcher(parse(text, "connector.yaml"), Library().prelude(), known=KNOWN)

    problem = caught.value.problems[0]
    assert message in problem.message
    assert hint in problem.hint
    assert str(problem).startswith("connector.yaml:1:")


@pytest.mark.parametrize("text", POSSIBLE)
def test_a_condition_that_may_hold_passes_without_a_word(text: str) -> None:
    node, scope = parse(text, "connector.yaml"), Library().prelude()

    compile_matcher(node, scope, known=KNOWN)
    assert match_warnings(node, scope, known=KNOWN) == ()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "{final_dispositon: MALICIOUS}",
            "no record field final_dispositon",
            "did you mean final_disposition?",
        ),
        ("{any: [{brand_new.thing: 1}, {id: x}]}", "no record field brand_new.thing", ""),
        ("{final_disposition: [SPAM, QUISHING]}", "is never 'QUISHING'", "for a new value use matches"),
    ],
)
def test_what_may_be_a_mistake_is_a_warning(text: str, message: str, hint: str) -> None:
    node, scope = parse(text, "connector.yaml"), Library().prelude()

    [problem] = match_warnings(node, scope)

    compile_matcher(node, scope)
    assert message in problem.message
    assert hint in problem.hint


def test_the_check_computes_what_the_mapping_in_scope_derives(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("mapping: 1\nextends: raw\ntables: {severity: {SPAM: 20}}\n", "utf-8")
    scope = Library((tmp_path,)).load("own")

    compile_matcher(parse("{$severity: {gte: 15}, final_disposition: SPAM}", "when"), scope)
    with pytest.raises(ConfigurationError, match="no message can match this"):
        compile_matcher(parse("{$severity: {gte: 15}, final_disposition: BULK}", "when"), scope)
