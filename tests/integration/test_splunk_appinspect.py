"""Splunk's own inspection of apps accepts the add-on, as Splunk Cloud and Splunkbase ask for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.deploy.splunk import ADDON
from tests.support.programs import tool

TROUBLE = {"error", "failure", "future_failure", "warning", "skipped"}


def test_appinspect_has_no_complaint_about_the_add_on(tmp_path: Path) -> None:
    appinspect, report = tool("splunk-appinspect"), tmp_path / "report.json"

    done = subprocess.run(
        [appinspect, "inspect", ADDON, "--mode", "precert", "--data-format", "json", "--output-file", report],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads(report.read_text())
    complaints = [
        (check["name"], message["message"])
        for group in content["reports"][0]["groups"]
        for check in group["checks"]
        if check["result"] in TROUBLE
        for message in check["messages"] or [{"message": check["result"]}]
    ]
    assert complaints == []
    assert content["summary"]["success"] > 50
