"""``state show``, ``rewind`` and ``forget`` on the journal of a connector that does not run."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from contextlib import closing

import pytest

from connector.cli.backfill import summary
from connector.model import Commit
from tests.support.process import ROOT
from tests.unit.cli.harness import FEED, GONE, MINUTE, NOW, Shell, StateFolder, revision


def test_show_tells_where_all_stands_also_what_is_no_longer_or_not_yet_there(
    folder: StateFolder, shell: Shell
) -> None:
    folder.fill()

    table, document = shell("state", "show"), shell("state", "show", "--json")

    assert (table.code, document.code) == (0, 0)
    assert "no connector is running" in table.err
    for text in ("10 revisions so far", "lake (not configured)", "fresh (never started)", GONE, "retention"):
        assert text in table.out
    state = json.loads(document.out)
    outputs = {one["output"]: one for one in state["outputs"]}
    assert [outputs[name]["attached"] for name in ("siem", "lake", "fresh")] == [True, False, False]
    assert outputs["siem"]["position"] == 10
    feeds = {(one["account_name"], one["search"]): one for one in state["feeds"]}
    assert feeds["prod", "detections"]["checkpoints"]["live"] == "2026-11-22T12:00:00+00:00"
    assert feeds["prod", "detections"]["gaps"][0]["cause"] == "retention (live)"
    assert feeds["prod", "detections"]["seen"] == 1
    assert not feeds[None, "everything"]["configured"]


def test_looking_changes_nothing(folder: StateFolder, shell: Shell) -> None:
    folder.fill()
    before = folder.outline()

    shell("state", "show")
    shell("deadletters", "list")
    shell("state", "rewind", "siem", "--to", "3")

    assert folder.outline() == before


@pytest.mark.parametrize(
    ("to", "position", "count"), [("0", 0, 10), ("7", 7, 3), ("9", 9, 1), ("2026-11-22T12:06:00Z", 6, 4)]
)
def test_a_rewind_says_how_much_comes_again(
    folder: StateFolder, shell: Shell, to: str, position: int, count: int
) -> None:
    folder.fill()

    answer = shell("state", "rewind", "siem", "--to", to, "--yes")

    assert (answer.code, answer.out) == (0, "")
    assert (
        f"{count} revision{'s' if count > 1 else ''} will be sent again when the connector starts"
        in answer.err
    )
    siem, lake = (
        one for name in ("siem", "lake") for one in folder.outline()["outputs"] if one["output"] == name
    )
    assert (siem["position"], siem["backlog"], siem["attached"]) == (position, count, True)
    assert (lake["position"], lake["attached"]) == (10, False)


@pytest.mark.parametrize("to", ["10", "4711", "2030-01-01"])
def test_a_rewind_never_goes_forward(folder: StateFolder, shell: Shell, to: str) -> None:
    folder.fill()

    answer = shell("state", "rewind", "siem", "--to", to)

    assert answer.code == 0
    assert "siem is at 10: nothing to send again" in answer.err


def test_an_operator_at_a_terminal_is_asked(folder: StateFolder, shell: Shell) -> None:
    folder.fill()
    before = folder.outline()

    refused = shell("state", "rewind", "siem", "--to", "0", typed="n\n")
    assert refused.code == 1
    assert "10 revisions will be sent again" in refused.err
    assert folder.outline() == before

    assert shell("state", "rewind", "siem", "--to", "0", typed="y\n").code == 0
    assert next(one for one in folder.outline()["outputs"] if one["output"] == "siem")["position"] == 0


def test_a_forgotten_feed_is_gone_and_the_others_are_not(folder: StateFolder, shell: Shell) -> None:
    folder.fill()

    answer = shell("state", "forget", "detections", "--yes")

    assert answer.code == 0
    assert "1 checkpoint, 1 seen record and 1 gap" in answer.err
    assert "delivers everything to every output as new" in answer.err
    feeds = {(one["account"], one["search"]): one["checkpoints"] for one in folder.outline()["feeds"]}
    assert feeds[FEED.account, "detections"] == {}
    assert feeds[FEED.account, "everything"]
    assert "has not started" in shell("state", "forget", "detections").err


def test_the_pages_show_what_a_forgetting_and_a_backfill_print(folder: StateFolder, shell: Shell) -> None:
    folder.fill()

    def plain(text: str) -> str:
        counts = re.sub(r"\b\d+ ", "N ", " ".join(text.split()))
        return re.sub(r"\b(checkpoint|record|gap)s\b", r"\1", counts)

    commands, backfill = (
        plain((ROOT / "docs" / name).read_text("utf-8")) for name in ("commands.md", "backfill.md")
    )
    said = shell("state", "forget", "detections", "--yes").err.splitlines()
    counts = dict.fromkeys(("new", "changed", "known", "completed", "slices", "read", "before_floor"), 1)
    ends = {"start": NOW.isoformat(), "end": NOW.isoformat(), "floor": NOW.isoformat(), "beyond": None}
    older = summary({**counts, **ends, "done": True, "everything": False})[1]

    assert [line for line in said[-2:] if plain(line) not in commands] == []
    assert older.partition(": ")[2] in backfill


def test_a_feed_that_is_no_longer_configured_is_forgotten_by_its_account_id(
    folder: StateFolder, shell: Shell
) -> None:
    folder.fill()

    assert shell("state", "forget", "everything", "--account", GONE, "--yes").code == 0

    accounts = {one["account"] for one in folder.outline()["feeds"] if one["search"] == "everything"}
    assert GONE not in accounts
    assert len(accounts) == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("rewind", "seim", "--to", "0"), "unknown output 'seim' (did you mean siem?)"),
        (("rewind", "siem", "--to", "yesterday"), "or a sequence number"),
        (("rewind", "siem", "--to", "0"), "add --yes"),
        (("forget", "detectons"), "unknown search 'detectons' (did you mean detections?)"),
        (("forget", "everything"), "add --account prod or test or " + GONE),
        (("forget", "everything", "--account", "prd"), "did you mean prod?"),
        (("forget", "detections"), "add --yes"),
    ],
)
def test_what_is_asked_wrongly_is_one_clear_line(
    folder: StateFolder, shell: Shell, arguments: tuple[str, ...], text: str
) -> None:
    folder.fill()
    before = folder.outline()

    answer = shell("state", *arguments)

    assert (answer.code, answer.out) == (2, "")
    assert text in answer.err.splitlines()[-1]
    assert folder.outline() == before


def test_what_is_no_longer_retained_is_said(folder: StateFolder, shell: Shell) -> None:
    folder.fill()

    async def deliver_later() -> None:
        folder.now += 90 * MINUTE
        async with folder.journal() as journal:
            await journal.commit(Commit(FEED, "f", (revision("r11"),)))
            await journal.acknowledge("siem", after=10, upto=11)

    asyncio.run(deliver_later())

    answer = shell("state", "rewind", "siem", "--to", "3", "--yes")

    assert answer.code == 0
    assert "only revisions after 10, journaled since 2026-11-22 13:40:00 UTC are retained" in answer.err
    assert "siem is at 10: 1 revision will be sent again" in answer.err


def test_an_output_that_never_started_has_nothing_to_send_again(folder: StateFolder, shell: Shell) -> None:
    folder.fill()

    answer = shell("state", "rewind", "fresh", "--to", "0")

    assert answer.code == 0
    assert "never been started" in answer.err


def test_without_a_journal_nothing_is_made(folder: StateFolder, shell: Shell) -> None:
    answer = shell("state", "show")

    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("error: no journal in ")
    assert not (folder.directory / "state").exists()


def test_a_damaged_journal_is_named_and_recovered(folder: StateFolder, shell: Shell) -> None:
    folder.fill()
    assert shell("state", "check").code == 0
    path = folder.directory / "state" / "journal.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE entries SET body = zeroblob(9) WHERE first = (SELECT max(first) FROM entries)")
        other.execute("UPDATE feeds SET seen = 'many'")
        other.commit()

    checked = shell("state", "check")
    assert checked.code == 1
    assert "damaged: " in checked.err
    assert "state recover" in checked.err
    assert shell("state", "recover", "--yes").code == 0
    assert shell("state", "check").code == 0
    assert shell("state", "show").code == 0
    assert [*path.parent.glob("journal.db.damaged-*")]
