"""``quarantine``: what could not become a record is shown, delivered once it can be read, or deleted."""

from __future__ import annotations

import asyncio

import pytest

from connector.facts import QuarantinedPurged, QuarantinedReplayed
from connector.model import Backlog, Commit, Quarantined, SearchSource, mark_source
from tests.unit.cli.harness import FEED, Shell, StateFolder

READABLE = b'{"id":"a","subject":"now \\u001b[31m readable","scanned_at":"2026-11-22T11:00:00Z"}'
DEEP = b'{"id":"b","x":' + b"[" * 2000 + b"]" * 2000 + b"}"


@pytest.fixture
def filled(folder: StateFolder) -> StateFolder:
    """Item 1 can be read by now, as after an update; item 2 cannot."""

    async def fill() -> None:
        async with folder.journal() as journal:
            await journal.attach("siem", "head", Backlog())
            items = (Quarantined(READABLE, "undecodable"), Quarantined(DEEP, "nested_too_deeply"))
            await journal.commit(Commit(FEED, "print", quarantined=items))

    asyncio.run(fill())
    return folder


def journaled(folder: StateFolder) -> tuple[list[str], list[int], str | None]:
    """Ids of the revisions that wait for ``siem``, numbers of the items left, the feed's fingerprint."""

    async def look() -> tuple[list[str], list[int], str | None]:
        async with folder.journal() as journal:
            outline = await journal.outline()
            entry = await journal.read("siem", 0) if outline.head else None
            ids = [one.record.id for one in entry.revisions] if entry else []
            left = [item.number for item in await journal.quarantined()]
            return ids, left, (await journal.progress(FEED)).fingerprint

    return asyncio.run(look())


def test_items_are_listed_counted_and_shown_byte_by_byte(filled: StateFolder, shell: Shell) -> None:
    table, lines = shell("quarantine", "list"), shell("quarantine", "list", "--json")

    assert [(one["number"], one["reason"], one["bytes"]) for one in lines.objects] == [
        (1, "undecodable", len(READABLE)),
        (2, "nested_too_deeply", len(DEEP)),
    ]
    assert "undecodable" in table.out
    assert "2 items quarantined" in table.err
    assert "\x1b" not in table.out
    assert shell("quarantine", "show", "1").out.rstrip("\n").encode() == READABLE
    [feed] = [one for one in filled.outline()["feeds"] if one["quarantined"]]
    assert (feed["search"], feed["quarantined"]) == (FEED.search, 2)
    unknown = shell("quarantine", "show", "7").err
    assert "no quarantined item 7" in unknown
    assert "`quarantine list` shows the current ones" in unknown


def test_a_replay_delivers_what_can_be_read_once_and_keeps_the_rest(
    filled: StateFolder, shell: Shell
) -> None:
    answer = shell("quarantine", "replay", "--all")

    assert answer.code == 1
    assert "replayed 1 item, to be delivered when the connector starts" in answer.err
    assert "kept 1 item: nested_too_deeply" in answer.err
    assert journaled(filled) == (["a"], [2], "print")

    asyncio.run(requarantine(filled))
    assert shell("quarantine", "replay", "3").code == 0
    assert journaled(filled) == (["a"], [2], "print"), "a record that was seen is not delivered again"


async def requarantine(folder: StateFolder) -> None:
    async with folder.journal() as journal:
        await journal.commit(Commit(FEED, "print", quarantined=(Quarantined(READABLE, "undecodable"),)))


def test_a_purge_deletes_after_a_question(filled: StateFolder, shell: Shell) -> None:
    assert shell("quarantine", "purge").code == 2
    assert "1 item deleted" in shell("quarantine", "purge", "2", "--yes").err
    assert journaled(filled)[1] == [1]
    assert "1 item deleted" in shell("quarantine", "purge", "--all", "--yes").err
    assert "no quarantined items" in shell("quarantine", "purge", "--all", "--yes").err


def test_the_daemon_tells_of_it(filled: StateFolder) -> None:
    async def resolve(action: str) -> None:
        async with filled.operator() as (operator, _):
            await operator.quarantine.resolve({"action": action, "after": 0, "upto": 9})

    asyncio.run(resolve("replay"))
    asyncio.run(resolve("purge"))

    assert filled.facts == [QuarantinedReplayed(FEED, 1), QuarantinedPurged(FEED, 1)]


def test_a_submission_is_replayed_as_one_without_any_configuration(folder: StateFolder, shell: Shell) -> None:
    """The journal knows what its feed reads: the record gets the id that the search would give it."""
    row = Quarantined(b'{"submission_id":"s1","requested_at":"2026-11-22T11:00:00Z"}', "without_time")

    async def fill() -> None:
        async with folder.journal() as journal:
            await journal.attach("siem", "head", Backlog())
            print_ = mark_source(SearchSource.SUBMISSIONS, "print")
            await journal.commit(Commit(FEED, print_, quarantined=(row,)))

    asyncio.run(fill())
    answer = shell("quarantine", "replay", "--all")

    assert answer.code == 0, answer.err
    assert journaled(folder)[0] == ["submissions:s1"]
