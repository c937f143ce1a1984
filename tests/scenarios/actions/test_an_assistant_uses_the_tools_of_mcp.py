"""An assistant's client, the one of the MCP SDK, starts ``email-connector mcp`` over a running connector."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.types import CallToolResult, TextContent

from tests.support.acting_daemon import ASKER_TOKEN, CALLER_TOKEN, OBSERVER_TOKEN, ActingDaemon, acting_daemon
from tests.support.process import TOKEN, command, environment

pytestmark = pytest.mark.slow

READING = {"get_caller", "search_messages", "get_message", "pull_events", "list_actions", "get_action"}
EVERYTHING = ("move", "release", "submit", "block", "cancel")
REASON = {"reason": "SOC-1: phishing"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActingDaemon]:
    with acting_daemon(tmp_path_factory.mktemp("acting")) as running:
        yield running


@asynccontextmanager
async def assistant(
    place: ActingDaemon, directory: Path, *allowed: str, token: str = CALLER_TOKEN, mode: str = "auto"
) -> AsyncIterator[Client]:
    """A client whose server is allowed that, with a caller's token in a file."""
    (directory / "token").write_text(f"{token}\n")
    options = [word for one in allowed for word in ("--allow", one)]
    arguments = [
        "-m",
        "connector",
        "mcp",
        "--url",
        place.url,
        "--token-file",
        str(directory / "token"),
        *options,
    ]
    parameters = StdioServerParameters(command=sys.executable, args=arguments, env=environment())
    with (directory / "stderr").open("w") as log:
        async with Client(stdio_client(parameters, errlog=log), mode=mode) as client:
            yield client


def text_of(result: CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, TextContent)
    for secret in (CALLER_TOKEN, OBSERVER_TOKEN, ASKER_TOKEN, TOKEN, "write-token-of-the-account"):
        assert secret not in content.text
    return content.text


def answer(result: CallToolResult) -> dict[str, Any]:
    """What a tool returned, which is marked as content of strangers."""
    text = text_of(result)
    assert not result.is_error, text
    document: dict[str, Any] = json.loads(text)
    assert list(document)[:2] == ["untrusted_content", "notice"]
    assert document["untrusted_content"] is True
    return document


async def test_without_more_there_are_tools_to_read_and_they_read(
    place: ActingDaemon, tmp_path: Path
) -> None:
    message = place.delivered()

    async with assistant(place, tmp_path) as client:
        listed = (await client.list_tools()).tools
        found = answer(await client.call_tool("search_messages", {"final_disposition": "MALICIOUS"}))
        got = answer(await client.call_tool("get_message", {"message_id": message, "with": ["action_log"]}))
        events = answer(await client.call_tool("pull_events", {"limit": 1}))
        moved = await client.call_tool(
            "move_messages", {"ids": [message], "destination": "JunkEmail", "confirm": True, **REASON}
        )

    assert {tool.name for tool in listed} == READING
    for tool in listed:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is True
        assert tool.annotations.destructive_hint is False
    assert message in [one["id"] for one in found["answer"]["messages"]]
    assert (got["answer"]["message"]["id"], got["answer"]["action_log"]) == (message, [])
    assert "next" in events["answer"]
    assert moved.is_error
    assert "There is no tool 'move_messages'" in text_of(moved)
    assert "tools: get_caller, search_messages" in (tmp_path / "stderr").read_text()


async def test_nothing_is_written_without_both_words(place: ActingDaemon, tmp_path: Path) -> None:
    held, writes = place.held(), len(place.simulator.ledger.writes)
    wanted = {"ids": [held], **REASON}

    async with assistant(place, tmp_path, *EVERYTHING, mode="legacy") as client:
        listed = (await client.list_tools()).tools
        for more in ({}, {"dry_run": False}, {"confirm": True}, {"dry_run": True, "confirm": True}):
            shown = answer(await client.call_tool("release_messages", {**wanted, **more}))
            assert shown["preview"] is True
            assert [row["state"] for row in shown["answer"]["results"]] == ["planned"]
        blocked = answer(
            await client.call_tool(
                "block_sender", {"pattern": "phish.example", "pattern_type": "DOMAIN", **REASON}
            )
        )

    marked = {tool.name: tool.annotations for tool in listed if tool.name not in READING}
    assert {
        name: (one.read_only_hint, one.destructive_hint, one.idempotent_hint)
        for name, one in marked.items()
        if one is not None
    } == {
        "move_messages": (False, True, True),
        "release_messages": (False, True, False),
        "submit_messages": (False, False, False),
        "block_sender": (False, True, True),
        "unblock_sender": (False, True, True),
        "cancel_action": (False, True, True),
    }
    assert blocked["answer"]["dry_run"] is True
    assert len(place.simulator.ledger.writes) == writes


async def test_what_a_person_agreed_to_is_done_once(place: ActingDaemon, tmp_path: Path) -> None:
    held = place.held()
    wanted = {"ids": [held], **REASON}

    async with assistant(place, tmp_path, "release", "block", "cancel") as client:
        shown = answer(await client.call_tool("release_messages", wanted))
        [name] = [word.strip("'.") for word in shown["next_step"].split() if word.startswith("'")]
        agreed = {**wanted, "dry_run": False, "confirm": True, "request_id": name}
        done = answer(await client.call_tool("release_messages", agreed))
        again = answer(await client.call_tool("release_messages", agreed))
        read = answer(await client.call_tool("get_action", {"action_id": done["answer"]["id"]}))
        both = {"dry_run": False, "confirm": True, **REASON}
        block = answer(
            await client.call_tool(
                "block_sender", {"pattern": "evil.example", "pattern_type": "DOMAIN", **both}
            )
        )
        freed = answer(
            await client.call_tool("unblock_sender", {"block_id": block["answer"]["block_id"], **both})
        )
        late = await client.call_tool("cancel_action", {"action_id": done["answer"]["id"], "confirm": True})

    assert (done["answer"]["state"], again["answer"]["id"]) == ("succeeded", done["answer"]["id"])
    assert read["answer"]["results"] == done["answer"]["results"]
    assert (block["answer"]["state"], freed["answer"]["state"]) == ("succeeded", "succeeded")
    assert place.simulator.ledger.effects("release") == {held: 1}
    assert late.is_error
    assert "[409] has_ended" in text_of(late)


async def test_the_scope_of_the_caller_applies(place: ActingDaemon, tmp_path: Path) -> None:
    async with assistant(place, tmp_path, "release", token=ASKER_TOKEN) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}

    assert names - READING == {"release_messages"}
    assert not names & {"search_messages", "get_message"}


async def test_mistakes_are_told_with_their_place(place: ActingDaemon, tmp_path: Path) -> None:
    async with assistant(place, tmp_path, "move", "cancel") as client:
        refused = [
            text_of(await client.call_tool(name, arguments))
            for name, arguments in (
                ("search_messages", {"limit": 1000}),
                ("search_messages", {"recipeint": "a@corp.example"}),
                ("get_message", {"message_id": "4Njp3P0STMz2c02Q-2026-11-18T09:41:07"}),
                ("move_messages", {"ids": ["x"], "destination": "Trash", **REASON}),
                ("move_messages", {"ids": ["x"], "destination": "Inbox"}),
                ("cancel_action", {"action_id": "0" * 32}),
                ("get_message", {"message_id": "../../caller"}),
            )
        ]

    for text, told in zip(
        refused,
        (
            "expected an integer from 1 to 100",
            "did you mean recipient?",
            "[404] not_found",
            "/destination: expected one of",
            "/reason: is required",
            "/confirm: ask a person",
            "[400] malformed",
        ),
        strict=True,
    ):
        assert told in text


@pytest.mark.parametrize(
    ("arguments", "token", "told"),
    [
        (["--allow", "release"], OBSERVER_TOKEN, "--allow release: the caller observer may not"),
        ([], "no-such-token-0123456789", "[401] unauthenticated"),
        (["--url", "http://127.0.0.1:9"], CALLER_TOKEN, "No answer from the connector: 127.0.0.1:9"),
    ],
)
def test_a_server_that_could_not_serve_does_not_start(
    place: ActingDaemon, tmp_path: Path, arguments: list[str], token: str, told: str
) -> None:
    code, output, errors = command(
        "mcp", "--url", place.url, *arguments, environ=environment(EMAIL_CONNECTOR_TOKEN=token), cwd=tmp_path
    )

    assert code in {1, 2}
    assert told in errors
    assert token not in errors
    assert not output
