"""The Splunk SOAR app, run by Splunk's own SDK, as the platform does: a real connector."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from connector.actions.operations import OPERATIONS, SCHEMAS
from tests.support.acting_daemon import ASKER_TOKEN, CALLER_TOKEN, OBSERVER_TOKEN, ActingDaemon, acting_daemon
from tests.support.lost_answers import losing_answers
from tests.support.process import environment, until
from tests.support.splunk_soar import APP, Platform, host, sdk_python

pytestmark = pytest.mark.xdist_group("splunk_soar")  # one connector and one SDK, not one per worker

MANIFEST_TYPES = {
    "test connectivity": ("test", True),
    "on poll": ("ingest", True),
    "search messages": ("investigate", True),
    "get message": ("investigate", True),
    "move message": ("contain", False),
    "release message": ("correct", False),
    "submit message": ("generic", False),
    "block sender": ("contain", False),
    "unblock sender": ("correct", False),
    "get action": ("investigate", True),
    "list actions": ("investigate", True),
    "cancel action": ("correct", False),
}
OPERATION_OF = {
    "search messages": "search_messages",
    "get message": "get_message",
    "move message": "move_messages",
    "release message": "release_messages",
    "submit message": "submit_messages",
    "block sender": "block_sender",
    "unblock sender": "unblock_sender",
    "get action": "get_action",
    "list actions": "list_actions",
    "cancel action": "cancel_action",
}
EXTRA = {"get action": {"timeout"}}
"""Parameters that the app itself takes."""
WHY = {"reason": "SOC-1"}


@pytest.fixture(scope="module")
def splunk() -> Iterator[subprocess.Popen[str]]:
    with host() as process:
        yield process


@pytest.fixture
def soar(place: ActingDaemon, splunk: subprocess.Popen[str], tmp_path: Path) -> Platform:
    asset = {
        "url": f"{place.url}/",
        "token": CALLER_TOKEN,
        "first_poll": "Everything kept",
        "max_containers": 2,
    }
    return Platform(splunk, tmp_path, asset)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The manifest that the SDK makes of the app when it packages it."""
    folder = tmp_path_factory.mktemp("manifest") / APP.name
    shutil.copytree(APP, folder)
    # What `uv lock` writes, less the packages, which it would have to look up.
    lock = f'[[package]]\nname = "{APP.name}"\nversion = "1.0.0"\nsource = {{directory = "."}}\n'
    (folder / "uv.lock").write_text(lock)
    subprocess.run(
        [sdk_python(), "-m", "soar_sdk.cli.cli", "package", "build", "-o", "app.tgz"],
        cwd=folder, env=environment(), check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    with tarfile.open(folder / "app.tgz") as package:
        files = {name.partition("/")[2]: name for name in package.getnames()}
        manifest = package.extractfile(files["manifest.json"])
        assert manifest is not None
        made: dict[str, Any] = json.load(manifest)
    assert {f"src/{file.name}" for file in (APP / "src").glob("*.py")} | {
        made["logo"],
        made["logo_dark"],
    } <= files.keys()
    return made


class TestManifest:
    def test_every_action_has_its_type_and_says_whether_it_only_reads(self, manifest: dict[str, Any]) -> None:
        assert {
            one["action"]: (one["type"], one["read_only"]) for one in manifest["actions"]
        } == MANIFEST_TYPES

    def test_the_token_and_the_key_are_passwords(self, manifest: dict[str, Any]) -> None:
        types = {name: field["data_type"] for name, field in manifest["configuration"].items()}

        assert {name for name, type_ in types.items() if type_ == "password"} == {"token", "client_key"}

    @pytest.mark.parametrize("action", OPERATION_OF)
    def test_an_action_has_the_parameters_of_its_operation(
        self, manifest: dict[str, Any], action: str
    ) -> None:
        [operation] = [one for one in OPERATIONS if one.id == OPERATION_OF[action]]
        [made] = [one for one in manifest["actions"] if one["action"] == action]
        fields = {
            # "with" is a keyword of Python.
            "details" if field.name == "with" else field.name: field
            for field in (*operation.path_fields, *operation.query, *(operation.body or ()))
            if field.name != "wait"
        }
        parameters = {
            name: one for name, one in made["parameters"].items() if name not in EXTRA.get(action, ())
        }

        assert parameters.keys() == fields.keys()
        for name, field in fields.items():
            assert parameters[name]["required"] == field.required, name
            if field.allowed and field.type == "string":
                assert parameters[name]["value_list"] == list(field.allowed), name

    def test_data_paths_are_those_of_the_api(self, manifest: dict[str, Any]) -> None:
        [move] = [one for one in manifest["actions"] if one["action"] == "move message"]
        prefix = "action_result.data.*."
        paths = {
            one["data_path"].removeprefix(prefix)
            for one in move["output"]
            if one["data_path"].startswith(prefix)
        }
        rows = {f"results.*.{name}" for name in SCHEMAS["Result"]["properties"]}

        assert paths == {*SCHEMAS["Action"]["properties"], *rows} - {"results"}


def test_the_sdks_own_command_line_moves_a_message(place: ActingDaemon, tmp_path: Path) -> None:
    message = place.delivered()
    parameters = {"ids": message, "destination": "JunkEmail", "reason": "SOC-1"}
    (tmp_path / "params.json").write_text(json.dumps(parameters))
    (tmp_path / "asset.json").write_text(json.dumps({"url": place.url, "token": CALLER_TOKEN}))

    done = subprocess.run(
        [
            sdk_python(), "-m", "src.app", "action", "move-message",
            "-p", tmp_path / "params.json", "-a", tmp_path / "asset.json",
        ],
        cwd=APP, env=environment(PYTHONDONTWRITEBYTECODE="1"), capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip

    assert "Action success: True" in done.stdout
    assert place.simulator.ledger.effects("move") == {message: 1}


class TestAgainstARunningConnector:
    def test_the_connection_is_tested(self, soar: Platform) -> None:
        good = soar.told("test_connectivity")
        reader = soar.told("test_connectivity", asset={"token": OBSERVER_TOKEN})
        wrong = soar.run("test_connectivity", asset={"token": "wrong-token-0123456789"})

        assert good["results"][0]["status"]
        assert "knows this SOAR as soc" in good["progress"]
        assert "cannot ingest" in reader["progress"]
        assert not wrong["status"]
        assert "[401] unauthenticated" in wrong["message"]
        assert CALLER_TOKEN not in good["progress"]

    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("http://127.0.0.1:9", "No answer from the connector"),
            ("http://connector.example:9465", "expected https://"),
            ("connector.example:9465", "expected https://"),
            ("https://connector.example:port", "url: "),
        ],
    )
    def test_an_unusable_url_is_named(self, soar: Platform, url: str, expected: str) -> None:
        assert expected in soar.run("test_connectivity", asset={"url": url})["message"]

    def test_a_token_that_no_header_can_carry_is_named_but_not_shown(self, soar: Platform) -> None:
        told = soar.run("test_connectivity", asset={"token": "töken-0123456789"})

        assert "token: expected printable ASCII" in told["message"]
        assert "töken" not in told["message"]

    def test_an_address_of_something_else_is_no_connector(self, soar: Platform, place: ActingDaemon) -> None:
        other = place.api_url

        assert (
            "is this the URL of its actions.listen?"
            in soar.run("test_connectivity", asset={"url": other})["message"]
        )

    def test_a_message_is_found_moved_and_read(self, soar: Platform, place: ActingDaemon) -> None:
        message = place.delivered()
        record = soar.run("get_message", {"message_id": message, "details": "detections, action_log"})[
            "data"
        ][0]
        header = record["message"]["message_id"]
        found = soar.run("search_messages", {"message_id": header, "detections_only": False})
        moved = soar.run("move_message", {"ids": message, "destination": "JunkEmail", **WHY})
        after = soar.run("get_message", {"message_id": message, "details": "action_log"})["data"][0]

        assert "detections" in record
        assert ([one["id"] for one in found["data"]], found["summary"]["truncated"]) == ([message], False)
        assert moved["status"]
        assert (moved["summary"]["state"], moved["summary"]["succeeded"]) == ("succeeded", 2)
        assert "MOVE" in [entry["operation"] for entry in after["action_log"]]

    def test_a_repeated_action_run_releases_once_and_another_run_is_another_request(
        self, soar: Platform, place: ActingDaemon
    ) -> None:
        held = place.held()
        wanted = {"ids": held, **WHY}

        first = soar.run("release_message", wanted, run=41)
        again = soar.run("release_message", wanted, run=41)
        later = soar.run("release_message", wanted, run=42)

        assert (first["status"], again["status"], later["status"]) == (True, True, False)
        assert first["summary"]["action_id"] == again["summary"]["action_id"] != later["summary"]["action_id"]
        assert re.search("not in quarantine|has just released", later["message"])
        assert place.simulator.ledger.effects("release")[held] == 1

    def test_a_lost_answer_is_asked_for_again_and_nothing_is_done_twice(
        self, soar: Platform, place: ActingDaemon
    ) -> None:
        held = place.held()

        with losing_answers(place.url, 2) as relay:
            told = soar.run("release_message", {"ids": held, **WHY}, asset={"url": relay.url})

        assert told["status"], told["message"]
        assert [answer[:11] for answer in relay.lost] == [b"HTTP/1.1 20"] * 2, "it was accepted both times"
        assert place.simulator.ledger.effects("release")[held] == 1

    def test_one_action_run_with_several_sets_of_parameters_does_all_of_them(
        self, soar: Platform, place: ActingDaemon
    ) -> None:
        wanted = [{"ids": place.held(), **WHY} for _ in range(2)]

        results = soar.told("release_message", *wanted)["results"]

        assert [one["status"] for one in results] == [True, True]
        assert len({one["summary"]["action_id"] for one in results}) == 2

    def test_the_playbooks_own_request_id_goes_before(self, soar: Platform, place: ActingDaemon) -> None:
        wanted = {"ids": place.held(), "request_id": "incident-9-release", **WHY}

        ids = {soar.run("release_message", wanted)["summary"]["action_id"] for _ in range(2)}

        assert len(ids) == 1

    def test_one_message_of_two_fails_and_the_run_says_so(self, soar: Platform, place: ActingDaemon) -> None:
        held, delivered = place.held(), place.delivered()

        told = soar.run("release_message", {"ids": f"{held}, {delivered}", **WHY})

        assert not told["status"]
        assert told["summary"]["state"] == "partial"
        assert {row["state"] for row in told["data"][0]["results"]} == {"succeeded", "failed"}
        assert "not in quarantine" in told["message"]

    @pytest.mark.parametrize("kind", ["reclassification", "missed_detection"])
    def test_a_message_is_submitted(self, soar: Platform, place: ActingDaemon, kind: str) -> None:
        message = place.held() if kind == "reclassification" else place.undetected()
        expected = "NONE" if kind == "reclassification" else "MALICIOUS"

        told = soar.run(
            "submit_message", {"ids": message, "type": kind, "expected_disposition": expected, **WHY}
        )

        assert told["status"], told["message"]
        assert place.simulator.ledger.effects("submission")[message] == 1

    def test_a_sender_is_blocked_and_unblocked(self, soar: Platform) -> None:
        wanted = {"pattern": "phish.example", "pattern_type": "DOMAIN", "expires_in": 3600, "is_regex": False}

        blocked = soar.run("block_sender", {**wanted, **WHY})
        free = soar.run(
            "unblock_sender", {"block_id": blocked["data"][0]["block_id"], "dry_run": False, **WHY}
        )
        again = soar.run("block_sender", {**wanted, **WHY})

        assert (blocked["status"], free["status"], again["status"]) == (True, True, True)
        assert blocked["data"][0]["expires_at"]
        assert again["data"][0]["block_id"] != blocked["data"][0]["block_id"]

    def test_a_dry_run_changes_nothing(self, soar: Platform, place: ActingDaemon) -> None:
        held, writes = place.held(), len(place.simulator.ledger.writes)

        told = soar.run("release_message", {"ids": held, "dry_run": True, **WHY})

        assert "dry run: nothing was changed" in told["message"]
        assert [row["state"] for row in told["data"][0]["results"]] == ["planned"]
        assert len(place.simulator.ledger.writes) == writes

    def test_what_awaits_approval_is_no_success_and_is_followed(
        self, soar: Platform, place: ActingDaemon
    ) -> None:
        asker = {"token": ASKER_TOKEN}

        asked = soar.run("release_message", {"ids": place.held(), **WHY}, asset=asker)
        name = {"action_id": asked["summary"]["action_id"]}
        seen = soar.run("get_action", {**name, "timeout": 0}, asset=asker)
        awaited = soar.run("get_action", {**name, "timeout": 1}, asset=asker)
        listed = soar.run("list_actions", {"state": "awaiting_approval"}, asset=asker)
        cancelled = soar.run("cancel_action", name, asset=asker)
        ended = soar.run("get_action", {**name, "timeout": 30}, asset=asker)

        assert (asked["status"], asked["summary"]["state"]) == (False, "awaiting_approval")
        assert f"action_id {name['action_id']}" in asked["message"]
        assert (seen["status"], awaited["status"]) == (True, False)
        assert name["action_id"] in [one["id"] for one in listed["data"]]
        assert cancelled["status"]
        assert (ended["status"], ended["summary"]["state"]) == (False, "cancelled")

    def test_a_refusal_tells_why(self, soar: Platform, place: ActingDaemon) -> None:
        held = place.held()

        scope = soar.run("release_message", {"ids": held, **WHY}, asset={"token": OBSERVER_TOKEN})
        reason = soar.run("release_message", {"ids": held, "reason": "x"})

        assert not scope["status"]
        assert "[403] out_of_scope: release is not in your scope" in scope["message"]
        assert "/reason" in reason["message"]
        assert place.simulator.ledger.effects("release").get(held) is None

    def test_no_answer_names_the_request_to_repeat(self, soar: Platform) -> None:
        told = soar.run(
            "release_message",
            {"ids": "x", "request_id": "mine-1", **WHY},
            asset={"url": "http://127.0.0.1:9"},
        )

        assert "ask again with the request_id mine-1" in told["message"]


class TestPolling:
    def test_every_message_becomes_one_container_over_several_polls(
        self, soar: Platform, place: ActingDaemon
    ) -> None:
        expected = {place.held() for _ in range(5)}
        containers: list[dict[str, Any]] = []
        artifacts: list[dict[str, Any]] = []

        def all_there() -> bool:
            told = soar.told("on_poll", {"container_count": 4294967295})
            assert told["results"][0]["status"], told["results"]
            assert len(told["containers"]) <= 2
            containers.extend(told["containers"])
            artifacts.extend(told["artifacts"])
            return expected <= {one["data"]["id"] for one in containers}

        until(all_there, "a container for each message")

        names = [one["data"]["id"] for one in containers]
        ours = next(one for one in artifacts if one["cef"]["cloudflareEmailId"] in expected)
        assert len(names) == len(set(names))
        assert containers[0]["severity"] == "high"
        assert containers[0]["name"].startswith("MALICIOUS email: ")
        assert ours["cef_types"]["cloudflareEmailId"] == ["cloudflare email message id"]
        assert ours["run_automation"]

    def test_a_later_state_of_a_message_is_an_artifact_of_its_container_and_starts_no_playbook(
        self, soar: Platform, place: ActingDaemon
    ) -> None:
        held = place.held()
        found: list[dict[str, Any]] = []

        def has(states: int) -> bool:
            told = soar.told("on_poll", asset={"max_containers": 5000})
            found.extend(one for one in told["artifacts"] if one["cef"]["cloudflareEmailId"] == held)
            return len(found) >= states

        until(lambda: has(1), "the message")
        place.simulator.world.change(held, {"final_disposition": "SPAM"})
        until(lambda: has(2), "its correction")

        first, later = found
        assert (first["cef"]["verdict"], later["cef"]["verdict"]) == ("MALICIOUS", "SPAM")
        assert first["container_id"] == later["container_id"]
        assert (first["run_automation"], later["run_automation"]) == (True, False)

    def test_poll_now_shows_what_is_kept_and_moves_no_cursor(
        self, soar: Platform, place: ActingDaemon
    ) -> None:
        place.held()
        assert soar.told("on_poll", asset={"first_poll": "What is new"})["containers"] == []
        cursor = soar.state

        shown = soar.told("on_poll", {"container_count": 1})
        again = soar.told("on_poll", {"container_count": 1})

        assert len(shown["containers"]) == 1
        assert again["containers"] == [], "the platform has it"
        assert soar.state == cursor

    def test_another_journal_is_read_from_its_beginning(
        self, soar: Platform, place: ActingDaemon, tmp_path: Path
    ) -> None:
        message = place.held()

        def polled() -> bool:
            soar.told("on_poll", asset={"max_containers": 5000})
            return f"prod/{message}" in soar.stored

        until(polled, "the message")
        soar.stored = {}
        with acting_daemon(tmp_path / "other") as other:
            told = soar.told("on_poll", asset={"url": other.url})

        assert told["results"][0]["status"], told["results"]
        assert "Beginning with the first event of the new journal" in told["progress"]

    def test_what_the_platform_could_not_store_is_ingested_by_the_next_poll(
        self, soar: Platform, place: ActingDaemon
    ) -> None:
        place.held()

        def polled() -> bool:
            told = soar.told("on_poll", full=True)
            return not told["results"][0]["status"] and "disk full" in told["results"][0]["message"]

        until(polled, "a poll with something to store")
        later = soar.told("on_poll")

        assert later["results"][0]["status"]
        assert later["artifacts"], "the cursor stood still"

    def test_a_caller_without_the_permission_is_told(self, soar: Platform) -> None:
        told = soar.run("on_poll", asset={"token": OBSERVER_TOKEN})

        assert not told["status"]
        assert "[403] out_of_scope" in told["message"]


def test_certificates_of_both_sides_are_checked(splunk: subprocess.Popen[str], tmp_path: Path) -> None:
    authority, strangers = trustme.CA(), trustme.CA()
    server, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("soar@corp.example")
    server.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    chain = b"".join(blob.bytes() for blob in client.cert_chain_pems).decode()
    key = client.private_key_pem.bytes().decode()
    ca = authority.cert_pem.bytes().decode()
    tls = "tls: {cert_file: server.pem, client_ca_file: authority.pem}"
    with acting_daemon(tmp_path, tls) as place:
        soar = Platform(splunk, tmp_path, {"url": place.url, "token": CALLER_TOKEN})
        known = {"client_certificate": chain, "client_key": key}
        one_line = {**known, "client_key": " ".join(key.split("\n"))}
        assets = {
            "both": {"ca_certificate": ca, **known},
            "key in one line": {"ca_certificate": ca, **one_line},
            "no certificate": {"ca_certificate": ca},
            "another authority": {"ca_certificate": strangers.cert_pem.bytes().decode(), **known},
            "unverified": {"verify_server_cert": False, **known},
            "no PEM": {"ca_certificate": "no certificate"},
        }
        told = {name: soar.run("test_connectivity", asset=asset) for name, asset in assets.items()}

    assert [name for name, one in told.items() if one["status"]] == ["both", "key in one line", "unverified"]
    assert "CERTIFICATE_VERIFY_FAILED" in told["another authority"]["message"]
    assert "ca_certificate: expected PEM" in told["no PEM"]["message"]
