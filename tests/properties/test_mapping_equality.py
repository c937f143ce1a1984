"""The compiler and the walker of rules make the same of every record, and neither ever fails."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.mapping import Library, Pack, build_interpreter, build_map, build_mapper
from connector.mapping.compiler.compiler import compile_match
from connector.mapping.engine.context import ContextValues
from connector.mapping.engine.interpreter import Evaluation, derive_all
from connector.mapping.engine.plan import matched_names, order
from connector.mapping.language.matches import parse_match
from connector.mapping.schemas.fields import RECORD_FIELDS
from connector.model import Revision
from connector.yaml_nodes import parse
from tests.support.examples import examples
from tests.unit.mapping.packs import pack_of, revision

EVERYTHING = """
tables:
  words: {"true": yes, MALICIOUS: 8, "*": other}
  lists: {SPAM: [a, "", b]}
derive:
  senders: {all_of: [from, envelope_from, to], as: [addresses, unique]}
  first_finding:
    from: findings
    as: {pick: {any: [{detection: $record.final_disposition}, {score: {gte: 0.5}}]}}
  top: {from: findings, as: {max_by: score}}
  flag: {const: true, when: {is_quarantined: true, not: {delivery_status: [moved, queued]}}}
fields:
  a.text: {from: subject, as: [strip, lower, {truncate: 5}]}
  a.upper: {from: to_name, as: [upper, {join: "; "}]}
  a.tags: {from: detection_reasons, as: [strip_tags, {prefix: "> "}, {suffix: "."}]}
  a.id: {from: message_id, as: strip_brackets, else: {from: id, as: {suffix: "!"}}}
  b.senders: $senders
  b.domains: {from: $senders, as: [domain, unique]}
  b.count: {from: to, as: count, else: 0}
  b.first: {from: to, as: first}
  b.last: {from: envelope_to, as: last, when: {to: {exists: false}}}
  c.score: {from: findings.score, as: max}
  c.least: {from: findings.score, as: [min, integer]}
  c.name: $first_finding.name
  c.top: $top
  c.number: {from: findings.score, as: number}
  c.files:
    from: findings.attachment
    as: [unique, {each: {file.name: ., file.extension: {from: ., as: extension}}}]
  c.pairs:
    from: findings
    as: [{only: {attachment: {exists: true}}}, {each: {n: name, d: {template: "{name}/{score}"}}}]
  d.date: {first_of: [{from: scanned_at, as: date}, {from: ts, as: date}, $collected]}
  d.ms: {from: sent_at, as: epoch_ms}
  d.s: {from: sent_at, as: epoch_s}
  e.ip: {from: smtp_previous_hop_ip, as: ip}
  e.v4: {all_of: [smtp_helo_server_ip, x_originating_ip], as: ipv4}
  e.v6: {all_of: [smtp_helo_server_ip, x_originating_ip], as: [ipv6, unique]}
  f.flag: $flag
  f.bool: {from: is_phish_submission, as: boolean}
  f.table: {from: final_disposition, as: {table: words}}
  f.lists: {from: final_disposition, as: {table: lists}}
  f.flagged: {from: is_quarantined, as: [text, {table: words}]}
  g.template: {template: "{{{final_disposition}}} from {from} to {to}"}
  g.only: {from: delivery_status, as: {only: [moved, delivered]}}
  g.glob: {from: threat_categories, as: {only: {matches: ["*spoof*", "I?R*"]}}}
  g.has:
    const: 1
    when: {any: [{subject: {contains: pay}}, {from: {contains: $account.name}}, {to: $senders}]}
  g.order: {const: x, when: {id: {gte: "a", lte: "z"}}, else: {from: $revision}}
  g.null: {const: nothing, when: {replyto: null, validation.spf: [null, fail, 3, true]}}
  h.change: $change
  h.more: $enrichment
  h.who: $account.name
  h.all: $record.properties
  h.list:
    all_of: [{const: one}, {const: [two, ""]}, {const: three, when: {is_quarantined: true}}, to, findings]
  i.quotes: {template: "it's \\"{{{from}}}\\" of {$flag} {$revision} {is_quarantined}"}
  i.fixed: {template: "a 'fixed' \\"text\\" {{}}"}
  i.choice: {const: held, when: {is_quarantined: true}, else: let go}
  i.other: {from: subject, when: {is_phish_submission: false}, else: {from: to, else: $search}}
  i.chosen:
    first_of:
      - {const: 1, when: {delivery_status: [moved, queued]}}
      - {const: true, when: {any: [{$flag: true}, {from: {exists: false}}]}}
      - {from: final_disposition, as: {only: [SPAM, NEW]}}
      - {const: held, when: {is_quarantined: true}}
      - {const: 0.5}
  i.nested:
    from: findings
    as:
      each:
        worst:
          from: $record.findings
          as: [{pick: {detection: $record.final_disposition}}, {each: {is: name}}]
        like: {from: $record.findings, as: [{only: {name: {exists: true}, score: {gte: 0}}}, count]}
        same: {const: yes, when: {detection: $record.final_disposition}, else: {from: ., as: text}}
  i.addresses: {all_of: [from, to], as: [addresses, {suffix: "!"}, upper, {join: " "}]}
  i.ips: {from: envelope_to, as: [ip, last]}
  i.looked: {from: to, as: [{table: words}, unique, first]}
  i.texts: {from: findings, as: [text, {prefix: "'"}, strip_tags, domain]}
  i.account: {from: $account.id, as: [{truncate: 4}, upper]}
  i.any: {from: findings, as: [{only: {name: {matches: "*"}}}, count]}
  i.some: {from: to, as: {only: {matches: ["*", "x?"]}}}
  i.change: {from: $change.fields, as: [lower, {join: ","}], else: {from: $enrichment.x.y, as: lower}}
rest: {into: h.rest, without: [subject, properties.allowlisted_pattern, findings.name]}
"""

MATCHES = (
    "{$severity: {gte: 5}}",
    "{$senders: {matches: '*@example.*'}, subject: {exists: true}}",
    "{any: [{is_quarantined: false}, {findings.score: {lte: 0.5}}, {$change.fields: is_quarantined}]}",
    "{not: {all: [{final_disposition: [SPAM, MALICIOUS]}, {$code: {contains: SPAM}}]}}",
    "{$time: {gte: '2026-01-01'}, $revision: {lte: 3}, $flag: true}",
    "{from: $record.envelope_from}",
)

WORDS = (
    "",
    " ",
    "a@b.example",
    "A <a@B.example>, b@c",
    "<>",
    "x@",
    "MALICIOUS",
    "SPAM",
    "moved",
    "delivered",
    "2026-11-18T09:41:07Z",
    "2026-11-18 09:41:07",
    "2026-W47-3T09:41:07Z",
    "20261118T094107.123Z",
    "0001-01-01T00:00:00+14:00",
    "192.0.2.1",
    "2001:db8::1",
    "1.2.3",
    "fe80::1%eth0",
    "<b>x</b> <i",
    "<id@host>",
    "report.PDF",
    "0.75",
    "true",
    "\ud83d",
    "a|b=c\\d\r\nCEF:0|",
    "Spoof",
    "IPReputation",
    "\x00",
    "é" * 5000,
)
SCALARS = st.one_of(
    st.sampled_from(WORDS),
    st.text(max_size=20),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([10**30, -(2**63)]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "score", "detection", "attachment", "spf", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
TOP = sorted({path.split(".")[0].removesuffix("[]") for path in RECORD_FIELDS})
FINDING = st.fixed_dictionaries(
    {},
    optional={
        "name": SCALARS,
        "score": SCALARS,
        "detection": SCALARS,
        "attachment": SCALARS,
        "reason": SCALARS,
    },
)
USUAL = st.fixed_dictionaries(
    {},
    optional={
        "findings": st.lists(FINDING, max_size=3),
        "to": st.lists(st.sampled_from(WORDS), max_size=3),
        "from": st.sampled_from(WORDS),
        "final_disposition": st.sampled_from(["MALICIOUS", "SPAM", "NEW", None]),
        "delivery_status": st.lists(st.sampled_from(["moved", "delivered", "quarantined"]), max_size=2),
        "is_quarantined": st.booleans() | st.none(),
        "scanned_at": st.sampled_from(WORDS),
        "properties": st.dictionaries(
            st.sampled_from(["allowlisted_pattern", "blocklisted_message"]), SCALARS
        ),
    },
)
ODD = st.dictionaries(
    st.sampled_from([*TOP, "change", "revision", "cloudflare", "new_field", "a.b"]) | st.text(max_size=8),
    JSON,
    max_size=8,
)


@st.composite
def revisions(draw: st.DrawFn) -> Revision:
    body: dict[str, Any] = {"id": "r1", **draw(ODD), **draw(USUAL)}
    return revision(
        body,
        number=draw(st.integers(1, 4)),
        previous=draw(st.none() | USUAL),
        enrichment=draw(st.dictionaries(st.text(max_size=5), JSON, max_size=2)),
        gone=draw(st.booleans()),
    )


def everything() -> Pack:
    with tempfile.TemporaryDirectory() as directory:
        return pack_of(Path(directory), EVERYTHING)


def flat() -> Pack:
    with tempfile.TemporaryDirectory() as directory:
        return pack_of(
            Path(directory),
            "fields: {rt: $time, duser: to, suser: {from: from, as: addresses}, cs1: subject, "
            "cn1: {from: to, as: count}}\n"
            "labels: {cs1: Subject, cn1: Count}\nrest: {into: CloudflareEmailSecurity, without: [subject]}\n",
            "cef",
        )


PACKS = {name: Library().load(name) for name in Library().names()} | {
    "everything": everything(),
    "flat": flat(),
}
SLOW_ENOUGH = settings(max_examples=examples(50), deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", sorted(PACKS))
def test_compiled_and_walked_mappings_agree_on_every_record(name: str) -> None:
    compiled, walked = build_map(PACKS[name]), build_interpreter(PACKS[name])
    mapper = build_mapper(PACKS[name])

    @SLOW_ENOUGH
    @given(revisions())
    def agree(one: Revision) -> None:
        left, right = compiled(one), walked(one)

        assert json.dumps(left.document, sort_keys=True) == json.dumps(right.document, sort_keys=True)
        assert left[1:] == right[1:]
        event = mapper(one)
        assert event is not None
        assert b"\n" not in event.payload

    agree()


@pytest.mark.parametrize("text", MATCHES)
def test_compiled_and_walked_matches_agree_on_every_record(text: str) -> None:
    pack, provider = PACKS["everything"], ContextValues({})
    node = parse(text, "when")
    match = parse_match(node)
    compiled = compile_match(match, pack, provider)
    derived = order(pack, matched_names(match, pack))

    @SLOW_ENOUGH
    @given(revisions())
    def agree(one: Revision) -> None:
        run = Evaluation(pack, one.record.body, provider.values(one))
        derive_all(run, derived, [], set())

        assert compiled(one) == run.match(match)

    agree()
