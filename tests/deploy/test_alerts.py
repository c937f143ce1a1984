"""Every alert says what is wrong, how bad it is, and where it is explained."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.deploy.artefacts import DEPLOY, ROOT, rules
from tests.support.programs import program

RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
RULES = rules()
DOCS = "https://docs.example.com/email-connector/"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_leads_to_its_section_of_the_runbook(rule: dict[str, dict[str, str]]) -> None:
    url = rule["annotations"]["runbook_url"]
    assert url.startswith(DOCS), "an absolute address, which one setting changes"
    page, _, anchor = url.removeprefix(DOCS).partition("#")
    sections = {heading.lower(): heading for heading in re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)}

    assert (ROOT / "docs" / page).read_text() == RUNBOOK
    assert sections[anchor] == rule["alert"]
    text = RUNBOOK.partition(f"### {sections[anchor]}\n")[2]
    assert text.lstrip().startswith(f"*{rule['labels']['severity']}.*")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}


def test_the_runbook_explains_no_alert_that_is_gone() -> None:
    explained = re.findall(r"^### (EmailConnector\w+)$", RUNBOOK, re.MULTILINE)

    assert explained == list(dict.fromkeys(explained))
    assert set(explained) == {rule["alert"] for rule in RULES}


def test_promtool_accepts_the_rules_and_their_tests() -> None:
    promtool = program("promtool", "prometheus")
    folder = DEPLOY / "prometheus"
    tests = sorted(path.name for path in folder.glob("*.test.yaml"))

    for arguments in (["check", "rules", "rules.yaml"], ["test", "rules", *tests]):
        done = subprocess.run(
            [promtool, *arguments], cwd=folder, capture_output=True, text=True, timeout=110, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_unit_tests_see_every_alert_fire_and_stay_silent() -> None:
    text = "".join(path.read_text() for path in (DEPLOY / "prometheus").glob("*.test.yaml"))

    for rule in RULES:
        name = rule["alert"]
        assert f"{{eval_time: 5h, alertname: {name}}}" in text
        assert re.search(rf'alertname="{name}"', text), f"nothing shows {name} firing"
