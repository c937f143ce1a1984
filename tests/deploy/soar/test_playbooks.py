"""The playbooks for Tines, Shuffle and Azure Logic Apps: their form, and what they do with a connector."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import pytest

from tests.deploy.artefacts import ROOT
from tests.support.acting_daemon import ASKER_TOKEN, CALLER_TOKEN, OBSERVER_TOKEN, ActingDaemon
from tests.support.playbooks import Wire, logic_apps, shuffle, tines
from tests.support.process import until

pytestmark = pytest.mark.xdist_group("playbooks")  # one connector, not one per worker

SOAR = ROOT / "deploy" / "soar"
FILES = {
    place: json.loads((SOAR / place / "move-malicious-mail.json").read_text())
    for place in ("tines", "shuffle", "logic-apps")
}
STORY, WORKFLOW, TEMPLATE = FILES.values()
PLAYBOOK: dict[str, Any] = next(
    one for one in TEMPLATE["resources"] if one["type"] == "Microsoft.Logic/workflows"
)
DEFINITION = PLAYBOOK["properties"]["definition"]


@pytest.mark.parametrize("file", FILES.values(), ids=FILES.keys())
def test_no_file_has_a_secret_or_an_address_of_its_own(file: Mapping[str, Any]) -> None:
    text = json.dumps(file)

    assert not re.search(
        r"Bearer (?!<<CREDENTIAL\.|\$connector_token|@\{parameters\('connectorToken'\)\})", text
    )
    assert {host for host in re.findall(r"https?://([^/\"'<]+)", text) if host} <= {
        "schema.management.azure.com", "storage.azure.com",
    }  # fmt: skip


class TestForm:
    def test_tines(self) -> None:
        guids = [agent["guid"] for agent in STORY["agents"]]
        needed = {
            "type",
            "name",
            "disabled",
            "description",
            "guid",
            "options",
            "reporting",
            "monitoring",
            "schedule",
        }

        assert {
            "schema_version",
            "standard_lib_version",
            "action_runtime_version",
            "name",
            "guid",
            "slug",
        } <= STORY.keys()
        assert all(needed <= agent.keys() for agent in STORY["agents"])
        assert all(re.fullmatch("[0-9a-f]{32}", guid) for guid in (*guids, STORY["guid"]))
        assert len(set(guids)) == len(guids)
        assert json.loads(STORY["diagram_layout"]).keys() == set(guids)
        assert all(
            0 <= end < len(guids) for link in STORY["links"] for end in (link["source"], link["receiver"])
        )
        linked = {link["receiver"] for link in STORY["links"]}
        assert [index for index in range(len(guids)) if index not in linked] == [0], (
            "every action but the first"
        )
        names = {re.sub(" ", "_", agent["name"].lower()) for agent in STORY["agents"]}
        used = {name.split(".")[0] for name in re.findall(r"<<([^>]+)>>", json.dumps(STORY))}
        assert used - {"RESOURCE", "CREDENTIAL", "META"} <= names
        for resource in re.findall(r"(?:RESOURCE|CREDENTIAL)\.(\w+)", json.dumps(STORY)):
            assert resource in STORY["description"], "what has to be made first is named"

    def test_shuffle(self) -> None:
        ids = [one["id"] for one in (*WORKFLOW["actions"], *WORKFLOW["triggers"])]
        needed = {"app_name", "app_version", "id", "label", "name", "parameters", "position", "environment"}

        assert all(needed <= action.keys() for action in WORKFLOW["actions"])
        assert len(set(ids)) == len(ids)
        assert [one["id"] for one in WORKFLOW["actions"] if one["isStartNode"]] == [WORKFLOW["start"]]
        assert {one[end] for one in WORKFLOW["branches"] for end in ("source_id", "destination_id")} == set(
            ids
        )
        names = {one["label"].lower() for one in WORKFLOW["actions"]} | {
            one["name"] for one in WORKFLOW["workflow_variables"]
        }
        assert {name.split(".")[0] for name in re.findall(r"\$([\w.#]+)", json.dumps(WORKFLOW))} <= names
        assert [one["value"] for one in WORKFLOW["workflow_variables"]] == ["", ""]

    def test_logic_apps(self) -> None:
        parameters = PLAYBOOK["properties"]["parameters"]

        assert TEMPLATE["$schema"].endswith("/2019-04-01/deploymentTemplate.json#")
        assert all({"type", "apiVersion", "name"} <= resource.keys() for resource in TEMPLATE["resources"])
        assert TEMPLATE["parameters"]["connectorToken"]["type"] == "securestring"
        assert "defaultValue" not in TEMPLATE["parameters"]["connectorToken"]
        assert parameters.keys() == DEFINITION["parameters"].keys()
        assert DEFINITION["parameters"]["connectorToken"]["type"] == "SecureString"
        around = json.dumps(
            {
                **TEMPLATE,
                "resources": [
                    {**one, "properties": {**one.get("properties", {}), "definition": {}}}
                    for one in TEMPLATE["resources"]
                ],
            }
        )
        assert set(re.findall(r"parameters\('(\w+)'\)", around)) == TEMPLATE["parameters"].keys()
        assert set(re.findall(r"variables\('(\w+)'\)", around)) == TEMPLATE["variables"].keys()
        inside = json.dumps(DEFINITION["actions"])
        names = {name for name, _ in _actions(DEFINITION["actions"])}
        assert set(re.findall(r"parameters\('(\w+)'\)", inside)) == DEFINITION["parameters"].keys()
        assert set(re.findall(r"(?:body|outputs|items)\('(\w+)'\)", inside)) <= names
        made = {
            one["name"]
            for _, action in _actions(DEFINITION["actions"])
            if action["type"] == "InitializeVariable"
            for one in action["inputs"]["variables"]
        }
        assert set(re.findall(r"variables\('(\w+)'\)", inside)) <= made

    def test_a_logic_app_shows_the_token_in_no_run_and_polls_nothing_by_itself(self) -> None:
        calls = [
            action
            for _, action in _actions(DEFINITION["actions"])
            if "connectorToken" in json.dumps(action.get("inputs", {}))
        ]

        assert len(calls) == 3
        for call in calls:
            assert call["runtimeConfiguration"]["secureData"]["properties"] == ["inputs"]
            # The platform would otherwise follow a 202 with Location in its own way.
            assert call["operationOptions"] == "DisableAsyncPattern"


def _actions(actions: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, action in actions.items():
        yield name, action
        yield from _actions(action.get("actions", {}))


class Tines:
    """Tines with what the story needs; the cursor is a resource."""

    def __init__(self, place: ActingDaemon, token: str = CALLER_TOKEN) -> None:
        self.place, self.cursor = place, "0"
        self.wire = Wire(place.url, self._api)
        self.secrets = {"cloudflare_email_connector": token, "tines_api": "tines-api-key"}
        self.not_moved: list[str] = []

    def _api(self, method: str, url: str, headers: Mapping[str, str], body: Any) -> tuple[int, Any]:
        assert (method, url) == ("PUT", "https://corp.tines.example/api/v1/global_resources/42")
        assert headers["Authorization"] == "Bearer tines-api-key"
        self.cursor = body["value"]
        return 200, {"value": self.cursor}

    def start_at(self, cursor: str) -> None:
        self.cursor = cursor

    def run(self) -> None:
        context = {
            "RESOURCE": {
                "cloudflare_email": {"url": self.place.url, "cursor_id": 42},
                "cloudflare_email_cursor": self.cursor,
            },
            "CREDENTIAL": self.secrets, "META": {"tenant": {"domain": "corp.tines.example"}},
        }  # fmt: skip
        emitted = tines.run(
            STORY,
            self.wire.send,
            context,
            lambda event: cancel(self.place, event["move_message"]["body"]["id"]),
        )
        self.not_moved += [one["message"] for one in emitted["Not moved"]]


class Shuffle:
    """Shuffle with what the workflow needs; the cursor is in the datastore."""

    def __init__(self, place: ActingDaemon, token: str = CALLER_TOKEN) -> None:
        self.wire = Wire(place.url, _nowhere)
        self.variables = {"connector_url": place.url, "connector_token": token}
        self.datastore = {"cloudflare_email_cursor": "0"}
        self.not_moved: list[str] = []

    @property
    def cursor(self) -> str:
        return self.datastore["cloudflare_email_cursor"]

    def start_at(self, cursor: str) -> None:
        self.datastore["cloudflare_email_cursor"] = cursor

    def run(self) -> None:
        results = shuffle.run(WORKFLOW, self.wire.send, self.variables, self.datastore)
        moved = results.get("moved", {"invalid": []})["invalid"]
        sent = results.get("in_mailboxes", {"valid": []})["valid"]
        asked = results.get("get_action", [])
        self.not_moved += [
            message["id"] for message, action in zip(sent, asked, strict=True) if action in moved
        ]


class LogicApps:
    """Azure with what the playbook needs; the cursor is an entity of a table."""

    TABLE = "https://cfmail.table.core.example/cursor(PartitionKey='events',RowKey='connector')"

    def __init__(self, place: ActingDaemon, token: str = CALLER_TOKEN) -> None:
        self.place = place
        self.wire = Wire(place.url, self._table)
        self.parameters = {
            "connectorUrl": place.url,
            "connectorToken": token,
            "destination": "JunkEmail",
            "cursor": self.TABLE,
        }
        self.cursor = "0"
        self.not_moved: list[str] = []
        self.table_status = 0

    def _table(self, method: str, url: str, headers: Mapping[str, str], body: Any) -> tuple[int, Any]:
        assert url == self.TABLE
        assert headers["x-ms-version"]
        if self.table_status:
            return self.table_status, {}
        if method == "PUT":
            self.cursor = body["after"]
            return 204, None
        return (200, {"after": self.cursor}) if self.cursor else (404, {})

    def start_at(self, cursor: str) -> None:
        self.cursor = cursor

    def run(self) -> None:
        run = logic_apps.Run(self.parameters, self.wire.send)
        run.looped = lambda: cancel(self.place, run.outputs["Move_message"]["body"]["id"])
        try:
            run.carry_out(DEFINITION["actions"])
        except logic_apps.Ended as ended:
            self.not_moved += str(ended).split(", ")


def _nowhere(method: str, url: str, headers: Mapping[str, str], body: Any) -> tuple[int, Any]:
    raise AssertionError(f"a request to elsewhere: {method} {url}")


def head(place: ActingDaemon) -> str:
    """The newest event."""
    request = urllib.request.Request(
        f"{place.url}/v1/events?from=head", headers={"Authorization": f"Bearer {CALLER_TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["next"])


def cancel(place: ActingDaemon, action: str) -> None:
    """Cancel what awaits approval, as an operator would, so that it ends."""
    for name in ("", "/cancel"):
        request = urllib.request.Request(
            f"{place.url}/v1/actions/{action}{name}",
            method="POST" if name else "GET",
            headers={"Authorization": f"Bearer {ASKER_TOKEN}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                if json.load(answer)["state"] != "awaiting_approval":
                    return
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            return  # it is of another caller, and runs


@pytest.mark.parametrize("platform", [Tines, Shuffle, LogicApps])
class TestAgainstARunningConnector:
    def test_what_is_malicious_and_delivered_is_moved_once(self, place: ActingDaemon, platform: Any) -> None:
        delivered, held, clean = place.delivered(), place.held(), place.undetected()
        running = platform(place)

        def moved() -> bool:
            running.run()
            return bool(place.simulator.ledger.effects("move").get(delivered))

        until(moved, "the message is moved")
        cursor = int(running.cursor)
        # The move changes the message, which is an event again.
        until(lambda: running.run() or int(running.cursor) > cursor, "the message after the move")
        platform(place).run()

        assert place.simulator.ledger.effects("move")[delivered] == 1, "also where the cursor is lost"
        assert not {held, clean} & place.simulator.ledger.effects("move").keys()
        assert running.not_moved == []
        assert {"pull_events", "move_messages"} <= set(running.wire.operations)

    def test_what_needs_approval_is_followed_and_told(self, place: ActingDaemon, platform: Any) -> None:
        running = platform(place, ASKER_TOKEN)
        running.wire.wait = 1
        running.start_at(head(place))
        message = place.delivered()

        def told() -> bool:
            running.run()
            return any(one.startswith(message) for one in running.not_moved)

        until(told, "that the message was not moved")

        assert "get_action" in running.wire.operations
        assert message not in place.simulator.ledger.effects("move")

    def test_a_refused_pull_moves_no_cursor(self, place: ActingDaemon, platform: Any) -> None:
        running = platform(place, OBSERVER_TOKEN)

        running.run()

        assert running.cursor == "0"
        assert running.wire.operations == ["pull_events"]


def test_a_logic_app_begins_with_what_is_new_and_stops_without_its_cursor(place: ActingDaemon) -> None:
    place.delivered()
    until(lambda: head(place) != "0", "an event")
    running = LogicApps(place)
    running.cursor = ""

    running.run()
    assert int(running.cursor) > 0
    assert running.wire.operations == ["pull_events"]

    running.table_status = 403
    running.run()
    assert "Storage Table Data Contributor" in running.not_moved[0]
    assert running.wire.operations == ["pull_events"]
