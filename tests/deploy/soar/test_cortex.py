"""The Cortex responder, run as Cortex does: a job in a directory or on stdin, a real connector."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.artefacts import ROOT
from tests.support.acting_daemon import CALLER_TOKEN, OBSERVER_TOKEN, ActingDaemon
from tests.support.process import environment

RESPONDER = ROOT / "deploy" / "soar" / "cortex" / "CloudflareEmailSecurityConnector"
FLAVORS = {
    file.stem.removeprefix("CloudflareEmail_").lower(): json.loads(file.read_text())
    for file in sorted(RESPONDER.glob("*.json"))
}


def job(place: ActingDaemon, service: str, data: dict[str, Any], type_: str, **config: Any) -> dict[str, Any]:
    """The job that Cortex makes of a flavor, with the defaults of its description."""
    flavor = FLAVORS[service]
    assert type_ in flavor["dataTypeList"]
    defaults = {one["name"]: one.get("defaultValue") for one in flavor["configurationItems"]}
    assert config.keys() <= defaults.keys()
    settings = {**defaults, **flavor["config"], "url": place.url, "token": CALLER_TOKEN, **config}
    return {"dataType": type_, "data": data, "config": settings, "tlp": 2, "pap": 2}


def run(wanted: dict[str, Any], folder: Path | None = None) -> tuple[int, dict[str, Any]]:
    """Run the command of the description; exit code and report."""
    if folder:
        (folder / "input").mkdir()
        (folder / "input" / "input.json").write_text(json.dumps(wanted))
    done = subprocess.run(
        [sys.executable, RESPONDER / "cloudflare_email.py", *([folder] if folder else [])],
        input=None if folder else json.dumps(wanted),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.stderr
    text = (folder / "output" / "output.json").read_text() if folder else done.stdout
    return done.returncode, json.loads(text)


@pytest.mark.parametrize("flavor", FLAVORS.values(), ids=FLAVORS.keys())
def test_a_description_has_what_cortex_needs(flavor: dict[str, Any]) -> None:
    needed = {"name", "version", "author", "url", "license", "description", "dataTypeList", "command"}

    assert needed <= flavor.keys()
    assert (RESPONDER.parent / flavor["command"]).stat().st_mode & 0o111
    for item in flavor["configurationItems"]:
        assert item.keys() >= {"name", "description", "type", "multi", "required"}
        assert item["type"] in {"string", "number", "boolean"}


def test_the_message_of_a_case_is_moved_and_the_case_tagged(place: ActingDaemon, tmp_path: Path) -> None:
    message = place.delivered()
    case = {
        "_id": "~1", "_type": "Case", "title": "Phishing",
        "customFieldValues": [{"name": "cloudflare-email-id", "type": "string", "value": message}],
    }  # fmt: skip

    code, report = run(job(place, "move", case, "thehive:case"), tmp_path)

    assert (code, report["success"], report["full"]["action"]["state"]) == (0, True, "succeeded")
    assert report["full"]["action"]["reason"] == "thehive:case ~1: Phishing"
    assert report["operations"] == [{"type": "AddTagToCase", "tag": "cloudflare-email:move=succeeded"}]
    assert place.simulator.ledger.effects("move") == {message: 1}


def test_the_message_of_an_alert_is_released_and_another_time_refused(place: ActingDaemon) -> None:
    message = place.held()
    alert = {"id": "a1", "title": "T", "customFields": {"cloudflare-email-id": {"string": message}}}

    first = run(job(place, "release", alert, "thehive:alert"))
    again = run(job(place, "release", alert, "thehive:alert"))

    assert (first[0], again[0]) == (0, 1)
    assert re.search("not in quarantine|has just released", again[1]["errorMessage"])
    assert place.simulator.ledger.effects("release") == {message: 1}


def test_an_observable_is_submitted_or_blocked(place: ActingDaemon) -> None:
    message = place.held()
    observable = {"id": "o1", "dataType": "other", "data": message}
    domain = {"id": "o2", "dataType": "domain", "data": "phish.example"}
    wanted = {"submission_type": "reclassification", "expected_disposition": "NONE"}

    submitted = run(job(place, "submit", observable, "thehive:case_artifact", **wanted))
    blocked = run(job(place, "block", domain, "thehive:case_artifact", block_days=2))

    assert (submitted[0], blocked[0]) == (0, 0)
    assert place.simulator.ledger.effects("submission") == {message: 1}
    assert blocked[1]["full"]["action"]["expires_at"]


def test_what_cannot_be_done_fails_and_says_why(place: ActingDaemon) -> None:
    held = {"id": "o1", "dataType": "other", "data": place.held()}
    writes = len(place.simulator.ledger.writes)

    empty = run(job(place, "move", {"id": "c1"}, "thehive:case"))
    refused = run(job(place, "release", held, "thehive:case_artifact", token=OBSERVER_TOKEN))
    hash_ = run(job(place, "block", {**held, "dataType": "hash"}, "thehive:case_artifact"))
    nobody = run(job(place, "release", held, "thehive:case_artifact", url="http://127.0.0.1:9"))
    dry = run(job(place, "release", held, "thehive:case_artifact", dry_run=True))

    assert [one[0] for one in (empty, refused, hash_, nobody, dry)] == [1, 1, 1, 1, 0]
    assert "cloudflare-email-id" in empty[1]["errorMessage"]
    assert "[403] out_of_scope" in refused[1]["errorMessage"]
    assert "mail, domain or ip" in hash_[1]["errorMessage"]
    assert "no answer from the connector" in nobody[1]["errorMessage"]
    assert dry[1]["operations"] == []
    assert len(place.simulator.ledger.writes) == writes
