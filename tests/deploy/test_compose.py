"""Compose files: what they name is there, their configurations load, the connector is locked down."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector import __version__
from connector.settings import Loaded, load
from connector.simulator import Simulator, running
from tests.deploy.artefacts import DEPLOY, ROOT
from tests.support.process import command, daemon, environment, until
from tests.support.programs import tool

FILES = sorted((DEPLOY / "compose").glob("*/compose.yaml"))
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
each = pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.parent.name))


def composed(file: Path) -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load(file.read_text())
    return made


def loaded(file: Path, directory: Path) -> Loaded:
    """The configuration beside *file*, as the container would load it."""
    text = (file.parent / "connector.yaml").read_text()
    for name in re.findall(r"\$\{file:/run/secrets/(\w+)", text):
        (directory / name).write_text("a-secret-of-a-trial\n")
    copy = directory / "connector.yaml"
    copy.write_text(text.replace("/run/secrets", str(directory)))
    return load(copy, {"CLOUDFLARE_ACCOUNT_ID": ACCOUNT, "ELASTIC_PASSWORD": "x"})


def test_there_is_one_for_each_way_to_try_it() -> None:
    assert {file.parent.name for file in FILES} == {
        "simulator", "elasticsearch", "splunk", "replicated", "actions",
    }  # fmt: skip


@each
def test_every_file_that_is_mounted_or_built_is_there(file: Path) -> None:
    made = composed(file)

    for service in made["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (file.parent / source).exists() if source.startswith(".") else source in made["volumes"]
        context = service.get("build", {}).get("context")
        assert context is None or (file.parent / context).resolve() == ROOT
        for secret in service.get("secrets", ()):
            assert secret in made["secrets"]
        for other in service.get("depends_on", {}):
            assert other in made["services"]


@each
def test_the_connector_may_write_its_state_and_nothing_else(file: Path) -> None:
    connector = composed(file)["services"]["connector"]

    assert connector["image"] == f"email-connector:{__version__}"
    assert connector["read_only"] is True
    assert connector["cap_drop"] == ["ALL"]
    assert connector["security_opt"] == ["no-new-privileges:true"]
    assert int(connector["stop_grace_period"].removesuffix("s")) > 25 + 10
    writable = [volume for volume in connector["volumes"] if not volume.endswith(":ro")]
    assert writable == ["state:/var/lib/email-connector"]


@each
def test_ports_are_open_to_this_machine_alone(file: Path) -> None:
    for service in composed(file)["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


@each
def test_its_configuration_loads_and_names_the_services(file: Path, tmp_path: Path) -> None:
    made = loaded(file, tmp_path)

    text = (file.parent / "connector.yaml").read_text()
    hosts = re.findall(r"(?<!_)(?:address|url): \w+://([\w.]+):", text)
    outputs = yaml.safe_load(text)["outputs"].values()
    assert len(hosts) == sum(output["type"] != "stdout" for output in outputs)
    assert set(hosts) <= composed(file)["services"].keys()
    assert not [note for note in made.notes if "in clear text" in note]


def test_the_one_with_response_actions_serves_its_caller_over_tls(tmp_path: Path) -> None:
    """The steps at the top of the file, with the programs of this machine instead of containers."""
    [file] = [file for file in FILES if file.parent.name == "actions"]
    steps = re.findall(r"^#   (.+)$", file.read_text(), re.MULTILINE)
    for program in ("bash", "openssl", "curl"):
        tool(program)
    make, ask = "\n".join(steps[1:4]), steps[5]
    assert (steps[0], steps[4]) == ("cd deploy/compose/actions", "docker compose up --build")
    subprocess.run(["bash", "-ec", make], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    with running(Simulator()) as base_url:
        text = (file.parent / "connector.yaml").read_text().replace("/run/secrets", str(tmp_path / "secrets"))
        text = re.sub(r"http://127\.0\.0\.1:8787\S*", base_url, text)
        (tmp_path / "connector.yaml").write_text(text)
        environ = environment(CONNECTOR_SERVER__LISTEN="127.0.0.1:0", CONNECTOR_ACTIONS__LISTEN="127.0.0.1:0",
                              CONNECTOR_STATE__DIRECTORY=str(tmp_path / "state"))  # fmt: skip
        with daemon(tmp_path, environ) as connector:
            until(lambda: "actions_started" in "".join(connector.logs), "the listener")
            [port] = re.findall(r'"url":"https://127\.0\.0\.1:(\d+)', "".join(connector.logs))
            done = subprocess.run(
                ["bash", "-ec", f"{ask.replace('9465', port)} --silent --show-error"],
                cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            at = ("mcp", "--url", f"https://localhost:{port}", "--token-file", "secrets/soar_token")
            trusting = command(*at, "--ca-file", "secrets/tls_cert", environ=environment(), cwd=tmp_path)
            doubting = command(*at, environ=environment(), cwd=tmp_path)
            assert connector.terminate() == 0

    assert (trusting[0], "serving MCP on stdin and stdout as soar" in trusting[2]) == (0, True)
    assert (doubting[0], "No answer from the connector: localhost" in doubting[2]) == (1, True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["caller"] == "soar"


def test_no_secret_can_be_committed_or_get_into_an_image() -> None:
    assert "deploy/compose/*/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))

    assert "*" in ignored
    assert {Path(name).parts[0] for names in copied for name in names.split()} == allowed
