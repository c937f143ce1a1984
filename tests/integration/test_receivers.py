"""The receiver snippets: rsyslog and syslog-ng accept them, and store what the connector sends as it is."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from connector.errors import Retryable
from connector.mapping import Library, build_mapper
from connector.model import Event, Feed, Record, Revision
from connector.outputs import settings_class
from connector.simulator import Recipe, Simulator, running
from tests.deploy.artefacts import DEPLOY
from tests.support.cef_parser import parse
from tests.support.collectors import free_port, unobserved
from tests.support.process import daemon, environment, until
from tests.support.programs import program

RECEIVERS = DEPLOY / "receivers"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
COUNT = 50


def events() -> list[Event]:
    simulator = Simulator(seed=5, backlog=COUNT, recipe=Recipe(hostile=0.3))
    mapper = build_mapper(Library().load("cef"))
    bodies = ((issued, simulator.ledger.body(issued)) for issued in simulator.ledger.issued())
    made = [mapper(Revision(Feed("a" * 32, "all"), Record(name, body), "d", 1, NOW)) for name, body in bodies]
    return [event for event in made if event is not None]


@contextmanager
def started(arguments: list[str]) -> Iterator[None]:
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def adapted(snippet: str, directory: Path, *changes: tuple[str, str]) -> Path:
    """A copy of the snippet that listens on loopback and writes below *directory*."""
    text = (RECEIVERS / snippet).read_text()
    for old, new in (("/var/log/email-security", str(directory / "log")), *changes):
        assert old in text
        text = text.replace(old, new)
    copy = directory / snippet
    copy.write_text(text)
    return copy


async def deliver(port: int, framing: str, sent: list[Event]) -> None:
    """Send *sent* as the snippet's head says; waits for the receiver to listen."""
    address = f"tcp://127.0.0.1:{port}"
    settings = TypeAdapter(settings_class("syslog")).validate_python(
        {"type": "syslog", "address": address, "framing": framing, "max_message_bytes": "32KiB"}
    )
    output = settings.build("siem", unobserved)
    for attempt in range(100):
        try:
            await output.open()
            break
        except Retryable:
            if attempt == 99:
                raise
            await asyncio.sleep(0.1)
    receipt = await output.send(sent)
    await output.close()
    assert not receipt.rejected


def stored(directory: Path, count: int) -> list[str]:
    """The lines in the files of the receiver, once there are *count*."""
    deadline = time.monotonic() + 30
    lines: list[str] = []
    while time.monotonic() < deadline:
        files = sorted((directory / "log").glob("*.log")) if (directory / "log").exists() else []
        lines = [line for file in files for line in file.read_bytes().decode().split("\n") if line]
        if len(lines) >= count:
            return lines
        time.sleep(0.05)
    raise AssertionError(f"{len(lines)} of {count} lines were stored")


def valid(*arguments: str) -> bool:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    return done.returncode == 0 and "error" not in done.stderr.lower()


def test_the_snippet_for_rsyslog_is_valid_as_it_stands() -> None:
    rsyslogd = program("rsyslogd", "rsyslog")

    assert valid(rsyslogd, "-N1", "-f", str(RECEIVERS / "rsyslog.conf"))


def test_the_snippet_for_syslog_ng_is_valid_as_it_stands() -> None:
    syslog_ng = program("syslog-ng", "syslog-ng-core")

    assert valid(syslog_ng, "--syntax-only", "-f", str(RECEIVERS / "syslog-ng.conf"))


async def test_rsyslog_stores_what_was_sent(tmp_path: Path) -> None:
    rsyslogd, port, sent = program("rsyslogd", "rsyslog"), free_port(), events()
    copy = adapted("rsyslog.conf", tmp_path, ('port="6515"', f'port="{port}" address="127.0.0.1"'))

    with started([rsyslogd, "-n", "-f", str(copy), "-i", str(tmp_path / "pid")]):
        await deliver(port, "lf", sent)
        lines = stored(tmp_path, len(sent))

    assert sorted(lines) == sorted(event.payload.decode() for event in sent)


async def test_syslog_ng_stores_what_was_sent(tmp_path: Path) -> None:
    binary, port, sent = program("syslog-ng", "syslog-ng-core"), free_port(), events()
    copy = adapted("syslog-ng.conf", tmp_path, ("ip(0.0.0.0) port(6601)", f"ip(127.0.0.1) port({port})"))
    state = [f"--{name}={tmp_path / name}" for name in ("persist-file", "pidfile", "control")]

    with started([binary, "--foreground", "--no-caps", "-f", str(copy), *state]):
        await deliver(port, "octet", sent)
        lines = stored(tmp_path, len(sent))

    assert sorted(lines) == sorted(event.payload.decode() for event in sent)


def test_a_wrong_snippet_would_be_found(tmp_path: Path) -> None:
    wrong = tmp_path / "rsyslog.conf"
    wrong.write_text((RECEIVERS / "rsyslog.conf").read_text().replace("imtcp", "imtpc"))

    assert not valid(program("rsyslogd", "rsyslog"), "-N1", "-f", str(wrong))


def test_what_the_compose_file_starts_works_together(tmp_path: Path) -> None:
    """Simulator, connector and rsyslog with the files of ``deploy/compose/simulator``, on other ports."""
    rsyslogd, port = program("rsyslogd", "rsyslog"), free_port()
    receiver = adapted("rsyslog.conf", tmp_path, ('port="6515"', f'port="{port}" address="127.0.0.1"'))
    simulator = Simulator(backlog=200)
    with running(simulator) as url:
        text = (DEPLOY / "compose" / "simulator" / "connector.yaml").read_text()
        for named, here in (
            ("http://127.0.0.1:8787/client/v4", url),
            ("tcp://rsyslog:6515", f"tcp://127.0.0.1:{port}"),
        ):
            assert text.count(named) == 1
            text = text.replace(named, here)
        (tmp_path / "connector.yaml").write_text(text)
        environ = environment(
            CONNECTOR_STATE__DIRECTORY=str(tmp_path / "state"), CONNECTOR_SERVER__LISTEN="127.0.0.1:0"
        )
        with (
            started([rsyslogd, "-n", "-f", str(receiver), "-i", str(tmp_path / "pid")]),
            daemon(tmp_path, environ, "-c", str(tmp_path / "connector.yaml")) as connector,
        ):
            until(connector.ready, "readiness")
            expected = simulator.ledger.ids({})
            lines = stored(tmp_path, len(expected))
            assert connector.terminate() == 0

    found = {parse(line.encode()).extension["devicePayloadId"] for line in lines}
    assert found == set(expected)
