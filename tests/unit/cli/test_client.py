"""The operator's commands over a real journal, as the control socket calls them."""

from __future__ import annotations

import asyncio
import json

import pytest

from connector.app.control.operator import ConfiguredNames, handlers
from connector.app.control.server import SOCKET, ask, serve_control
from connector.errors import ConnectorError, JournalInUse
from connector.facts import DeadLettersReplayed, FeedForgotten, OutputRewound
from connector.model import Backlog, Commit, Feed, JsonObject
from connector.ops.client import CommandTarget, OperatorClient
from tests.unit.cli.harness import FEED, NOW, StateFolder, letter, revision


async def test_a_rewind_is_reported_before_and_after(folder: StateFolder) -> None:
    await asyncio.to_thread(folder.fill)
    async with folder.operator() as (operator, journal):
        expected = {"position": 10, "target": 4, "revisions": 6, "complete": True, "dead_letters": 0}
        assert await operator.rewind_preview({"output": "siem", "to": 4}) == expected
        assert (await journal.outline()).outputs[1].position == 10

        assert await operator.rewind({"output": "siem", "to": 4}) == {"position": 4, "revisions": 6}
        assert await operator.rewind({"output": "siem", "to": 4}) == {"position": 4, "revisions": 0}

    assert folder.facts == [OutputRewound("siem", 4, 6)]


async def test_what_is_addressed_to_another_output_is_not_counted(folder: StateFolder) -> None:
    await asyncio.to_thread(folder.fill, [letter("siem", 1, revision("r1"))])
    async with folder.operator() as (operator, journal):
        await journal.attach("lake", "head", Backlog())
        await operator.resolve_dead_letters({"action": "replay", "numbers": [1]})
        for output in ("siem", "lake"):
            await journal.acknowledge(output, after=10, upto=11)

        assert (await operator.rewind_preview({"output": "siem", "to": 9}))["revisions"] == 2
        assert (await operator.rewind_preview({"output": "lake", "to": 9}))["revisions"] == 1


async def test_all_means_those_that_were_there_when_it_was_said(folder: StateFolder) -> None:
    await asyncio.to_thread(folder.fill, [letter("siem", 1, revision(f"r{n}")) for n in range(3)])
    async with folder.operator() as (operator, journal):
        upto = (await operator.state({}))["newest_dead_letter"]
        dead = [letter("siem", 11, revision("again"))]
        await journal.commit(Commit(FEED, "f", (revision("again"),)))
        await journal.acknowledge("siem", after=10, upto=11, dead=dead)

        request = {"action": "replay", "output": None, "after": 0, "upto": upto}
        assert await operator.resolve_dead_letters(request) == {
            "resolved": 3,
            "partly_taken": 0,
            "last": 4,
            "kept": {},
        }
        assert [number for number, _ in await journal.dead_letters()] == [4]

    assert folder.facts == [DeadLettersReplayed("siem", 3)]


async def test_a_forgotten_feed_refuses_the_walk_that_was_under_way(folder: StateFolder) -> None:
    await asyncio.to_thread(folder.fill)
    async with folder.operator() as (operator, journal):
        generation = (await journal.progress(FEED)).generation
        await operator.forget({"account": FEED.account, "search": FEED.search})

        with pytest.raises(ConnectorError, match="was forgotten"):
            await journal.commit(Commit(FEED, "f", (revision("late page"),), generation=generation))
        assert (await journal.progress(FEED)).checkpoints == {}
        await journal.commit(Commit(FEED, "f", (revision("first page"),)))

        with pytest.raises(ConnectorError, match="no feed nothing on account prod"):
            await operator.forget({"account": FEED.account, "search": "nothing"})

    assert folder.facts == [FeedForgotten(FEED, 1)]


@pytest.mark.parametrize(
    ("command", "request_"),
    [
        ("rewind_preview", {"output": "siem"}),
        ("rewind_preview", {"output": "siem", "to": "tomorrow"}),
        ("rewind_preview", {"output": "siem", "to": "2026-01-01T00:00:00"}),
        ("rewind_preview", {"output": 3, "to": 4}),
        ("resolve_dead_letters", {"action": "burn", "numbers": [1]}),
        ("resolve_dead_letters", {"action": "purge", "numbers": ["1"]}),
        ("resolve_dead_letters", {"action": "purge", "after": 0}),
        ("dead_letter", {}),
        ("forget", {"search": "detections"}),
    ],
)
async def test_a_request_that_is_not_understood_changes_nothing(
    folder: StateFolder, command: str, request_: JsonObject
) -> None:
    await asyncio.to_thread(folder.fill, [letter("siem", 1, revision("r1"))])
    async with folder.operator() as (operator, journal):
        before = await journal.outline()
        with pytest.raises(ConnectorError, match="invalid request"):
            await getattr(operator, command)(request_)

        assert await journal.outline() == before


async def test_both_ways_give_the_same_answers(folder: StateFolder) -> None:
    dead = letter("siem", 1, revision("r1", subject="\ud800 \x1b[2J", huge=2**99))
    await asyncio.to_thread(folder.fill, [dead])
    requests: list[tuple[str, JsonObject]] = [
        ("state", {}),
        ("rewind_preview", {"output": "siem", "to": NOW.isoformat()}),
        ("dead_letters", {"after": 0, "limit": 5}),
        ("dead_letter", {"number": 1}),
        ("resolve_dead_letters", {"action": "purge", "numbers": [1, 1]}),
        ("rewind", {"output": "siem", "to": 2}),
    ]
    settings = folder.loaded().settings
    client = OperatorClient(CommandTarget.of(settings))
    alone = [await client.call(command, **arguments) for command, arguments in requests[:4]]
    assert not client.running

    async with folder.journal() as journal:
        commands = handlers(journal, ConfiguredNames.of(settings), folder.facts.append)
        async with serve_control(settings.state.directory, commands):
            beside = [await client.call(command, **arguments) for command, arguments in requests]
            assert client.running
            with pytest.raises(ConnectorError, match="no output is named seim"):
                await client.call("rewind", output="seim", to=0)

    assert beside[:4] == alone
    assert json.loads(beside[3]["dead_letter"])["revision"]["record"] == dead.revision.record.body
    assert beside[4:] == [
        {"resolved": 1, "partly_taken": 0, "last": 0, "kept": {}},
        {"position": 2, "revisions": 8},
    ]


async def test_a_daemon_that_starts_is_waited_for(folder: StateFolder) -> None:
    await asyncio.to_thread(folder.fill)
    settings = folder.loaded().settings
    async with folder.journal() as journal:
        asking = asyncio.create_task(OperatorClient(CommandTarget.of(settings)).call("state"))
        await asyncio.sleep(0.3)
        assert not asking.done()
        async with serve_control(
            settings.state.directory, handlers(journal, ConfiguredNames.of(settings), folder.facts.append)
        ):
            assert (await asking)["head"] == 10


async def test_another_program_that_has_the_journal_is_named(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.ops.client._RETRY_FOR", 0.2)
    await asyncio.to_thread(folder.fill)
    async with folder.journal():
        with pytest.raises(JournalInUse, match="in use by process"):
            await OperatorClient(CommandTarget.of(folder.loaded().settings)).call("state")


async def test_a_daemon_that_does_not_answer_is_said_so(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.app.control.server._TIMEOUT", 0.2)

    left = asyncio.Event()

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    async with await asyncio.start_unix_server(keep_silent, folder.directory / SOCKET):
        with pytest.raises(ConnectorError, match="did not answer within"):
            await ask(folder.directory, "state")
        await left.wait()


async def test_a_feed_of_another_account_is_named_by_its_id(folder: StateFolder) -> None:
    await asyncio.to_thread(folder.fill)
    async with folder.operator() as (operator, journal):
        await journal.commit(Commit(Feed("c" * 32, "x"), "f"))
        with pytest.raises(ConnectorError, match="c" * 32):
            await operator.forget({"account": "c" * 32, "search": "y"})
