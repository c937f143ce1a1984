"""A scanner calls a running daemon as /openapi.json says, and otherwise: every answer is a documented one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from connector.actions.operations import EXAMPLE_ID
from tests.support.acting_daemon import EVERY_TOKEN, acting_daemon
from tests.support.process import environment
from tests.support.programs import tool

pytestmark = pytest.mark.slow

SECONDS = 30
"""Of the scan; where it ends early depends on the machine, what it tests first does not."""

# What fits the document is never refused as malformed. 422 is for what only the words can say: a domain that
# is called an IP address. Answers that are waited for would take the time; `wait` has tests of its own.
CONFIG = """
parameters = {{ "query.wait" = "0s" }}
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "403", "404", "409", "422", "429"]
[[operations]]
include-path-regex = "message_id"
parameters = {{ "path.message_id" = "{message}" }}
"""


@pytest.mark.timeout(600)
def test_a_scan_against_the_document_finds_nothing(tmp_path: Path) -> None:
    scanner = tool("schemathesis")
    with acting_daemon(tmp_path) as place:
        # In a mailbox: a move of it is asked for first, and has an effect.
        message = place.delivered(id=EXAMPLE_ID)
        (tmp_path / "schemathesis.toml").write_text(CONFIG.format(message=message))
        report = tmp_path / "report.json"
        done = subprocess.run(
            [
                str(scanner), "run", f"{place.url}/openapi.json", "--no-color", "--continue-on-failure",
                "--header", f"Authorization: Bearer {EVERY_TOKEN}", "--request-timeout", "60",
                "--max-time", str(SECONDS), "--seed", "1", "--generation-database", "none",
                "--report", "json", "--report-json-path", str(report),
            ],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        effects = [effect for write in place.simulator.ledger.writes for effect in write.effects]

    assert done.returncode == 0, done.stdout[-8000:]
    found = json.loads(report.read_text())
    assert (found["failures"], found["errors"]) == ([], [])
    assert found["operations"]["tested"] == found["operations"]["total"] == 16
    assert found["phases"]["coverage"]["status"] == "success"
    assert found["test_cases"]["generated"] > 100
    assert effects, "the scan changed nothing: it did not get as far as to act"
    assert {effect.detail.get("destination") for effect in effects} <= {None, "JunkEmail", "Inbox"}
    assert not [line for line in place.logs if "Traceback" in line or "worker_failed" in line]
