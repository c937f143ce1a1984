"""SIGHUP right after the start ends nothing: ``systemctl reload`` may follow a restart at once."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from connector.simulator import Simulator, running
from tests.support.process import ACCOUNT, TOKEN, Daemon, daemon, environment, until

CONFIG = f"""
accounts:
  prod: {{account_id: {ACCOUNT}, api_token: "${{file:token}}", base_url: "${{env:BASE}}"}}
outputs:
  disk: {{type: file, path: events.ndjson}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
"""


class Pipe:
    """A secret whose readers wait until it is written: it stops the connector at a known place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        os.mkfifo(path)

    def is_read(self) -> bool:
        """Whether somebody waits for the secret."""
        with suppress(OSError):  # ENXIO: nobody reads
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        return self._descriptor >= 0

    def write(self, text: str) -> None:
        """Write the secret for whoever waits."""
        os.write(self._descriptor, text.encode())
        os.close(self._descriptor)
        self._descriptor = -1


def has_logged(connector: Daemon, event: str) -> bool:
    """Whether the connector is alive and has logged *event*."""
    assert connector.process.poll() is None, connector.process.returncode
    return any(f'"event":"{event}"' in line for line in connector.logs)


def test_a_hangup_while_the_configuration_is_read(tmp_path: Path) -> None:
    (tmp_path / "connector.yaml").write_text(CONFIG)
    token = Pipe(tmp_path / "token")
    with running(Simulator()) as base, daemon(tmp_path, environment(BASE=base)) as connector:
        until(token.is_read, "the start that reads the secret")
        connector.process.send_signal(signal.SIGHUP)
        token.write(TOKEN)
        until(lambda: has_logged(connector, "daemon_started"), "the start")

        until(token.is_read, "the reload that reads it again")
        token.write(TOKEN)
        until(lambda: has_logged(connector, "configuration_reloaded"), "the reload")
        assert connector.terminate() == 0
