"""Output s3 with format parquet: objects as Amazon Security Lake wants them, read back with pyarrow."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import ValidationError

from connector.app.heartbeats import build_heartbeat, heartbeat_mapper
from connector.app.routes import build_routes
from connector.app.source_mappers import audit_mapper, mapper_of_any_source
from connector.errors import ConfigurationError, Hold, Refused
from connector.mapping import Library, build_mapper
from connector.model import BatchName, Event, Feed, Record, Revision
from connector.outputs.s3.output import S3Output, S3Settings
from connector.outputs.s3.parquet import Column, arrow_schema, columns
from connector.settings import load
from tests.golden.revisions import cases
from tests.support.bucket import bucket, refusal

KEYS = {"static": {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "canary-secret"}}
LAKE = {"source": "cf-email", "account": "123456789012"}
NAME = BatchName("00ff", datetime(2026, 11, 30, 5, 50, tzinfo=UTC))
PLACE = "/ext/cf-email/region=eu-central-1/accountId=123456789012/eventDay="
FILE = "/20261130T055000Z-00ff.zstd.parquet"
AT = datetime(2026, 11, 18, 9, 41, 7, tzinfo=UTC)


def settings(lake: dict[str, Any] = LAKE, **more: Any) -> S3Settings:
    base = {"bucket": "lake", "region": "eu-central-1", "format": "parquet", "auth": KEYS, "mapping": "ocsf"}
    return S3Settings.model_validate({**base, "security_lake": lake, **more})


def output(url: str, lake: dict[str, Any] = LAKE, **more: Any) -> S3Output:
    return settings(lake, endpoint=url, **more).build("lake", lambda _: None)


def event(at: datetime = AT, **more: Any) -> Event:
    """An event as the built-in mapping writes it, with other attributes."""
    record = Record("x", {"id": "x", "scanned_at": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "subject": "hello"})
    made = build_mapper(Library().load("ocsf"))(Revision(Feed("a", "s"), record, "d" * 64, 1, at))
    assert made is not None
    return replace(made, payload=json.dumps({**json.loads(made.payload), **more}).encode())


async def stored(*events: Event, lake: dict[str, Any] = LAKE, **more: Any) -> dict[str, pa.Table]:
    """The objects that a batch becomes, by key without the bucket."""
    async with bucket() as store:
        sender = output(store.url, lake, **more)
        await sender.send_batch(NAME, events)
        await sender.close()
    return {key.removeprefix("/lake"): read(body) for key, body in store.objects.items()}


def read(body: bytes) -> pa.Table:
    return parquet.read_table(io.BytesIO(body))


def document(row: dict[str, Any], class_uid: int = 4009) -> dict[str, Any]:
    """A row as the event that it was: without nulls, JSON decoded."""

    def plain(value: Any, column: Column) -> Any:
        if isinstance(value, list):
            return [plain(one, replace(column, many=False)) for one in value]
        if column.fields is not None:
            return {k: plain(v, column.fields[k]) for k, v in value.items() if v not in (None, [])}
        return json.loads(value) if column.type == "json" else value

    known = columns(class_uid)
    return {name: plain(value, known[name]) for name, value in row.items() if value is not None}


async def test_every_event_of_the_corpus_is_read_back_as_it_was() -> None:
    mapper = build_mapper(Library().load("ocsf"))
    events = [made for case in cases() if (made := mapper(case.revision)) is not None]

    tables = await stored(*events)

    rows = [document(row) for table in tables.values() for row in table.to_pylist()]
    expected = [json.loads(one.payload) for one in events]
    assert len(rows) == len(expected) == 200
    unmapped = [row.get("unmapped", {}) for row in rows]
    misfits = [one["parquet_misfits"] for one in unmapped if "parquet_misfits" in one]
    assert misfits == [{"src_endpoint.location.country": ["NL"]}], "two hops' countries of a hostile record"
    for one in (*rows, *expected):
        one.get("unmapped", {}).pop("parquet_misfits", None)
        if isinstance((place := one.get("src_endpoint", {}).get("location", {})).get("country"), list):
            del place["country"]
    assert sorted(map(_text, rows)) == sorted(map(_text, expected))


def _text(value: Any) -> str:
    """Canonical; an object or list that holds nothing counts as absent."""

    def pruned(one: Any) -> Any:
        if isinstance(one, dict):
            kept = {k: pruned(v) for k, v in one.items()}
            return {k: v for k, v in kept.items() if v not in (None, {}, [])}
        return [pruned(v) for v in one] if isinstance(one, list) else one

    return json.dumps(pruned(value), sort_keys=True)


async def test_a_batch_over_midnight_is_an_object_per_day_sorted_by_time() -> None:
    midnight = datetime(2026, 11, 19, tzinfo=UTC)
    moments = [midnight + timedelta(seconds=n) for n in (1, -1, 5, -9, 0)]

    tables = await stored(*map(event, moments))

    assert list(tables) == [f"{PLACE}20261118{FILE}", f"{PLACE}20261119{FILE}"]
    times = [table.column("time").to_pylist() for table in tables.values()]
    base = int(midnight.timestamp() * 1000)
    assert times == [[base - 9000, base - 1000], [base, base + 1000, base + 5000]]


async def test_every_object_has_the_same_types_whatever_is_in_it() -> None:
    [full] = (await stored(event(email={"subject": "x", "to": ["a@b.example"]}, risk_score=7))).values()
    [bare] = (await stored(event(email=None, observables=None, unmapped=None))).values()

    assert full.schema.equals(bare.schema)
    assert full.schema.equals(pa.schema(arrow_schema(4009)), check_metadata=False)
    assert full.schema.field("time").type == pa.int64()
    assert full.schema.field("severity_id").type == pa.int32()
    assert full.schema.field("unmapped").type == pa.string()
    assert full.schema.field("to").type == pa.list_(pa.field("element", pa.string()))
    assert full.schema.field("src_endpoint").type.field("autonomous_system").type.field("number")


async def test_objects_are_zstd() -> None:
    async with bucket() as store:
        sender = output(store.url)
        await sender.send_batch(NAME, [event()])
        await sender.close()
    [body] = store.objects.values()

    group = parquet.ParquetFile(io.BytesIO(body)).metadata.row_group(0)
    assert {group.column(n).compression for n in range(group.num_columns)} == {"ZSTD"}
    assert len(body) < 80_000, "what an object costs before it holds anything"


@pytest.mark.parametrize(
    ("given", "path", "value"),
    [
        ({"risk_score": "high"}, "risk_score", "high"),
        ({"risk_score": 1 << 31}, "risk_score", 1 << 31),
        ({"risk_score": True}, "risk_score", True),
        ({"risk_score": 1.5}, "risk_score", 1.5),
        ({"is_alert": 1}, "is_alert", 1),
        ({"message": ["a", "b"]}, "message", ["a", "b"]),
        ({"to": "a@b.example"}, "to", "a@b.example"),
        ({"to": ["a@b.example", 5]}, "to[1]", 5),
        ({"email": {"subject": {"x": 1}}}, "email.subject", {"x": 1}),
        ({"email": "text"}, "email", "text"),
        ({"src_endpoint": {"location": {"moon": "x"}}}, "src_endpoint.location.moon", "x"),
        ({"invented": {"deep": [1]}}, "invented", {"deep": [1]}),
        ({"time": "yesterday"}, "time", "yesterday"),
        ({"time": 1 << 62}, "time", 1 << 62),
    ],
)
async def test_a_value_that_does_not_fit_is_kept_in_unmapped(
    given: dict[str, Any], path: str, value: Any
) -> None:
    tables = await stored(event(**given, unmapped={"kept": 1}), event())

    [table] = tables.values()
    rows = table.to_pylist()
    assert len(rows) == 2
    unmapped = [json.loads(row["unmapped"] or "{}") for row in rows]
    assert {"kept": 1, "parquet_misfits": {path: value}} in unmapped
    assert [row["time"] for row in rows] == [int(AT.timestamp() * 1000)] * 2


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"CEF:0|a|b|", "not strict JSON"),
        (b'{"class_uid": 4009, "message": "\\ud800"}', "not strict JSON"),
        (b"[1]", "no class_uid"),
        (b'{"class_uid": [4009]}', "no class_uid"),
        (b'{"class_uid": 2001}', "no class_uid"),
        (b'{"class_uid": 7001}', "no source of security_lake takes OCSF class 7001"),
        (b'{"class_uid": 4009, "unmapped": ' + b"[" * 2000 + b"]" * 2000 + b"}", "not strict JSON"),
    ],
)
async def test_an_event_that_can_be_no_row_is_rejected_and_the_others_are_stored(
    payload: bytes, reason: str
) -> None:
    async with bucket() as store:
        sender = output(store.url)
        receipt = await sender.send_batch(NAME, [event(), replace(event(), payload=payload), event()])
        await sender.close()

    assert list(receipt.rejected) == [1]
    assert reason in receipt.rejected[1]
    assert [read(body).num_rows for body in store.objects.values()] == [2]


async def test_a_repetition_stores_what_is_missing_and_changes_nothing_else() -> None:
    events = [event(), event(AT + timedelta(days=1))]
    second = f"{AT + timedelta(days=1):%Y%m%d}/"
    async with bucket() as store:
        sender = output(store.url)
        store.trouble = lambda asked: refusal(503, "SlowDown") if second in asked.path else None
        with pytest.raises(Exception, match="SlowDown"):
            await sender.send_batch(NAME, events)
        before = dict(store.objects)
        store.trouble = lambda _: None
        receipt = await sender.send_batch(NAME, events)
        await sender.close()

    assert len(before) == 1
    assert len(store.objects) == 2
    assert before.items() <= store.objects.items()
    assert receipt.duplicates == 1


async def test_a_batch_that_is_stored_in_part_is_never_cut() -> None:
    async with bucket() as store:
        sender = output(store.url)
        store.trouble = lambda asked: refusal(400, "EntityTooLarge") if "20261119" in asked.path else None
        with pytest.raises(Hold, match="1 of 2 objects"):
            await sender.send_batch(NAME, [event(), event(AT + timedelta(days=1))])
        store.trouble = lambda _: refusal(400, "EntityTooLarge")
        with pytest.raises(Refused):
            await sender.send_batch(BatchName("01", AT), [event(AT + timedelta(days=2)), event()])
        await sender.close()


async def test_heartbeats_and_audit_events_go_to_sources_of_their_own() -> None:
    library = Library()
    pack = library.load("ocsf")
    status = {"version": "1", "ready": True, "reasons": [], "feeds": [], "outputs": []}
    beat = build_heartbeat(
        "lake", timedelta(minutes=5), heartbeat_mapper(library, pack), lambda: status, lambda: AT
    ).make()
    body = {
        "id": "1-1",
        "time": "2026-11-18T09:41:07Z",
        "action": "move",
        "state": "partial",
        "caller": "soar",
    }
    audit = audit_mapper(library, pack, {})(Revision(Feed("a", "$actions"), Record("1-1", body), "d", 1, AT))
    assert audit is not None
    lake = {**LAKE, "actions_source": "cf-actions/1.0", "heartbeat_source": "cf-beat", "region": "us-east-1"}

    tables = await stored(event(), beat, audit, lake=lake, actions=True, heartbeat="5m")

    made = {key.split("/region=")[0]: table for key, table in tables.items()}
    assert set(made) == {"/ext/cf-email", "/ext/cf-beat", "/ext/cf-actions/1.0"}
    assert all("/region=us-east-1/accountId=123456789012/eventDay=20261118/" in key for key in tables)
    for source, class_uid, sent in (("/ext/cf-beat", 0, beat), ("/ext/cf-actions/1.0", 7001, audit)):
        [row] = made[source].to_pylist()
        assert _text(document(row, class_uid)) == _text(json.loads(sent.payload))


async def test_audit_logs_go_to_a_source_of_their_own_with_nothing_but_columns() -> None:
    library = Library()
    body = {
        "id": "a1",
        "action": {"type": "delete", "time": "2026-11-18T09:41:07Z", "result": "success"},
        "actor": {"email": "admin@corp.example", "id": "u1", "ip_address": "198.51.100.7"},
        "raw": {"method": "DELETE", "uri": "/x", "status_code": 200, "user_agent": "curl"},
        "resource": {"id": "7", "product": "email_security", "type": "allow_policy"},
    }
    mapper = mapper_of_any_source(library, library.load("ocsf"), {})
    entry = mapper(Revision(Feed("a", "changes"), Record("audit_logs:a1", body), "d", 1, AT))
    assert entry is not None

    tables = await stored(
        event(), entry, lake={**LAKE, "audit_logs_source": "cf-audit", "region": "us-east-1"}
    )

    made = {key.split("/region=")[0]: table for key, table in tables.items()}
    assert set(made) == {"/ext/cf-email", "/ext/cf-audit"}
    [row] = made["/ext/cf-audit"].to_pylist()
    assert "parquet_misfits" not in row["unmapped"]
    assert row["actor"]["user"] == {
        "name": "admin@corp.example",
        "uid": "u1",
        "email_addr": "admin@corp.example",
    }
    assert row["api"]["response"]["code"] == 200
    assert row["resources"] == [{"uid": "7", "type": "allow_policy"}]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"security_lake": None}, "belong together"),
        ({"format": "ndjson"}, "belong together"),
        ({"prefix": "mail/"}, "remove prefix"),
        ({"heartbeat": "5m"}, "security_lake.heartbeat_source"),
        ({"actions": True}, "security_lake.actions_source"),
        ({"security_lake": {**LAKE, "actions_source": "cf-audit"}}, "security_lake.actions_source"),
        ({"security_lake": {"source": "a/b/c", "account": "1"}}, "pattern"),
        (
            {"security_lake": {**LAKE, "heartbeat_source": "cf-email"}, "heartbeat": "5m"},
            "name different",
        ),
    ],
)
def test_a_layout_that_is_not_whole_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(**{"lake": given.pop("security_lake", LAKE), **given})


def test_without_the_extra_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.outputs.s3.parquet.find_spec", lambda _: None)
    with pytest.raises(ValidationError, match=r"pip install 'cloudflare-email-connector\[parquet\]'"):
        settings()


CONFIG = """
accounts: {prod: {account_id: 023e105f4ecef8ad9ca31a8372d0c353, api_token: t}}
outputs:
  lake:
    type: s3
    bucket: soc-mail
    region: eu-central-1
    auth: {web_identity: {}}
"""


def test_another_format_of_the_mapping_is_refused_with_its_place(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    more = "    format: parquet\n    security_lake: {source: s, account: '1'}\n    mapping: ecs\n"
    config.write_text(CONFIG + more)

    with pytest.raises(ConfigurationError) as raised:
        build_routes(load(config, {}), lambda _: None, {})

    [problem] = raised.value.problems
    assert "outputs.lake.mapping: expected a mapping of format ocsf, ecs has the format ecs" in str(problem)
    assert problem.position is not None
    assert problem.position.line == 11
    assert "set mapping: ocsf" in problem.hint


@pytest.mark.parametrize("more", ["", "    format: parquet\n    security_lake: {source: s, account: '1'}\n"])
def test_a_daemon_imports_no_pyarrow_before_the_first_batch(tmp_path: Path, more: str) -> None:
    (tmp_path / "c.yaml").write_text(f"{CONFIG}    mapping: ocsf\n{more}")
    program = (
        "import sys\nfrom pathlib import Path\nimport connector.app.daemon\n"
        "from connector.app.routes import build_routes\nfrom connector.settings import load\n"
        "build_routes(load(Path(sys.argv[1]), {}), lambda fact: None, {})\n"
        "print('pyarrow' in sys.modules, 'connector.outputs.s3.output' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "c.yaml")], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["False", "True"]
