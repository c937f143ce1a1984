"""Lint, inline tests and bodies: what surrounds a mapping."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import ConfigurationError
from connector.mapping import Library, compile_body, lint, run_tests
from connector.yaml_nodes import parse
from tests.unit.mapping.packs import pack_of, revision, write

DOUBTFUL = [
    (
        "ecs",
        "fields: {email.subject: subjct}",
        "3:25: the API documents no record field subjct",
        "did you mean subject?",
    ),
    (
        "ecs",
        "fields: {email.subjct: subject}",
        "3:10: ecs has no field email.subjct",
        "did you mean email.subject?",
    ),
    (
        "ecs",
        "fields: {event.kind: {const: alrt}}",
        "'alrt' does not fit event.kind: not an allowed value",
        "did you mean alert?",
    ),
    (
        "ecs",
        "fields: {event.severity: {from: id, as: integer, else: high}}",
        "'high' does not fit event.severity",
        "",
    ),
    (
        "ecs",
        "fields: {event.category: {const: [email]}, event.type: {const: [denied]}}",
        "event.type denied is not expected",
        "",
    ),
    (
        "ecs",
        "rest: {into: cloudflare.x, without: [subjct]}",
        "3:38: the API documents no record field subjct",
        "did you mean subject?",
    ),
    ("ecs", "tables: {t: {a: b}}\nfields: {event.id: id}", "3:13: nothing uses the table t", ""),
    ("ecs", "derive: {t: id}\nfields: {event.id: id}", "nothing reads $t", ""),
    ("cef", "fields: {cs1: subject}", "3:10: cs1 has no label", "add labels: {cs1: ...}"),
    ("cef", "fields: {sbject: subject}", "cef has no field sbject", ""),
    ("leef", "fields: {usrname: from}", "leef has no field usrname", "did you mean usrName?"),
    (
        "ocsf",
        "fields: {email.subjct: subject}",
        "ocsf has no field email.subjct",
        "did you mean email.subject?",
    ),
    (
        "ocsf",
        "fields: {severity_id: {const: 7}}",
        "7 does not fit severity_id: not an allowed value",
        "0, 1, 2",
    ),
    ("ocsf", "fields: {from: {const: root@localhost}}", "from: not a plain email address", ""),
    ("cim", "fields: {recipent: to}", "cim has no field recipent", "did you mean recipient?"),
    (
        "json",
        "fields: {a: {first_of: [id, {const: x}, subject]}}",
        "3:41: this rule is never reached",
        "{const: x} before it always has a value",
    ),
    (
        "json",
        "fields: {a: {first_of: [{from: $code, else: none}, $search, subject]}}",
        "3:52: this rule is never reached",
        "{from: $code, else: none} before it",
    ),
    ("json", "fields: {a: {const: x, else: y}}", "3:30: this else is never used", "add a when"),
    (
        "json",
        "fields: {a: {const: x, when: {to: {exists: false}, not: {id: z}, all: [{to: q, id: y}, {id: z}]}}}",
        "this never holds: to cannot be both absent and present",
        "",
    ),
    (
        "json",
        "fields: {a: {const: x, when: {final_disposition: [SPAM, MALICOUS]}}}",
        "3:31: final_disposition is never 'MALICOUS'",
        "did you mean MALICIOUS?",
    ),
    ("json", "fields: {a: id, b: null}", "3:17: null removes nothing: there is no b in fields", ""),
    ("json", "derive: {tme: null}\nfields: {a: id}", "3:10: null removes nothing", "did you mean time?"),
    ("cim", "fields: {severity: {const: hgh}}", "'hgh' does not fit severity", "did you mean high?"),
]


@pytest.mark.parametrize(("kind", "text", "message", "hint"), DOUBTFUL)
def test_lint_names_what_is_doubtful_and_where(
    tmp_path: Path, kind: str, text: str, message: str, hint: str
) -> None:
    [problem] = lint(pack_of(tmp_path, text, kind))

    assert message in str(problem)
    assert hint in problem.hint


def test_lint_accepts_what_is_meant_to_be_open(tmp_path: Path) -> None:
    body = "fields: {labels.team: {const: mail}, cloudflare.anything.goes: id}\nrest: {into: cloudflare.r}\n"

    assert lint(pack_of(tmp_path, body, "ecs")) == []


@pytest.mark.parametrize("name", Library().names())
def test_packs_that_ship_pass_their_own_tests_and_lint(name: str) -> None:
    pack = Library().load(name)

    assert [outcome for outcome in run_tests(pack) if not outcome.passed] == []
    assert pack.tests
    assert lint(pack) == []


def test_an_inline_test_that_fails_says_what_was_found(tmp_path: Path) -> None:
    pack = pack_of(
        tmp_path,
        "fields: {a.b: id, n: count, l: to}\n"
        "tests:\n"
        "  - {name: good, given: {id: x}, expect: {a.b: x, n: null, $severity: 1, $code: null}}\n"
        "  - {name: bad, given: {id: y, count: 1, to: [p]}, "
        "expect: {a.b: x, n: true, l: [p, q], a: {b: y}}}\n",
    )

    good, bad = run_tests(pack)

    assert good.passed
    assert bad.failures == ('a.b is "y", not "x"', "n is 1, not true", 'l is ["p"], not ["p", "q"]')
    assert bad.position.line == 6


def test_an_inline_test_may_set_what_stands_beside_the_record(tmp_path: Path) -> None:
    pack = pack_of(
        tmp_path,
        "fields: {w: $account.name, i: $account.id, s: $search, c: $collected, f: $change.fields, "
        "n: $revision, g: $change.gone}\n"
        "tests:\n"
        "  - name: all of it\n"
        "    given: {id: x, a: 1, $account: {id: f00, name: prod}, $search: s1, "
        "$collected: 2026-02-03T04:05:06Z, $previous: {a: 2}, $gone: true}\n"
        "    expect: {w: prod, i: f00, s: s1, c: '2026-02-03T04:05:06.000Z', f: [a], n: 2, g: true}\n",
    )

    assert run_tests(pack)[0].failures == ()


def test_a_body_is_rendered_from_record_and_document(tmp_path: Path) -> None:
    scope = write(tmp_path).prelude()
    node = parse(
        'text: "{$code} from {from}: {subject} {{x}}"\nto: "{to}"\nseverity: "{$severity}"\nfixed: 5\n'
        'all: ["{$event}", "{$event.id}", "{absent}", true]\n',
        "connector.yaml",
    )
    render = compile_body(node, scope, escape=lambda text: text.replace("<", "&lt;"))
    body = {
        "id": "r1",
        "from": "<a@b>",
        "subject": "<!channel>",
        "to": ["<x>", ""],
        "final_disposition": "SPAM",
    }

    assert render(revision(body), {"id": "<doc>"})[0] == {
        "text": "email.spam from &lt;a@b>: &lt;!channel> {x}",
        "to": ["&lt;x>"],
        "severity": 3,
        "fixed": 5,
        "all": [{"id": "<doc>"}, "<doc>", True],
    }


def test_a_body_that_names_nothing_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"c.yaml:1:7: there is no \$sevrity \(did you mean \$severity\?\)"
    ):
        compile_body(parse('text: "{$sevrity}"', "c.yaml"), write(tmp_path).prelude())
