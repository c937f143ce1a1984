"""The tools that an assistant is offered, and the requests that its calls become."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from connector.actions.callers import Permission
from connector.actions.operations import OPERATIONS
from connector.actions.refusals import CallRefusedError
from connector.cli import mcp as command
from connector.errors import ConfigurationError
from connector.ops.mcp.api import check_url
from connector.ops.mcp.tools import PERMITTED, Tool, request_of, tools
from tests.support.process import environment

MAY = get_args(Permission)
ALL = {tool.name: tool for tool in tools(PERMITTED, MAY)}
ACTING = {name: tool for name, tool in ALL.items() if tool.allowed_by}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "move_messages": {"ids": ["a", "b"], "destination": "JunkEmail", "reason": "SOC-1"},
    "release_messages": {"ids": ["a"], "reason": "SOC-1"},
    "submit_messages": {
        "ids": ["a"], "type": "reclassification", "expected_disposition": "NONE", "reason": "SOC-1",
    },
    "block_sender": {"pattern": "phish.example", "pattern_type": "DOMAIN", "reason": "SOC-1"},
    "unblock_sender": {"block_id": "b-1", "reason": "SOC-1"},
}  # fmt: skip


def dry_run_of(tool: Tool, **more: Any) -> object:
    """The ``dry_run`` that the request of a call carries."""
    request = request_of(tool, {**ARGUMENTS[tool.name], **more}, "fresh")
    return dict(request.query)["dry_run"] if request.body is None else request.body["dry_run"]


def test_everything_that_changes_something_needs_to_be_allowed() -> None:
    changing = {operation.id for operation in OPERATIONS if operation.destructive}

    assert changing - ACTING.keys() == {"approve_action"}
    assert not [tool.name for tool in tools((), MAY) if tool.operation.destructive]
    for one in PERMITTED:
        added = {tool.name for tool in tools((one,), MAY)} - {tool.name for tool in tools((), MAY)}
        assert added == {name for name, tool in ACTING.items() if tool.allowed_by == one}


def test_what_the_caller_may_not_is_not_offered() -> None:
    assert {tool.name for tool in tools(PERMITTED, ())} == {
        "get_caller", "list_actions", "get_action", "cancel_action",
    }  # fmt: skip


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_action_needs_both_words(name: str) -> None:
    tool = ACTING[name]

    previews: tuple[dict[str, Any], ...] = (
        {},
        {"dry_run": False},
        {"confirm": True},
        {"dry_run": True, "confirm": True},
    )
    assert [dry_run_of(tool, **words) in {True, "true"} for words in previews] == [True] * 4
    assert dry_run_of(tool, dry_run=False, confirm=True) in {False, "false"}
    with pytest.raises(CallRefusedError, match="expected true or false"):
        dry_run_of(tool, dry_run=False, confirm="yes")


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_action_can_be_repeated_by_its_name_and_a_preview_does_not_use_it_up(name: str) -> None:
    act = {**ARGUMENTS[name], "dry_run": False, "confirm": True}

    fresh = request_of(ACTING[name], act, "fresh")
    named = request_of(ACTING[name], {**act, "request_id": "mine"}, "fresh")
    preview = request_of(ACTING[name], {**ARGUMENTS[name], "request_id": "mine"}, "fresh")

    sent = [dict(one.query) if one.body is None else one.body for one in (fresh, named, preview)]
    assert [one.get("request_id") for one in sent] == ["fresh", "mine", None]
    assert preview.request_id == "mine"


def test_parameters_go_where_the_api_expects_them() -> None:
    found = request_of(ALL["get_message"], {"message_id": "a?..%b", "with": ["trace", "detections"]}, "")
    searched = request_of(
        ALL["search_messages"], {"detections_only": True, "start": "2026-11-01T00:00:00Z"}, ""
    )

    assert (found.method, found.path, found.query) == (
        "GET", "/v1/messages/a%3F..%25b", (("with", "trace,detections"),),
    )  # fmt: skip
    assert dict(searched.query) == {
        "detections_only": "true", "start": "2026-11-01T00:00:00Z", "limit": "10",
    }  # fmt: skip


@pytest.mark.parametrize("tool", ALL.values(), ids=ALL)
def test_a_tool_describes_its_arguments(tool: Tool) -> None:
    schema = tool.schema()

    Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert all(member["description"] for member in schema["properties"].values())
    assert "wait" not in schema["properties"]
    assert "202" not in tool.description
    if tool.name in ARGUMENTS:
        Draft202012Validator(schema).validate(ARGUMENTS[tool.name])


def test_the_command_allows_what_the_server_can() -> None:
    assert command._PERMITTED == PERMITTED


@pytest.mark.parametrize(
    "url",
    [
        "connector.example", "ftp://127.0.0.1", "http://10.0.0.1:9465", "http://127.0.0.1.evil.example",
        "https://user:secret@connector.example", "https://connector.example/v1", "https://h:99999", "http://[::1",
    ],
)  # fmt: skip
def test_an_address_that_must_not_be_called_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="--url"):
        check_url(url)


def test_addresses_of_this_machine_need_no_tls() -> None:
    for url in (
        "http://127.0.0.1:9465",
        "http://[::1]:9465/",
        "http://localhost:1",
        "https://connector.example",
    ):
        assert check_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    ("arguments", "token", "told"),
    [
        ([], "", "no token: give --token-file, or set EMAIL_CONNECTOR_TOKEN"),
        (["--token-file", "absent"], "", "cannot read absent"),
        (["--token-file", "absent"], "canary-0123456789", "not both"),
        ([], "canary 0123456789", "characters that no token has"),
        (["--url", "http://connector.example"], "canary-0123456789", "expected https"),
        (["--key-file", __file__], "canary-0123456789", "--key-file requires --cert-file"),
        (["--allow", "approve"], "canary-0123456789", "'approve' is not one of"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_called(
    arguments: list[str], token: str, told: str
) -> None:
    done = CliRunner().invoke(command.command, arguments, env={"EMAIL_CONNECTOR_TOKEN": token})

    shown = done.output + str(done.exception)
    assert done.exit_code != 0
    assert told in shown
    assert not token or token not in shown


def test_without_the_sdk_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.cli.mcp.find_spec", lambda _: None)

    done = CliRunner().invoke(command.command, [])

    assert isinstance(done.exception, ConfigurationError)
    assert "pip install 'cloudflare-email-connector[mcp]'" in str(done.exception)


def test_nothing_else_imports_the_sdk() -> None:
    program = (
        "import sys\n"
        "import connector.app.actions, connector.app.daemon, connector.ops.mcp.api\n"
        "from connector.cli import group\n"
        "for name in group.list_commands(None): group.get_command(None, name)\n"
        "sys.exit('mcp' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, timeout=120, check=False
    )

    assert (done.returncode, done.stderr) == (0, b"")
