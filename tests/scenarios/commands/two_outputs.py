"""A connector with two HTTP outputs, ``siem`` and ``lake``, and an operator beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.simulator import Simulator, running
from tests.support.process import ACCOUNT, TOKEN, Daemon, command, daemon, environment, until
from tests.support.receivers import HttpReceiver, http_receiver

CONFIG = """
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{base_url}"}}
searches:
  everything: {{every: 1s, start: 25h, filters: {{detections_only: false}}}}
outputs:
  siem: {{type: http, url: "{siem}", mapping: ecs, batch: {{linger: 50ms}}}}
  lake: {{type: http, url: "{lake}", mapping: ecs, batch: {{linger: 50ms}}}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
"""


@dataclass
class Site:
    """The place, its collectors, and what the simulator has to give."""

    directory: Path
    simulator: Simulator
    siem: HttpReceiver
    lake: HttpReceiver

    @property
    def expected(self) -> list[str]:
        """The ids of all mail."""
        return sorted(self.simulator.ledger.ids({"detections_only": False}))

    def daemon(self) -> AbstractContextManager[Daemon]:
        """The connector, for as long as the block runs."""
        return daemon(self.directory, environment(TOKEN=TOKEN))

    def operator(self, *arguments: str) -> tuple[int, str, str]:
        """What a command answers: exit code, stdout, stderr."""
        code, out, err = command(*arguments, environ=environment(TOKEN=TOKEN), cwd=self.directory)
        assert "Traceback" not in err, err
        assert TOKEN not in out + err
        return code, out, err

    def state(self) -> dict[str, Any]:
        """``state show --json``, with outputs by name."""
        code, out, err = self.operator("state", "show", "--json")
        assert code == 0, err
        state: dict[str, Any] = json.loads(out)
        state["outputs"] = {one["output"]: one for one in state["outputs"]}
        return state

    def letters(self) -> list[dict[str, Any]]:
        """``deadletters list --json``."""
        code, out, err = self.operator("deadletters", "list", "--json")
        assert code == 0, err
        return [json.loads(line) for line in out.splitlines()]

    def bury(self, connector: Daemon, count: int) -> list[str]:
        """Let ``siem`` refuse *count* mails while everything is delivered; their ids."""
        bad = self.expected[:count]
        self.siem.refuse = lambda event: event["event"]["id"] in bad
        delivered = len(self.expected)
        until(lambda: len(self.lake.events) >= delivered, "everything in the lake")
        until(lambda: len(self.siem.events) >= delivered - count, "all but the refused in the SIEM")
        until(lambda: output(connector, "siem")["dead_letters"] == count, "the dead letters")
        until(lambda: output(connector, "siem")["backlog"] == 0, "the end of the backlog")
        return bad


def output(connector: Daemon, name: str) -> dict[str, Any]:
    """What the daemon's status says of one output."""
    found: dict[str, Any] = next(one for one in connector.status()["outputs"] if one["output"] == name)
    return found


def ids(receiver: HttpReceiver) -> list[str]:
    """The ids that a collector took, each as often as it came."""
    return sorted(event["event"]["id"] for event in receiver.events)


@contextmanager
def site(directory: Path, mail: int = 30) -> Iterator[Site]:
    """A place whose simulator has *mail* messages."""
    simulator = Simulator(backlog=mail)
    with running(simulator) as base_url, http_receiver() as siem, http_receiver() as lake:
        text = CONFIG.format(account=ACCOUNT, base_url=base_url, siem=siem.url, lake=lake.url)
        (directory / "connector.yaml").write_text(text)
        yield Site(directory, simulator, siem, lake)
