"""The effective configuration, as people get to see it."""

from __future__ import annotations

from pathlib import Path

import yaml

from connector.secret import MASK
from connector.settings import load
from connector.settings.render import render
from connector.settings.schema_index import settings_schema
from tests.unit.settings.support import MINIMAL, read

TEXT = MINIMAL.replace("every: 60s", "cron: '*/5  * * * *', start: 2026-01-31").replace(
    "type: stdout",
    """type: http
    url: https://hooks.example/${env:HOOK}
    mapping: ${env:MAPPING:-cef}
    when: {subject: ["${env:WORD}", plain]}
    headers: {X-Key: abc}
    batch: {bytes: 2MiB}""",
)


def lines(tmp_path: Path) -> dict[str, str]:
    environ = {"HOOK": "T000", "WORD": "invoice", "CONNECTOR_OUTPUTS__SIEM__TIMEOUT": "90s"}
    text = render(read(tmp_path, TEXT, environ)).replace(f"{tmp_path}/", "")
    return {line.split(":")[0].strip(): " ".join(line.split()) for line in text.splitlines()}


def test_each_value_tells_where_it_comes_from(tmp_path: Path) -> None:
    shown = lines(tmp_path)

    assert shown["# connector.yaml"] == "# connector.yaml"
    assert shown["cron"] == "cron: '*/5 * * * *' # connector.yaml:6:22"
    assert shown["start"] == "start: '2026-01-31T00:00:00Z' # connector.yaml:6:45"
    assert shown["every"] == "every: null # default"
    assert shown["timeout"] == "timeout: 1m30s # CONNECTOR_OUTPUTS__SIEM__TIMEOUT"
    assert shown["bytes"] == "bytes: 2MiB # connector.yaml:14:20"
    assert shown["max_bytes"] == "max_bytes: 1GiB # default"


def test_secrets_are_masked_and_references_shown_as_written(tmp_path: Path) -> None:
    shown = lines(tmp_path)

    assert shown["api_token"] == f"api_token: '{MASK}' # connector.yaml:4:16"
    assert shown["X-Key"] == f"X-Key: '{MASK}' # connector.yaml:13:22"
    assert shown["url"] == f"url: https://hooks.example/{MASK} # connector.yaml:10:10"
    assert shown["mapping"] == "mapping: ${env:MAPPING:-cef} # connector.yaml:11:14"
    assert shown["subject"] == "subject: ['${env:WORD}', plain] # connector.yaml:12:21"


def test_it_is_yaml_with_every_key_there_is(tmp_path: Path) -> None:
    values = yaml.safe_load(render(read(tmp_path, MINIMAL)))

    top = settings_schema()
    search = top.child("searches")
    detections = search.child("detections") if search else None
    assert set(values) == set(top.known)
    assert detections is not None
    assert set(values["searches"]["detections"]) == set(detections.known)
    assert values["outputs"]["siem"]["type"] == "stdout"


def test_without_a_file_the_variables_are_named() -> None:
    account = "023e105f4ecef8ad9ca31a8372d0c353"

    text = render(load(None, {"CLOUDFLARE_API_TOKEN": "x", "CLOUDFLARE_ACCOUNT_ID": account}))

    assert text.startswith("# no file\n")
    assert f"    account_id: {account}    # CLOUDFLARE_ACCOUNT_ID\n" in text
