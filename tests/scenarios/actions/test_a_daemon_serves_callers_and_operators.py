"""The whole program: a daemon with callers over HTTP, an operator at the command line, audit in an output."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from connector.simulator import Access, Simulator, running
from tests.support.acting import DELIVERED, HELD
from tests.support.process import ACCOUNT, TOKEN, Daemon, command, daemon, environment, until

pytestmark = pytest.mark.slow

WRITE, SOC, ASKS = "canary-write-9b3c5d7f", "canary-soc-1a2b3c4d5e6f", "canary-asks-1a2b3c4d5e6f"
CONFIG = f"""
accounts:
  prod:
    account_id: {ACCOUNT}
    api_token: "${{env:TOKEN}}"
    write_token: "${{env:WRITE}}"
    base_url: "${{env:BASE}}"
searches: {{detections: {{every: 1s, start: 1h}}}}
outputs:
  disk: {{type: file, path: events.ndjson, mapping: ecs, actions: true}}
  plain: {{type: file, path: plain.ndjson, mapping: cef}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
actions:
  listen: 127.0.0.1:0
  callers:
    soc: {{token: "${{env:SOC}}", may: [search, move, release, events]}}
    asks: {{token: "${{env:ASKS}}", may: [release], approval: operator}}
"""


class Api:
    """The HTTP API of a running daemon."""

    def __init__(self, connector: Daemon) -> None:
        found: list[str] = []
        until(lambda: bool(found or self._announced(connector, found)), "the API's URL")
        self._url = found[0]

    @staticmethod
    def _announced(connector: Daemon, found: list[str]) -> bool:
        found += re.findall(r'"url":"(http[^"]+)"', "".join(connector.logs))
        return bool(found)

    def call(
        self, method: str, path: str, body: object = None, token: str = SOC
    ) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(
            self._url + path,
            None if body is None else json.dumps(body).encode(),
            {"authorization": f"Bearer {token}", "content-type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


def audited(file: Path) -> list[str]:
    lines = file.read_text().splitlines() if file.exists() else []
    events = [json.loads(line) for line in lines]
    return [
        event["cloudflare"]["email_security"]["action"]["state"]
        for event in events
        if "response-action" in event["tags"]
    ]


def test_a_caller_acts_an_operator_approves_and_the_output_tells(  # noqa: PLR0915, one story from end to end
    tmp_path: Path,
) -> None:
    simulator = Simulator(access=Access(tokens=frozenset({TOKEN, WRITE}), read_tokens=frozenset({TOKEN})))
    (tmp_path / "connector.yaml").write_text(CONFIG)
    held, free = simulator.world.add(HELD), simulator.world.add(DELIVERED)
    with running(simulator) as base_url:
        environ = environment(TOKEN=TOKEN, WRITE=WRITE, SOC=SOC, ASKS=ASKS, BASE=base_url)
        with daemon(tmp_path, environ) as connector:
            api = Api(connector)
            until(connector.ready, "readiness")
            body = {"ids": [free], "destination": "JunkEmail", "reason": "SOC-1"}
            status, moved = api.call("POST", "/v1/messages/move?wait=20s", body)
            assert (status, moved["state"]) == (200, "succeeded")

            ask = {"ids": [held], "reason": "SOC-2"}
            status, waiting = api.call("POST", "/v1/messages/release", ask, ASKS)
            assert (status, waiting["state"]) == (202, "awaiting_approval")
            until(lambda: connector.status()["actions"]["awaiting_approval"] == 1, "the status")
            listed = command("action", "list", "--status", "awaiting_approval", environ=environ, cwd=tmp_path)
            assert waiting["id"] in listed[1]
            metrics = connector.get("/metrics").decode()
            assert "email_connector_actions_awaiting_approval 1.0" in metrics
            asked = {"COMP_WORDS": "email-connector action approve ", "COMP_CWORD": "3"}
            completing = {**environ, **asked, "_EMAIL_CONNECTOR_COMPLETE": "bash_complete"}
            expected = [f"plain,{waiting['id']}"]
            # On a busy machine the daemon may answer later than a shell waits.
            until(lambda: command(environ=completing, cwd=tmp_path)[1].split() == expected, "the completion")
            assert command("action", "approve", waiting["id"], environ=environ, cwd=tmp_path)[0] == 0
            until(lambda: simulator.ledger.effects("release") == {held: 1}, "the release")

            again = ("--to", "DeletedItems", "--reason", "SOC-3")
            code, text, _ = command("action", "move", free, *again, "--yes", environ=environ, cwd=tmp_path)
            assert (code, "succeeded" in text, "operator:" in text) == (0, True, True)
            writes = len(simulator.ledger.writes)
            dry = ("action", "move", free, *again, "--dry-run")
            code, text, _ = command(*dry, environ=environ, cwd=tmp_path)
            assert (code, "would be moved" in text) == (0, True)
            assert len(simulator.ledger.writes) == writes
            refused = command("action", "move", free, *again, environ=environ, cwd=tmp_path)
            assert (refused[0], "add --yes" in refused[2]) == (2, True)

            until(lambda: audited(tmp_path / "events.ndjson").count("succeeded") >= 4, "audit events")
            status, events = api.call("GET", "/v1/events?search=detections&output-mapping=ecs&wait=20s")
            assert {event["id"] for event in events["events"]} == {held, free}
            assert events["events"][0]["event"]["ecs"]["version"] == "9.5.0"
            status, more = api.call("GET", f"/v1/events?after={events['next']}")
            assert (status, more["events"], more["skipped"]) == (200, [], 0)
            status, lines = api.call("GET", "/v1/events?output-mapping=cef&limit=1")
            assert lines["events"][0]["line"].startswith("CEF:0|Cloudflare|")
            for name in ("none", "common"):
                assert api.call("GET", f"/v1/events?output-mapping={name}")[0] == 422
            assert api.call("GET", "/v1/events?after=999999")[1]["code"] == "cursor_ahead"

            without = CONFIG.replace("    asks:", "    other:")
            without = without.replace('"${env:ASKS}"', '"another-token-0123456"')
            (tmp_path / "connector.yaml").write_text(without)
            assert command("reload", environ=environ, cwd=tmp_path)[0] == 0
            until(lambda: api.call("GET", "/v1/caller")[0] == 200, "the API after a reload")
            assert api.call("GET", "/v1/caller", token=ASKS)[0] == 401
            assert connector.terminate() == 0
        [refused_call] = [
            event
            for event in map(json.loads, (tmp_path / "events.ndjson").read_text().splitlines())
            if event["event"]["action"] == "call" and event["user"]["name"] == "unknown"
        ]
        assert refused_call["source"]["ip"] == "127.0.0.1"
        plain = (tmp_path / "plain.ndjson").read_text()
        code, _, error = command("action", "list", environ=environ, cwd=tmp_path)

    assert "connector.action" not in plain
    assert (code, "no daemon" in error) == (1, True)
    everything = "".join(connector.logs) + plain + (tmp_path / "events.ndjson").read_text()
    for secret in (TOKEN, WRITE, SOC, ASKS):
        assert secret not in everything
        assert secret.encode() not in (tmp_path / "state" / "journal.db").read_bytes()


def test_without_the_section_there_are_no_actions_and_nothing_of_them_is_imported(tmp_path: Path) -> None:
    config = CONFIG[: CONFIG.index("actions:\n")].replace("actions: true", "actions: false")
    (tmp_path / "connector.yaml").write_text(config)
    simulator = Simulator(backlog=20)
    program = (
        "import sys; sys.argv = ['email-connector', 'run', '--once']\n"
        "from connector.cli import main\n"
        "try: main()\n"
        "finally: print(sorted(n for n in sys.modules if n.startswith('connector.actions')), file=sys.stderr)"
    )
    with running(simulator) as base_url:
        environ = environment(TOKEN=TOKEN, WRITE=WRITE, BASE=base_url)
        with daemon(tmp_path, environ) as connector:
            until(connector.ready, "readiness")
            code, _, error = command("action", "list", environ=environ, cwd=tmp_path)
            assert connector.status()["actions"] is None
            assert connector.terminate() == 0
        done = subprocess.run(
            [sys.executable, "-c", program], env=environ, cwd=tmp_path, capture_output=True, check=False
        )

    assert (code, "add the section actions" in error) == (1, True)
    assert done.stderr.decode().splitlines()[-1] == "[]"
    assert "write_token is not used" in "".join(connector.logs)


def test_a_reload_without_actions_refuses_callers_at_once(tmp_path: Path) -> None:
    file = tmp_path / "connector.yaml"
    file.write_text(CONFIG)
    with running(Simulator()) as base_url:
        environ = environment(TOKEN=TOKEN, WRITE=WRITE, SOC=SOC, ASKS=ASKS, BASE=base_url)
        with daemon(tmp_path, environ) as connector:
            api = Api(connector)
            file.write_text(CONFIG.partition("actions:\n")[0].replace(", actions: true", ""))
            assert command("reload", environ=environ, cwd=tmp_path)[0] == 0
            with pytest.raises(urllib.error.URLError, match="refused"):
                api.call("POST", "/v1/messages/search", {})

            file.write_text(CONFIG)
            assert command("reload", environ=environ, cwd=tmp_path)[0] == 0
            assert command("action", "list", environ=environ, cwd=tmp_path)[0] == 0
            assert connector.terminate() == 0
