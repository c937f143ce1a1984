"""What the documents tell people to type exists, and runs as far as it can run without their account."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import click
import pytest
import yaml

from connector.app.routes import build_routes
from connector.cli import group
from connector.settings import load
from connector.simulator import Simulator, running
from tests.docs.pages import COMMANDS, MARKS, Block, blocks, commands
from tests.support.process import ACCOUNT, ROOT, TOKEN, daemon, environment, until
from tests.support.programs import program

BLOCKS = list(blocks())
KEYS = {"accounts", "actions", "searches", "outputs", "state", "server", "log", "mappings", "drain"}


def running_pages() -> dict[Path, list[Block]]:
    found: defaultdict[Path, list[Block]] = defaultdict(list)
    for block in BLOCKS:
        if block.mark.startswith(("run", "file ")):
            found[block.page].append(block)
    return {page: chosen for page, chosen in found.items() if any(b.mark.startswith("run") for b in chosen)}


PAGES = running_pages()


def test_every_block_of_commands_says_what_becomes_of_it() -> None:
    silent = [str(block) for block in BLOCKS if block.kind in COMMANDS and not block.mark]
    wrong = [str(block) for block in BLOCKS if block.mark and not MARKS.fullmatch(block.mark)]

    assert silent == [], "put a mark in front of each, see tests/docs/pages.py"
    assert wrong == []
    for block in BLOCKS:
        if block.mark.startswith("by "):
            assert (ROOT / block.mark.removeprefix("by ")).exists(), str(block)


def test_every_command_and_option_in_a_document_exists() -> None:
    wrong = [f"{place}: {' '.join(words)}: {said}" for place, words in commands() if (said := unknown(words))]

    assert wrong == []


def test_a_published_port_is_one_that_the_container_listens_on() -> None:
    """Inside the image the endpoint listens on loopback, which no published port reaches."""
    runs = [run for block in BLOCKS for run in re.findall(r"docker run (?:.*\\\n)*.*", block.text)]
    published = [run for run in runs if re.search(r"-p \S*:9464\b", run)]

    assert len(published) >= 3
    assert [run for run in published if "-e CONNECTOR_SERVER__LISTEN=0.0.0.0:9464" not in run] == []


def test_every_key_of_the_secret_in_the_values_is_made_before() -> None:
    page = [block.text for block in BLOCKS if block.page == ROOT / "docs" / "kubernetes.md"]
    [create] = [text for text in page if "create secret" in text]
    [values] = [text for text in page if "existingSecret" in text]

    names = set(re.findall(r"/run/secrets/email-connector/(\w+)", values))
    assert names
    assert names == set(re.findall(r"--from-file=(\w+)=", create))


def test_every_make_target_in_a_document_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for block in BLOCKS:
        for line in block.text.splitlines() if block.kind in COMMANDS else ():
            if line.startswith("make "):
                named = {word for word in shlex.split(line, comments=True)[1:] if "=" not in word}
                assert named <= targets, str(block)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    simulator = Simulator(backlog=400)
    script = "\n".join(map(step, PAGES[page]))
    with running(simulator) as url:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environ = environment(
            PATH=path,
            CLOUDFLARE_API_TOKEN=TOKEN,
            CLOUDFLARE_ACCOUNT_ID=ACCOUNT,
            CLOUDFLARE_BASE_URL=url,
            CONNECTOR_STATE__DIRECTORY=str(tmp_path / "state"),
            CONNECTOR_SERVER__LISTEN="127.0.0.1:0",
        )
        if any(block.mark == "run beside a connector" for block in PAGES[page]):
            with daemon(tmp_path, environ) as connector:
                until(connector.ready, "readiness")
                run(script, tmp_path, environ)
                assert connector.terminate() == 0
        else:
            run(script, tmp_path, environ)


def step(block: Block) -> str:
    """What a shell does for *block*; the account of a configuration is the simulator's."""
    if not block.mark.startswith("file "):
        return block.text
    name = block.mark.removeprefix("file ")
    written = f"cat > {name} <<'END OF FILE'\n{block.text}END OF FILE\n"
    return f"{written}export CONNECTOR_ACCOUNTS__PROD__BASE_URL=$CLOUDFLARE_BASE_URL\n"


def run(script: str, directory: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=directory,
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


CONFIGURATIONS = [
    block
    for block in BLOCKS
    if block.kind == "yaml" and "outputs" in (keys := yaml.safe_load(block.text) or {}) and set(keys) <= KEYS
]


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=str)
def test_a_configuration_in_a_document_can_be_used_as_it_stands(block: Block, tmp_path: Path) -> None:
    text = block.text
    for name in set(re.findall(r"\$\{file:/run/secrets/(\w+)\}", text)):
        (tmp_path / name).write_text(f"https://{name.replace('_', '-')}.example/x")
    text = re.sub(r"\b(ca_file|cert_file|key_file): \S+?(?=[\s,}])", _without_its_file, text)
    file = tmp_path / "connector.yaml"
    file.write_text(text.replace("/run/secrets", str(tmp_path)))
    names = re.findall(r"\$\{env:(\w+)", text)
    environ = {
        **dict.fromkeys(names, ACCOUNT),
        "CLOUDFLARE_API_TOKEN": TOKEN,
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT,
        "CF_WRITE_TOKEN": TOKEN[::-1],  # a token of its own, as the connector demands
    }

    loaded = load(file, environ)

    assert build_routes(loaded, lambda _: None, {ACCOUNT: "prod"})


def _without_its_file(found: re.Match[str]) -> str:
    """A file that only its owner has is left out; that it is named well is seen in the key."""
    return f"{found[1]}: null"


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.mark == "rsyslog"], ids=str)
def test_rsyslog_takes_its_configuration(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "rsyslog.conf"
    file.write_text(block.text)

    done = subprocess.run(
        [program("rsyslogd"), "-N1", "-f", str(file)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.mark == "syslog-ng"], ids=str)
def test_syslog_ng_takes_its_configuration(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "syslog-ng.conf"
    file.write_text(block.text)

    found = shutil.which("syslog-ng") or shutil.which("syslog-ng", path="/usr/local/sbin:/usr/sbin")
    if found is None:
        pytest.skip("syslog-ng is not installed; its package excludes that of rsyslog")
    command = [found, "--syntax-only", "--no-caps", "-f", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def unknown(words: list[str]) -> str:
    """What of a command line does not exist, "" when all of it does."""
    command: click.Command = group
    context = click.Context(group, info_name="email-connector")
    options = {"-h", "--help", "--version"}
    for word in words:
        name = word.partition("=")[0]
        if name.startswith("-") and name != "-":
            if name not in options:
                return f"no option {name}"
        elif isinstance(command, click.Group) and re.fullmatch(r"[a-z]+", word):
            inner = command.get_command(context, word)
            if inner is None:
                return f"no command {word}"
            command, context = inner, click.Context(inner, parent=context, info_name=word)
            options |= {opt for one in command.params for opt in (*one.opts, *one.secondary_opts)}
    return ""


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    collectors = (ROOT / "docs" / "collectors" / "README.md").read_text("utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name
    for page in (ROOT / "docs" / "collectors").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in collectors, page.name
