"""``deadletters`` on the journal of a connector that does not run; no mail does anything to a terminal."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from connector.model import PARTIAL_SUCCESS, Backlog
from connector.simulator.mail import hostile
from tests.unit.cli.harness import Shell, StateFolder, letter, revision

STEERING = {chr(code) for code in (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x202E, 0x2028, 0x200B)} - {"\n"}


def three(folder: StateFolder) -> None:
    """Two dead letters of ``siem``, one of ``lake``, which is no longer configured: 1, 2 and 3."""
    folder.fill(
        [
            letter("siem", 1, revision("r1")),
            letter("siem", 2, revision("r2")),
            letter("lake", 3, revision("r3")),
        ]
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), [1, 2, 3]),
        (("--output", "siem"), [1, 2]),
        (("--output", "fresh"), []),
        (("--limit", "2"), [1, 2]),
    ],
)
def test_the_list(folder: StateFolder, shell: Shell, options: tuple[str, ...], expected: list[int]) -> None:
    three(folder)

    table, lines = shell("deadletters", "list", *options), shell("deadletters", "list", "--json", *options)

    assert (table.code, lines.code) == (0, 0)
    assert [one["number"] for one in lines.objects] == expected
    assert all(one["subject"] in table.out for one in lines.objects)
    assert ("2 of 3 dead letters; --limit 3 shows all" in table.err) == ("--limit" in options)


def test_long_lists_are_read_page_by_page(folder: StateFolder, shell: Shell) -> None:
    folder.fill([letter("siem", 1, revision(f"r{number}")) for number in range(250)])

    assert [one["number"] for one in shell("deadletters", "list", "--json").objects] == [*range(1, 251)]
    assert len(shell("deadletters", "list", "--json", "--limit", "130").objects) == 130
    assert "100 of 250" in shell("deadletters", "list").err
    assert "250 dead letters deleted" in shell("deadletters", "purge", "--output", "siem", "--yes").err
    assert folder.letters() == {}


def test_one_is_shown_whole(folder: StateFolder, shell: Shell) -> None:
    body = {"half": "\ud800", "huge": 2**200, "deep": [[[{"a": None}]]], "ümlaut": "漢字", "real": 1.5}
    dead = letter("siem", 4, revision("r4", 2, **body))
    folder.fill([dead])

    answer = shell("deadletters", "show", "1")

    assert answer.code == 0
    assert "漢字" in answer.out, "what a person can read stays readable"
    shown = json.loads(answer.out)
    assert shown["revision"].pop("record") == dead.revision.record.body
    assert shown["revision"]["identity"] == dead.revision.identity
    assert shown["revision"]["number"] == 2
    assert (shown["sequence"], shown["reason"], shown["answer"]) == (4, "refused", "HTTP 400: no")
    assert (shown["attempts"], shown["dead_lettered"]) == (3, "2026-11-22T12:01:00+00:00")


def test_hostile_text_is_inert_and_yet_whole(folder: StateFolder, shell: Shell) -> None:
    folder.fill(
        [letter("siem", 1, revision(f"r{n}", subject=text), text) for n, text in enumerate(hostile.TEXTS)]
    )

    table, lines = shell("deadletters", "list"), shell("deadletters", "list", "--json")
    shown = [shell("deadletters", "show", str(number)) for number in range(1, len(hostile.TEXTS) + 1)]

    for answer in (table, lines, *shown):
        assert not STEERING & set(answer.out)
    assert len(lines.objects) == len(hostile.TEXTS), "no text forges a line"
    subjects = [json.loads(answer.out)["revision"]["record"]["subject"] for answer in shown]
    assert tuple(subjects) == hostile.TEXTS


def test_a_replay_waits_in_the_journal_for_its_own_output(folder: StateFolder, shell: Shell) -> None:
    three(folder)

    answer = shell("deadletters", "replay", "2")

    assert answer.code == 0
    assert "replayed 1 dead letter, to be sent when the connector starts" in answer.err
    assert [*folder.letters()] == [1, 3]

    async def waiting() -> tuple[str | None, list[str]]:
        async with folder.journal() as journal:
            position = await journal.attach("siem", "head", Backlog())
            entry = await journal.read("siem", position)
            return entry.only, [one.record.id for one in entry.revisions]

    assert asyncio.run(waiting()) == ("siem", ["r2"])


def test_a_replay_says_what_arrives_twice(folder: StateFolder, shell: Shell) -> None:
    partly = replace(letter("siem", 1, revision("r1")), reason=PARTIAL_SUCCESS)
    folder.fill([partly, letter("siem", 2, revision("r2"))])

    first, second = shell("deadletters", "replay", "1"), shell("deadletters", "replay", "2")

    assert "1 of them (partial_success) were in batches that the collector took in part" in first.err
    assert "twice" not in second.err


def test_nobody_would_read_a_replay_to_an_output_that_is_not_configured(
    folder: StateFolder, shell: Shell
) -> None:
    three(folder)

    answer = shell("deadletters", "replay", "--all")

    assert answer.code == 1
    assert "replayed 2 dead letters" in answer.err
    assert "kept 1 dead letter of lake" in answer.err
    assert [*folder.letters()] == [3]
    assert shell("deadletters", "purge", "3", "--yes").code == 0
    assert folder.letters() == {}


def test_an_operator_at_a_terminal_is_asked_before_a_purge(folder: StateFolder, shell: Shell) -> None:
    three(folder)

    refused = shell("deadletters", "purge", "--output", "siem", typed="\n")
    assert refused.code == 1
    assert "2 dead letters of siem will be deleted for good" in refused.err
    assert len(folder.letters()) == 3

    assert shell("deadletters", "purge", "--output", "siem", typed="y\n").code == 0
    assert [*folder.letters()] == [3]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("list", "--output", "seim"), 2, "unknown output 'seim' (did you mean siem?)"),
        (("replay", "--output", "seim"), 2, "did you mean siem?"),
        (("replay",), 2, "expected numbers, --output NAME or --all"),
        (("replay", "--all", "1"), 2, "expected numbers, --output NAME or --all"),
        (("purge", "--all", "--output", "siem"), 2, "expected numbers, --output NAME or --all"),
        (("replay", "1", "4711"), 1, "no dead letter 4711"),
        (("purge", "1", "4711", "--yes"), 1, "no dead letter 4711"),
        (("show", "4711"), 1, "no dead letter 4711"),
        (("show", "zero"), 2, "zero"),
        (("purge", "--all"), 2, "add --yes"),
    ],
)
def test_what_is_asked_wrongly_is_one_clear_line_and_nothing_is_done(
    folder: StateFolder, shell: Shell, arguments: tuple[str, ...], code: int, text: str
) -> None:
    three(folder)

    answer = shell("deadletters", *arguments)

    assert (answer.code, answer.out) == (code, "")
    assert text in answer.err.splitlines()[-1]
    assert len(folder.letters()) == 3


def test_nothing_chosen_is_nothing_done(folder: StateFolder, shell: Shell) -> None:
    folder.fill()

    for arguments in (("replay", "--all"), ("purge", "--all"), ("list",)):
        answer = shell("deadletters", *arguments)
        assert (answer.code, answer.out) == (0, "")
        assert "no dead letters" in answer.err
