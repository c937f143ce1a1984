"""``run --once`` in a CronJob: exit code 0 only if everything was collected and delivered; a prompt end."""

from __future__ import annotations

import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from connector.simulator import Access, Simulator, running
from tests.support.process import ACCOUNT, TOKEN, Daemon, command, environment, until
from tests.support.receivers import http_receiver

OTHER = "b" * 32
CONFIG = """
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{base}"}}
{more}
searches:
  everything: {{every: 60s, filters: {{detections_only: false}}, revisit: []}}
outputs:
  siem: {{type: http, url: "{siem}", mapping: ecs}}
state: {{directory: state}}
server: {{listen: null}}
"""


def once(
    directory: Path, base: str, siem: str, *arguments: str, more: str = "", form: str = "text"
) -> tuple[int, str]:
    """Run it; exit code and log."""
    text = CONFIG.format(account=ACCOUNT, base=base, siem=siem, more=more)
    (directory / "connector.yaml").write_text(text)
    environ = environment(TOKEN=TOKEN, OTHER="another-token")
    code, _, log = command("run", "--once", *arguments, environ=environ, cwd=directory)
    assert "Traceback" not in log
    return code, log


def test_everything_collected_and_delivered_is_success(tmp_path: Path) -> None:
    simulator = Simulator(backlog=20)
    with running(simulator) as base, http_receiver() as siem:
        code, log = once(tmp_path, base, siem.url)

    assert code == 0, log
    assert len(siem.events) == 20


@contextmanager
def nothing_there() -> Iterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: connections are refused
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/client/v4"


def test_an_api_that_is_away_is_a_failure(tmp_path: Path) -> None:
    with nothing_there() as base, http_receiver() as siem:
        code, log = once(tmp_path, base, siem.url, "--timeout", "3s")

    assert code == 1
    assert "feed prod/everything was not collected" in log


def test_a_token_that_is_refused_is_a_failure_at_once(tmp_path: Path) -> None:
    with running(Simulator(access=Access(tokens=frozenset({"valid"})))) as base, http_receiver() as siem:
        started = time.monotonic()
        code, log = once(tmp_path, base, siem.url, "--timeout", "10m")

    assert code == 1
    assert "feed prod/everything was not collected" in log
    assert time.monotonic() - started < 50, "nobody waits ten minutes for what only a person can fix"


def test_one_of_two_accounts_refused_is_a_failure_and_the_other_is_delivered(tmp_path: Path) -> None:
    simulator = Simulator(backlog=20, access=Access(tokens=frozenset({TOKEN})))
    with running(simulator) as base, http_receiver() as siem:
        more = f'  test: {{account_id: {OTHER}, api_token: "${{env:OTHER}}", base_url: "{base}"}}'
        code, log = once(tmp_path, base, siem.url, more=more)

    assert code == 1
    assert "feed test/everything was not collected" in log
    assert "feed prod/everything" not in log
    assert len(siem.events) == 20


def test_a_certificate_that_is_not_trusted_is_a_failure(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener, http_receiver() as siem:
        listener.settimeout(0.1)
        stopping = threading.Event()

        def serve() -> None:
            while not stopping.is_set():
                try:
                    with context.wrap_socket(listener.accept()[0], server_side=True):
                        pass
                except (OSError, ssl.SSLError):
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            base = f"https://127.0.0.1:{listener.getsockname()[1]}/client/v4"
            code, log = once(tmp_path, base, siem.url, "--timeout", "10s")
        finally:
            stopping.set()
            thread.join()

    assert code == 1
    assert "feed prod/everything was not collected" in log
    assert "certificate" in log


def test_an_output_that_is_held_ends_it_at_once_and_is_named(tmp_path: Path) -> None:
    with running(Simulator(backlog=5)) as base, http_receiver() as siem:
        siem.refuse, siem.refusal = (lambda _: True), 401
        started = time.monotonic()
        code, log = once(tmp_path, base, siem.url)

    assert code == 1
    assert "output siem: 5 undelivered revisions left for the next run" in log
    assert time.monotonic() - started < 50


def test_the_first_sigterm_ends_it_while_an_output_is_away(tmp_path: Path) -> None:
    with running(Simulator(backlog=5)) as base, nothing_there() as siem:
        text = CONFIG.format(account=ACCOUNT, base=base, siem=siem, more="")
        (tmp_path / "connector.yaml").write_text(text)
        job = Daemon(tmp_path, environment(TOKEN=TOKEN), "--once", "--timeout", "10m")
        until(lambda: "retried" in "".join(job.logs), "a failed delivery")
        job.process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        code = job._ended()

    assert code == 1
    assert time.monotonic() - started < 20
    assert "output siem: 5 undelivered revisions left for the next run" in "".join(job.logs)
