"""The Splunk SOAR app on Splunk's own SDK, in a process of its own: the SDK needs another Python."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.process import ROOT, environment
from tests.support.programs import TOOLS, missing, tool

APP = ROOT / "deploy" / "soar" / "splunk_soar" / "cloudflare_email_security_connector"


def sdk_python() -> Path:
    """The interpreter that has Splunk's SDK; without it the test is skipped."""
    marker = TOOLS / "splunk-soar.missing"
    if marker.exists():
        missing(f"Splunk's SDK needs Python 3.13: {marker.read_text().strip()}", always=False)
    return tool("splunk-soar-python")


@dataclass
class Platform:
    """What the platform keeps between runs of an app: the state of an asset, containers, artifacts."""

    host: subprocess.Popen[str]
    folder: Path
    asset: Mapping[str, Any]
    state: dict[str, Any] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)
    runs: Iterator[int] = field(default_factory=lambda: count(1))

    def told(
        self,
        identifier: str,
        *parameters: Mapping[str, Any],
        run: int | None = None,
        asset: Mapping[str, Any] | None = None,
        full: bool = False,
    ) -> dict[str, Any]:
        """Run the action *identifier*, once per set of *parameters*; everything it told the platform.

        A *full* platform stores no artifacts.
        """
        number = next(self.runs)
        call = {
            "input": {
                "identifier": identifier,
                "action": identifier.replace("_", " "),
                "action_run_id": run or 1000 + number,
                "asset_id": "7",
                "container_id": 3,
                "config": {
                    "app_version": "1.0.0", "directory": "app", "main_module": "src.app:app",
                    **self.asset, **(asset or {}),
                },
                "parameters": list(parameters) or [{}],
            },
            "state": self.state,
            "stored": self.stored,
            "full": full,
            "answer": str(self.folder / f"{number}.json"),
        }  # fmt: skip
        assert self.host.stdin is not None
        assert self.host.stdout is not None
        self.host.stdin.write(json.dumps(call) + "\n")
        self.host.stdin.flush()
        assert self.host.stdout.readline() == "done\n"
        told: dict[str, Any] = json.loads((self.folder / f"{number}.json").read_text())
        assert "crashed" not in told, told["crashed"]
        self.state, self.stored = told["state"], told["stored"]
        return told

    def run(
        self, identifier: str, parameters: Mapping[str, Any] | None = None, **more: Any
    ) -> dict[str, Any]:
        """Run an action with one set of parameters; its one result."""
        results: Sequence[dict[str, Any]] = self.told(identifier, parameters or {}, **more)["results"]
        [result] = results
        return result


@contextmanager
def host() -> Iterator[subprocess.Popen[str]]:
    """A process that has loaded the SDK and the app, for any number of platforms."""
    command = [sdk_python(), Path(__file__).with_name("host.py"), APP]
    environ = environment(PYTHONDONTWRITEBYTECODE="1")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
    ) as process:
        assert process.stdin is not None
        try:
            yield process
        finally:
            process.stdin.close()
            assert process.wait(30) == 0
