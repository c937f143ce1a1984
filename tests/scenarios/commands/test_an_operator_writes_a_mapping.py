"""A detection engineer changes a mapping: lint, test, explain, coverage and apply tell what comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from connector.cli.mapping import command
from connector.mapping import Library, lint, unmapped_fields
from connector.mapping.tools.coverage import SUCCESSORS, coverage, leaves
from connector.mapping.tools.sample_record import SAMPLE
from tests.golden.test_every_field_lands import left_out

THREE_LINES = """\
mapping: 1
extends: ecs
fields: {event.kind: {const: event}, labels.team: {const: mail}}
"""
UNKNOWN = "the API documents no record field subjct"
RECORD: dict[str, Any] = {
    "id": "r7",
    "final_disposition": "SPAM",
    "subject": "\x1b[2Jhi\u202e",
    "from": "a@b.example",
}


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a user's file of three lines, which is also the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(THREE_LINES, "utf-8")
    (tmp_path / "records.ndjson").write_text(f"{json.dumps({'id': 'r1'})}\n\n{json.dumps(RECORD)}\n", "utf-8")
    return tmp_path / "mine.yaml"


def mapping(*words: str | Path, stdin: str = "") -> Result:
    done = CliRunner().invoke(command, [str(word) for word in words], input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_a_file_of_three_lines_changes_one_field_and_adds_one(mine: Path) -> None:
    theirs, ours = (
        json.loads(mapping("apply", name, "records.ndjson").stdout.splitlines()[1])
        for name in ("ecs", "mine.yaml")
    )

    theirs["event"] |= {"kind": "event", "created": ours["event"]["created"]}
    assert ours == {**theirs, "@timestamp": ours["@timestamp"], "labels": {"team": "mail"}}
    assert mapping("lint", "mine.yaml").exit_code == 0
    assert mapping("lint", "mine.yaml").stdout == ""
    assert mapping("test", "mine.yaml").exit_code == 0


def test_a_test_that_fails_says_where_and_what_was_found(mine: Path) -> None:
    case = "tests: [{name: is an alert, given: {id: x}, expect: {event.kind: alert, labels: {}}}]\n"
    mine.write_text(f"{THREE_LINES}{case}", "utf-8")
    done = mapping("test", "mine.yaml")

    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        'mine.yaml:4:9: is an alert: event.kind is "event", not "alert"',
        'mine.yaml:4:9: is an alert: labels is {"team": "mail"}, not {}',
        "0 of 1 tests passed in mine.yaml",
    ]


def test_explain_names_rule_line_source_and_result(mine: Path) -> None:
    reported = mapping(
        "explain", mine, "records.ndjson", "--id", "r7", "-t", "labels", "-t", "email.from"
    ).stdout

    assert 'labels.team = "mail"\n    rule: {const: mail}    [mine.yaml:3:51]\n' in reported
    assert 'email.from.address = ["a@b.example"]\n' in reported
    assert '$senders: ["a@b.example"]  from  {from: from, as: addresses}' in reported
    assert "common.yaml:" in reported
    assert '    from = "a@b.example"\n' in reported


def test_explain_is_harmless_to_the_terminal(mine: Path) -> None:
    reported = mapping("explain", mine, "records.ndjson", "--id", "r7", "--all").stdout

    assert all(letter.isprintable() or letter == "\n" for letter in reported)
    assert "\\u001b[2Jhi" in reported


def test_explain_says_why_there_is_nothing(mine: Path) -> None:
    record = json.dumps({"id": "x", "x_originating_ip": "nowhere", "delivery_mode": "API", "from": "nobody"})
    lines = mapping("explain", "--json", "--all", mine, "-", stdin=record).stdout.splitlines()
    reported = {one["target"]: one for one in map(json.loads, lines)}

    why = reported["email.delivery_timestamp"]["why"]
    assert why == "{delivery_mode: [DIRECT, BCC, JOURNAL], $time_unknown: {exists: false}} does not hold"
    assert reported["email.subject"]["why"] == "there is no value"
    assert reported["rule.description"]["why"] == "none of its rules has a value"
    assert reported["event.kind"]["value"] == "event"
    assert reported["event.action"]["taken"] == []
    assert reported["event.action"]["derived"][0]["taken"][0]["rule"] == "{const: scanned}"
    assert "in the rest: x_originating_ip, from" not in lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("explain", "mine.yaml", "records.ndjson", "--id", "zz"), "no record with the id 'zz'"),
        (
            ("explain", "mine.yaml", "-t", "email.subjct"),
            "has no target email.subjct; did you mean email.subject?",
        ),
    ],
)
def test_what_cannot_be_explained_is_reported(mine: Path, words: tuple[str, ...], message: str) -> None:
    done = mapping(*words)

    assert done.exit_code == 2
    assert message in done.stderr


def test_lint_shows_the_place_the_text_and_a_suggestion(mine: Path) -> None:
    mine.write_text("mapping: 1\nextends: ecs\nfields:\n  email.subjct: {from: subjct}\n", "utf-8")
    done = mapping("lint", "mine.yaml")

    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "mine.yaml:4:3: error: ecs has no field email.subjct (did you mean email.subject?)",
        "    4 |   email.subjct: {from: subjct}",
        "      |   ^",
        f"mine.yaml:4:24: error: {UNKNOWN} (did you mean subject?)",
        "    4 |   email.subjct: {from: subjct}",
        "      |                        ^",
    ]
    assert done.stderr == "2 errors, 0 warnings in mine.yaml\n"


def test_lint_of_a_file_that_cannot_be_used_is_a_finding_too(mine: Path) -> None:
    mine.write_text("mapping: 1\nformat: ecs\nfields: {event.id: {form: id}}\n", "utf-8")
    [reported] = map(json.loads, mapping("lint", "--json", "mine.yaml").stdout.splitlines())

    assert reported == {
        "level": "error",
        "file": "mine.yaml",
        "line": 3,
        "column": 21,
        "message": "form is not part of a rule",
        "hint": "did you mean from?",
    }


def test_a_field_that_nothing_carries_is_a_warning(mine: Path) -> None:
    mine.write_text(
        "mapping: 1\nformat: ecs\nfields: {event.id: id, event.kind: {const: alert, when: {subject: x}}}\n"
        "rest: {into: cloudflare.x, without: [to, subject]}\n",
        "utf-8",
    )
    done, strict = mapping("lint", "mine.yaml"), mapping("lint", "--strict", "mine.yaml")

    assert (done.exit_code, strict.exit_code) == (0, 1)
    assert "mine.yaml:4:38: warning: no rule maps to, and rest excludes it" in done.stdout
    assert "mine.yaml:4:42: warning: no rule maps subject" in done.stdout


def test_a_mapping_without_a_rest_is_reported_all_that_it_leaves_out(mine: Path) -> None:
    mine.write_text("mapping: 1\nformat: json\nfields: {id: id, f: findings}\n", "utf-8")
    done = mapping("lint", "mine.yaml")

    assert done.exit_code == 0
    assert "mine.yaml:3:10: warning: no rule maps action_log.completed_at, " in done.stdout
    assert "more; mapping coverage lists them (rest: {into: ...} would keep them)" in done.stdout


@pytest.mark.parametrize("name", Library().names())
def test_what_coverage_reads_off_the_rules_is_what_the_manual_says(name: str) -> None:
    pack = Library().load(name)
    warned = " ".join(problem.message for problem in unmapped_fields(pack))

    assert {path.replace("[]", "") for path in left_out(name)} == set(coverage(pack).unmapped)
    assert all(path in warned for path in coverage(pack).unmapped)
    assert lint(pack) == []


def test_coverage_counts_what_records_hold(mine: Path) -> None:
    (mine.parent / "r.ndjson").write_text(
        '{"id": "1", "to": ["a@b"], "brand": {"new": 1}}\n{"id": "2"}\n', "utf-8"
    )
    reported = json.loads(mapping("coverage", "--json", "mine.yaml", "r.ndjson").stdout)
    text = mapping("coverage", "--unused", "mine.yaml", "r.ndjson").stdout

    assert reported["records"]["number"] == 2
    assert reported["records"]["fields"] == {"id": 2, "to": 1, "brand.new": 1}
    assert reported["records"]["targets"]["email.to.address"] == 1
    assert reported["fields"]["subject"] == ["message", "email.subject"]
    assert reported["fields"]["to_name"] == ["rest"]
    assert "labels.team" in reported["targets"]["own"]
    assert "email.bcc.address" in reported["targets"]["unused"]
    assert "in 2 records, undocumented: brand.new" in text
    assert "\n  email.bcc.address\n" in text


def test_the_sample_record_has_every_field_of_today() -> None:
    def paths(value: Any, path: str = "") -> set[str]:
        if isinstance(value, list):
            return {inner for item in value for inner in paths(item, path)}
        if isinstance(value, dict):
            return {
                inner for key, item in value.items() for inner in paths(item, f"{path}.{key}".lstrip("."))
            }
        return {path}

    assert paths(dict(SAMPLE)) == set(leaves()) - set(SUCCESSORS)


def test_apply_redacts_as_an_output_would(mine: Path) -> None:
    words = ("apply", mine, "records.ndjson", "--redact", "subject=drop", "--redact", "from=hash")
    (mine.parent / "key").write_text("k" * 32 + "\n")
    first, again = (mapping(*words, "--redaction-key-file", "key").stdout.splitlines()[1] for _ in range(2))
    event = json.loads(first)

    assert "hi" not in event["message"]
    assert event["email"]["from"] == json.loads(again)["email"]["from"]
    assert event["email"]["from"]["address"][0].endswith(".invalid")
