"""``check`` for machines and for pull requests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.harness import Shell, StateFolder

PULL_REQUEST = """
accounts:
  prod: {account_id: "${env:ACCOUNT}", api_token: "${file:/run/secrets/token}"}
  test: {account_id: "${env:OTHER_ACCOUNT}", api_token: "${env:OTHER_TOKEN}", proxy: "${env:PROXY}"}
  old: {account_id: "${env:OLD_ACCOUNT}", email: "${env:OWNER}", api_key: "${env:KEY}"}
searches:
  detections: {every: "${env:EVERY}"}
outputs:
  splunk: {type: splunk_hec, url: "${env:SPLUNK}", token: "${env:HEC}", tls: {ca_file: /etc/ca.pem}}
  siem: {type: syslog, address: "${env:SIEM}", tls: {cert_file: client.pem}}
  bus: {type: kafka, brokers: "${env:BROKERS}", topic: mail}
  azure:
    type: sentinel
    url: "${env:ENDPOINT}"
    rule: "${env:RULE}"
    auth: {tenant_id: "${env:TENANT}", client_id: "${env:APP}", client_secret: "${env:APP_SECRET}"}
state: {directory: state, postgres: {url: "${file:/run/secrets/database}"}}
redaction: {key: "${file:/run/secrets/key}"}
server: {token: "${env:STATUS_TOKEN}"}
"""


def test_results_as_json_with_a_summary(shell: Shell, folder: StateFolder) -> None:
    answer = shell("check", "--offline", "--json")
    report = json.loads(answer.out)

    assert answer.code == 0
    assert report["failed"] == 0
    assert {"item", "outcome", "text", "hint"} == set(report["results"][0])
    assert report["notes"] == sum(result["outcome"] == "note" for result in report["results"])


def test_the_last_line_is_a_summary(shell: Shell) -> None:
    assert shell("check", "--offline").out.splitlines()[-1].endswith(" checks: no failures, 0 notes")


def test_a_pull_request_is_checked_without_a_single_secret(
    shell: Shell, folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKEN")
    (folder.directory / "connector.yaml").write_text(PULL_REQUEST)

    answer = shell("check", "--no-secrets")

    assert answer.code == 0, answer.out + answer.err
    assert "request plan test/detections" in answer.out
    assert not (folder.directory / "state").exists()
    assert shell("check", "--offline").code == 2, "which is not for running it"


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        ("evry: 1m", "unknown key"),
        ("every: soon", "expected a duration"),
        ("accounts: [prd]", "did you mean prod?"),
    ],
)
def test_a_mistake_in_a_pull_request_is_found_all_the_same(
    shell: Shell, folder: StateFolder, monkeypatch: pytest.MonkeyPatch, mistake: str, text: str
) -> None:
    monkeypatch.delenv("TOKEN")
    changed = PULL_REQUEST.replace('every: "${env:EVERY}"', mistake)
    (folder.directory / "connector.yaml").write_text(changed)

    answer = shell("check", "--no-secrets")

    assert answer.code == 2
    assert text in answer.err
    assert answer.err.startswith("error: connector.yaml:")


def test_it_needs_no_network_options(shell: Shell, tmp_path: Path) -> None:
    assert shell("check", "--no-secrets", "--send-test").code == 2
