"""``check --send-test``: one marked event, through each output's own mapping, to its real collector."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.mapping import Library, build_mapper
from connector.ops.check import CheckResult, build_test_revision, check
from connector.settings import load
from connector.simulator import Simulator, running
from tests.support.bulk_collector import bulk_collector
from tests.support.process import ACCOUNT, TOKEN, command, environment
from tests.support.scripted_http import Asked, Reply, scripted

CONFIG = f"""
accounts:
  prod: {{account_id: {ACCOUNT}, api_token: "${{env:TOKEN}}", base_url: "${{env:BASE}}"}}
searches:
  detections: {{every: 60s}}
outputs:
  lake: {{type: http, url: "${{env:URL}}/lake", mapping: ecs}}
  chat: {{type: http, url: "${{env:URL}}/chat", when: {{subject: other}}, body: {{text: "{{subject}}"}}}}
  disk: {{type: file, path: events.cef, mapping: cef, redact: {{subject: drop}}}}
state: {{directory: state}}
server: {{listen: null}}
"""


async def results(directory: Path, url: str, config: str = CONFIG) -> Mapping[str, CheckResult]:
    (directory / "connector.yaml").write_text(config)
    with running(Simulator()) as base_url:
        environ = {**os.environ, "TOKEN": TOKEN, "BASE": base_url, "URL": url}
        loaded = load(directory / "connector.yaml", environ)
        return {found.item: found for found in await check(loaded, offline=False, send_test=True)}


async def test_every_output_gets_one_whatever_its_when_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with scripted(lambda _: Reply(200)) as collector:
        found = await results(tmp_path, collector.url)

    bodies = {asked.path: json.loads(asked.body) for asked in collector.asked if asked.method == "POST"}
    line = (tmp_path / "events.cef").read_text()
    assert [found[f"test event {name}"].outcome for name in ("lake", "chat", "disk")] == ["ok"] * 3
    assert bodies["/lake"]["email"]["subject"].startswith("Test event of the Cloudflare Email Security")
    assert bodies["/chat"]["text"].startswith("Test event of the Cloudflare Email Security")
    assert bodies["/lake"]["event"]["id"] in found["test event lake"].text
    assert line.startswith("CEF:0|Cloudflare|Email Security|")
    assert "Test event" not in line, "the output's redaction holds for it, too"


async def test_a_collector_that_does_not_take_it_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def answer(asked: Asked) -> Reply:
        return Reply(403 if asked.path == "/lake" else 200)

    async with scripted(answer) as collector:
        found = await results(tmp_path, collector.url)

    assert found["test event lake"].outcome == "failed"
    assert "403" in found["test event lake"].text
    assert found["test event chat"].outcome == "ok"


async def test_none_is_sent_to_a_collector_that_lacks_its_setup(tmp_path: Path) -> None:
    async with bulk_collector(product="opensearch", streams=set(), creates=True) as collector:
        outputs = f"outputs: {{lake: {{type: elasticsearch, url: '{collector.url}'}}}}\n"
        config = f"{CONFIG.split('outputs:', maxsplit=1)[0]}{outputs}state: {{directory: state}}\n"
        found = await results(tmp_path, collector.url, config)

    assert "check --setup" in found["output lake"].text
    assert found["test event lake"] == CheckResult(
        "test event lake", "failed", "not sent, because the check of output lake failed"
    )
    assert collector.stored == {}
    assert collector.indexes == set(), "no index with guessed field types"


def test_without_network_nothing_can_be_sent(tmp_path: Path) -> None:
    code, _, err = command("check", "--offline", "--send-test", cwd=tmp_path, environ=environment())

    assert code == 2
    assert "--offline" in err


@pytest.mark.parametrize("name", ["ecs", "cef", "leef", "ocsf", "cim", "asim", "raw"])
def test_every_pack_takes_it_as_harmless(name: str) -> None:
    event = build_mapper(Library().load(name))(
        build_test_revision(datetime(2026, 11, 18, 9, 41, 7, tzinfo=UTC))
    )

    assert event is not None
    assert event.severity <= 1
    assert event.notes == ()
