"""The Cortex XSOAR integration, run as the platform does: one process per command, a real connector."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from connector.actions.operations import OPERATIONS
from tests.deploy.artefacts import ROOT
from tests.support.acting_daemon import ASKER_TOKEN, CALLER_TOKEN, OBSERVER_TOKEN, ActingDaemon
from tests.support.process import environment, until
from tests.support.programs import tool

NAME = "CloudflareEmailSecurityConnector"
INTEGRATION = ROOT / "deploy" / "soar" / "xsoar" / NAME
PREFIX = "cloudflare-email-"
DESCRIPTION: dict[str, Any] = yaml.safe_load((INTEGRATION / f"{NAME}.yml").read_text())
COMMANDS = {command["name"]: command for command in DESCRIPTION["script"]["commands"]}


def run(
    place: ActingDaemon,
    command: str,
    *,
    token: str = CALLER_TOKEN,
    last_run: object = None,
    verdicts: Sequence[str] = ("MALICIOUS",),
    max_fetch: str = "2",
    **args: str,
) -> dict[str, Any]:
    """Run *command* as the platform does; what it told the platform."""
    params = {
        "url": f"{place.url}/", "credentials": {"password": token}, "isFetch": True,
        "max_fetch": max_fetch, "verdicts": list(verdicts), "first_fetch": "Everything kept",
    }  # fmt: skip
    call = {"command": command, "args": args, "params": params, "last_run": last_run or {}}
    done = subprocess.run(
        [sys.executable, INTEGRATION / f"{NAME}.py"],
        env={
            **environment(XSOAR_CALL=json.dumps(call)),
            "PYTHONPATH": str(ROOT / "tests" / "support" / "xsoar"),
        },
        capture_output=True,
        timeout=60,
        check=True,
    )
    told: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        told |= json.loads(line)
    return told


def action(told: dict[str, Any]) -> dict[str, Any]:
    """The action that a command told, its arguments as the description names them."""
    assert "results" in told, told
    outputs: dict[str, Any] = told["results"]["outputs"]
    return outputs


def test_the_description_is_valid() -> None:
    done = subprocess.run(
        [tool("validate-xsoar"), INTEGRATION / f"{NAME}.yml"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_of_the_description_is_one_of_the_program_and_the_other_way_round() -> None:
    program = (INTEGRATION / f"{NAME}.py").read_text()

    assert re.findall(rf'^    "({PREFIX}[a-z-]+)": ', program, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize(
    ("command", "operation"),
    [
        ("messages-search", "search_messages"),
        ("message-get", "get_message"),
        ("messages-move", "move_messages"),
        ("messages-release", "release_messages"),
        ("messages-submit", "submit_messages"),
        ("sender-block", "block_sender"),
        ("sender-unblock", "unblock_sender"),
        ("action-get", "get_action"),
        ("action-cancel", "cancel_action"),
    ],
)
def test_a_command_has_the_arguments_of_its_operation(command: str, operation: str) -> None:
    [wanted] = [one for one in OPERATIONS if one.id == operation]
    fields = {
        field.name: field
        for field in (*wanted.path_fields, *wanted.query, *(wanted.body or ()))
        if field.name != "wait"
    }
    arguments = {argument["name"]: argument for argument in COMMANDS[PREFIX + command]["arguments"]}

    assert arguments.keys() - {"polling", "interval", "timeout"} == fields.keys()
    for name, field in fields.items():
        assert arguments[name].get("required", False) == field.required, name
        if field.allowed:
            assert arguments[name]["predefined"] == list(field.allowed), name


class TestAgainstARunningConnector:
    def test_the_connection_is_tested(self, place: ActingDaemon) -> None:
        assert run(place, "test-module") == {"results": "ok"}
        assert "add events" in run(place, "test-module", token=OBSERVER_TOKEN)["results"]
        assert "[401] unauthenticated" in run(place, "test-module", token="wrong-token-0123456789")["error"]

    def test_a_message_is_found_moved_and_told(self, place: ActingDaemon) -> None:
        message = place.delivered()
        found = run(place, f"{PREFIX}messages-search", final_disposition="MALICIOUS", limit="1000")
        got = run(place, f"{PREFIX}message-get", message_id=message, **{"with": "detections,action_log"})

        moved = action(
            run(place, f"{PREFIX}messages-move", ids=message, destination="JunkEmail", reason="SOC-1")
        )

        assert message in [one["id"] for one in found["results"]["outputs"]]
        assert got["results"]["outputs"]["id"] == message
        assert got["results"]["outputs"]["action_log"] == []
        assert (moved["state"], moved["ended"]) == ("succeeded", True)
        assert place.simulator.ledger.effects("move") == {message: 1}

    def test_messages_are_released_once_however_often_the_playbook_runs(self, place: ActingDaemon) -> None:
        held, other = place.held(), place.held()
        args = {"ids": f"{held},{other}", "reason": "SOC-2", "request_id": "incident-7-release"}

        first = action(run(place, f"{PREFIX}messages-release", **args))
        again = action(run(place, f"{PREFIX}messages-release", **args))

        assert (first["state"], again["id"]) == ("succeeded", first["id"])
        assert place.simulator.ledger.effects("release") == {held: 1, other: 1}

    def test_a_dry_run_changes_nothing(self, place: ActingDaemon) -> None:
        held, writes = place.held(), len(place.simulator.ledger.writes)

        told = run(place, f"{PREFIX}messages-release", ids=held, reason="SOC-3", dry_run="true")

        assert "(dry run)" in told["results"]["readable_output"]
        assert [row["state"] for row in action(told)["results"]] == ["planned"]
        assert len(place.simulator.ledger.writes) == writes

    def test_a_message_is_submitted(self, place: ActingDaemon) -> None:
        held = place.held()
        args = {"type": "reclassification", "expected_disposition": "NONE", "reason": "SOC-4"}

        assert action(run(place, f"{PREFIX}messages-submit", ids=held, **args))["state"] == "succeeded"
        assert place.simulator.ledger.effects("submission") == {held: 1}

    def test_a_sender_is_blocked_and_unblocked(self, place: ActingDaemon) -> None:
        args = {"pattern": "phish.example", "pattern_type": "DOMAIN", "expires_in": "3600", "is_regex": "no"}

        blocked = action(run(place, f"{PREFIX}sender-block", reason="SOC-5", **args))
        free = action(
            run(
                place,
                f"{PREFIX}sender-unblock",
                block_id=blocked["block_id"],
                reason="SOC-5",
                dry_run="false",
            )
        )

        assert (blocked["state"], free["state"]) == ("succeeded", "succeeded")
        assert blocked["expires_at"]

    def test_an_action_that_waits_for_approval_is_followed_and_can_be_cancelled(
        self, place: ActingDaemon
    ) -> None:
        args = {"ids": place.held(), "reason": "SOC-6", "polling": "true", "interval": "5", "timeout": "600"}

        asked = run(place, f"{PREFIX}messages-release", token=ASKER_TOKEN, **args)
        next_one = asked["results"]["scheduled_command"]
        cancelled = run(place, f"{PREFIX}action-cancel", token=ASKER_TOKEN, action_id=action(asked)["id"])
        last = run(place, next_one["command"], token=ASKER_TOKEN, **next_one["args"])

        assert action(asked)["state"] == "awaiting_approval"
        assert (next_one["next_run_in_seconds"], next_one["timeout_in_seconds"]) == (5, 600)
        assert action(cancelled)["state"] == "cancelled"
        assert last["results"]["scheduled_command"] is None

    def test_a_refusal_tells_what_to_do(self, place: ActingDaemon) -> None:
        args = {"ids": place.held(), "reason": "SOC-7"}

        assert (
            "[403] out_of_scope"
            in run(place, f"{PREFIX}messages-release", token=OBSERVER_TOKEN, **args)["error"]
        )
        assert "/reason" in run(place, f"{PREFIX}messages-release", **{**args, "reason": ""})["error"]

    def test_every_message_becomes_one_incident_over_several_fetches(self, place: ActingDaemon) -> None:
        expected = {place.held() for _ in range(5)}
        last_run: dict[str, Any] = {}
        names: list[str] = []
        for _ in range(60):
            told = run(place, "fetch-incidents", last_run=last_run)
            assert len(told["incidents"]) <= 2
            last_run = told["last_run"]
            names += [json.loads(one["rawJSON"])["id"] for one in told["incidents"]]
            if expected <= set(names):
                break

        assert expected <= set(names)
        assert len(names) == len(set(names))
        assert told["incidents"][0]["severity"] == 3
        assert told["incidents"][0]["name"].startswith("MALICIOUS mail: ")

    def test_only_messages_become_incidents_whatever_else_is_collected(self, place: ActingDaemon) -> None:
        args = {"type": "missed_detection", "expected_disposition": "SPAM", "reason": "SOC-8"}
        told = run(place, f"{PREFIX}messages-submit", ids=place.undetected(), **args)
        assert "results" in told, told
        held = place.held()
        incidents: list[dict[str, Any]] = []
        last_run: dict[str, Any] = {}

        def read_beyond() -> bool:
            nonlocal last_run
            told = run(place, "fetch-incidents", last_run=last_run, verdicts=(), max_fetch="200")
            last_run = told["last_run"]
            incidents.extend(told["incidents"])
            is_told = any(one["dbotMirrorId"] == held for one in incidents)
            read = pulled_sources(place, until=last_run["after"])
            return is_told and {"submissions", "audit_logs"} <= read

        until(read_beyond, "events of every source")
        assert {json.loads(one["rawJSON"])["source"] for one in incidents} == {"investigate"}


def pulled_sources(place: ActingDaemon, until: int) -> set[str]:
    """The sources of the events up to the number *until*."""
    request = urllib.request.Request(
        f"{place.url}/v1/events?limit=1000", headers={"Authorization": f"Bearer {CALLER_TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        events = json.load(answer)["events"]
    return {event["source"] for event in events if event["sequence"] <= until}
