"""Files and directories that a configuration names and that are missing: refused, never replaced."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from connector.app.build import build_app
from connector.app.reload import Reload
from connector.app.signals import Stop
from connector.errors import ConfigurationError
from connector.net.clock import utc_now
from connector.ops.check import check
from connector.settings import Loaded, load
from tests.support.known_feeds import KnownFeeds
from tests.support.process import ACCOUNT

HEAD = f"""
accounts:
  prod: {{account_id: {ACCOUNT}, api_token: "${{env:TOKEN}}"}}
state: {{directory: state}}
server: {{listen: null}}
log: {{level: error}}
"""
WITH_MAPPINGS = HEAD + "mappings: {directory: mappings}\noutputs: {siem: {type: stdout, mapping: ecs}}\n"
REDACTED = "mapping: 1\nextends: ecs\nfields: {email.subject: null}\n"

PATHS = {
    "mappings": ("mappings: {directory: nothing}", "mappings.directory: cannot read "),
    "account": (f"accounts: {{prod: {{account_id: {ACCOUNT}, api_token: x, tls: {{ca_file: a.pem}}}}}}",
                "accounts.prod.tls.ca_file: cannot read "),
    "output tls": ("outputs: {siem: {type: syslog, address: 'tls://127.0.0.1:1', tls: {ca_file: a.pem}}}",
                   "outputs.siem.tls.ca_file: cannot read "),
    "output file": ("outputs: {disk: {type: file, path: no/such/events}}", "outputs.disk.path: "),
    "identity": ("outputs: {a: {type: s3, bucket: abc, region: r1, auth: {web_identity: {token_file: t}}}}",
                     "outputs.a.auth.web_identity.token_file: cannot read "),
    "endpoint": ("server: {tls: {cert_file: a.pem}}", "server.tls.cert_file: cannot read "),
}  # fmt: skip


def read(directory: Path, text: str) -> Loaded:
    file = directory / "connector.yaml"
    file.write_text(text)
    return load(file, {"TOKEN": "x" * 20})


@pytest.mark.parametrize("name", PATHS)
def test_run_and_check_refuse_it_with_its_place(tmp_path: Path, name: str) -> None:
    text, problem = PATHS[name]
    key = text.partition(":")[0]
    kept = "\n".join(line for line in HEAD.splitlines() if not line.startswith(key))
    if key == "accounts":
        kept = kept.replace(f'  prod: {{account_id: {ACCOUNT}, api_token: "${{env:TOKEN}}"}}\n', "")
    loaded = read(tmp_path, f"{kept}\n{text}\n")

    with pytest.raises(ConfigurationError, match=r"connector\.yaml:\d+:\d+: ") as refused:
        build_app(loaded, utc_now)
    assert problem in str(refused.value)
    with pytest.raises(ConfigurationError) as refused:
        asyncio.run(check(loaded, offline=True))
    assert problem in str(refused.value)


def test_an_empty_mappings_directory_is_not_mistaken_for_one_without_overrides(tmp_path: Path) -> None:
    (tmp_path / "mappings").mkdir()

    with pytest.raises(ConfigurationError, match="contains no mapping files"):
        build_app(read(tmp_path, WITH_MAPPINGS), utc_now)


@pytest.mark.parametrize("name", ["ecs.yml", "ECS.yaml", "common.YAML", "heartbeat/ecs.yml"])
def test_a_mapping_that_is_not_read_for_its_name_is_not_replaced_in_silence(
    tmp_path: Path, name: str
) -> None:
    file = tmp_path / "mappings" / name
    file.parent.mkdir(parents=True)
    file.write_text(REDACTED)
    (tmp_path / "mappings" / "other.yml").write_text("not: a mapping")
    loaded = read(tmp_path, WITH_MAPPINGS)

    with pytest.raises(ConfigurationError) as refused:
        build_app(loaded, utc_now)
    stem = file.stem.lower()
    assert str(refused.value).endswith(
        f"{file} is not read: the built-in mapping {stem} would apply (rename it to {stem}.yaml)"
    )
    with pytest.raises(ConfigurationError, match="is not read"):
        asyncio.run(check(loaded, offline=True))


@pytest.mark.parametrize("gone", ["directory", "files", "one of the files"])
async def test_a_mappings_directory_that_vanishes_is_refused_at_reload_and_the_former_stays(
    tmp_path: Path, gone: str
) -> None:
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    (mappings / "ecs.yaml").write_text(REDACTED)
    if gone == "one of the files":
        (mappings / "other.yaml").write_text("mapping: 1\nextends: ecs\n")
    app = build_app(read(tmp_path, WITH_MAPPINGS), utc_now)
    reload = Reload(lambda: read(tmp_path, WITH_MAPPINGS))
    waiting = asyncio.create_task(reload.next_app(app, Stop(), KnownFeeds()))

    if gone == "directory":
        shutil.rmtree(mappings)
    else:
        (mappings / "ecs.yaml").unlink()
    (problem,) = (await reload.handle({}))["problems"]

    assert "mappings.directory: " in problem
    assert not waiting.done(), "nothing replaces the configuration that redacts"
    assert app.core.telemetry.snapshot()["configuration"]["problems"] == [problem]
    waiting.cancel()
