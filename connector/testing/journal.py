"""Conformance suite for implementations of the journal protocols.

With pytest and asyncio::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_contract(check: Check, tmp_path: Path) -> None:
        await check(lambda: my_journal(tmp_path))

Each check is an async function of a way to open the journal: a first call finds it empty, a later one as
the one before left it. It raises ``JournalViolation`` with what was broken.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime

from connector.errors import DeadLettersFull, JournalFull, LimitReached, Moved
from connector.interfaces import Journal
from connector.model import (
    ACTIONS,
    Backlog,
    Commit,
    Feed,
    Gap,
    GapCause,
    Quarantined,
    Record,
    SearchSource,
    Step,
    StoredAction,
    WhenFull,
    Window,
    mark_source,
)
from connector.testing.journal_harness import (
    FEED,
    HOSTILE,
    MINUTE,
    START,
    WAIT,
    Check,
    JournalViolation,
    Open,
    commit_of,
    expect,
    expect_error,
    expect_gap,
    letter,
    names_of,
    next_entry,
    revision,
    seen_row,
)

__all__ = [
    "CHECKS",
    "FEED",
    "HOSTILE",
    "MINUTE",
    "START",
    "Check",
    "JournalViolation",
    "Open",
    "commit_of",
    "expect",
    "expect_error",
    "expect_gap",
    "letter",
    "names_of",
    "next_entry",
    "revision",
    "seen_row",
]


async def positions_count_revisions(open_journal: Open) -> None:
    """Sequence numbers start at 1, have no holes, and a read may start inside an entry."""
    async with open_journal() as journal:
        expect(await journal.attach("siem", "beginning", Backlog()), 0, "first position")
        await journal.commit(commit_of("a", "b", "c"))
        await journal.commit(commit_of("d"))
        entry = await next_entry(journal, "siem", 1)
        expect((entry.first, entry.last, names_of(entry)), (2, 3, ["b", "c"]), "a read inside an entry")
        entry = await next_entry(journal, "siem", 3)
        expect((entry.first, names_of(entry)), (4, ["d"]), "the next entry")
        expect((await journal.outline()).head, 4, "the head")


async def large_commits_keep_their_order(open_journal: Open) -> None:
    """A commit of thousands is one transaction, read in portions, without a hole."""
    names = [f"record {number}" for number in range(3500)]
    async with open_journal() as journal:
        position = await journal.attach("siem", "beginning", Backlog())
        await journal.commit(Commit(FEED, "print", tuple(map(revision, names))))
        ids: list[str] = []
        while len(ids) < len(names):
            entry = await next_entry(journal, "siem", position)
            expect(entry.first, position + 1, "first of a portion")
            ids += names_of(entry)
            position = entry.last
        expect(ids, names, "everything, in order")


async def bodies_come_back_as_they_were(open_journal: Open) -> None:
    """Whatever a JSON body holds, it survives a restart; so do ids, states and times."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    revisions = tuple(
        replace(
            revision(f"id \ud800 {at}", body), collected=moment, previous=body, enrichment=body, gone=True
        )
        for at, body in enumerate(HOSTILE)
    )
    rows = tuple(seen_row(one.record.id, moment, moment, **one.record.body) for one in revisions)
    async with open_journal() as journal:
        await journal.attach("siem", "beginning", Backlog())
        await journal.commit(Commit(FEED, "print", revisions, rows))
    async with open_journal() as journal:
        expect((await next_entry(journal, "siem", 0)).revisions, revisions, "revisions")
        rows_seen = await journal.seen(FEED, [row.id for row in rows])
        expect(dict(rows_seen), {row.id: row for row in rows}, "seen rows")


async def checkpoints_are_compared_and_set(open_journal: Open) -> None:
    """A step from another place than the stored one stores nothing at all."""
    later = START + MINUTE
    async with open_journal() as journal:
        await journal.attach("siem", "beginning", Backlog())
        wrong = commit_of("x", step=Step("live", START, later))
        await expect_error(Moved, journal.commit(wrong), "a step from nowhere")
        expect(await journal.seen(FEED, ["x"]), {}, "seen rows of a refused commit")
        await journal.commit(commit_of("a", step=Step("live", None, START)))
        await expect_error(
            Moved, journal.commit(commit_of("x", step=Step("live", None, later))), "a second start"
        )
        gap = Gap(Window(START, later), GapCause.RETENTION)
        await journal.commit(commit_of("b", step=Step("live", START, later, gap)))
        expect(names_of(await next_entry(journal, "siem", 1)), ["b"], "revisions of refused commits")
    async with open_journal() as journal:
        progress = await journal.progress(FEED)
        expect((dict(progress.checkpoints), progress.fingerprint), ({"live": later}, "print"), "progress")
        expect((await journal.outline()).feeds[0].gaps, (gap,), "recorded gaps")
        expect((await journal.progress(Feed("account", "other"))).checkpoints, {}, "another feed")


async def gaps_are_repaired_piece_by_piece(open_journal: Open) -> None:
    """What was read of a gap is a gap no more; the rest keeps its cause and when it was recorded."""
    gap = Gap(Window(START, START + 9 * MINUTE), GapCause.RETENTION)

    async def left(journal: Journal) -> list[tuple[float, float]]:
        windows = [one.window for one in (await journal.progress(FEED)).gaps]
        return [((one.start - START) / MINUTE, (one.end - START) / MINUTE) for one in windows]

    async with open_journal() as journal:
        await journal.commit(commit_of("a", step=Step("live", None, gap.window.end, gap)))
        recorded = (await journal.progress(FEED)).gaps[0].recorded
        await journal.repaired(FEED, gap, Window(START + 5 * MINUTE, START + 7 * MINUTE))
        expect(await left(journal), [(0, 5), (7, 9)], "what is left of a gap")
        await journal.repaired(FEED, gap, gap.window)
        expect(await left(journal), [(0, 5), (7, 9)], "repairing a gap that was already repaired")
        first, last = (await journal.progress(FEED)).gaps
        await journal.repaired(FEED, first, first.window)
        await journal.repaired(FEED, last, Window(START + 8 * MINUTE, START + 20 * MINUTE))
    async with open_journal() as journal:
        expect(await left(journal), [(7, 8)], "what is left in the end")
        (last,) = (await journal.progress(FEED)).gaps
        expect((last.cause, last.recorded), (GapCause.RETENTION, recorded), "its cause and age")


async def seen_rows_are_kept_per_feed(open_journal: Open) -> None:
    """Rows are replaced by id, found by time, and expire by the window that last returned them."""
    rows = [seen_row(f"r{at}", START + at * MINUTE, START + (at + 1) * MINUTE, color=at) for at in range(9)]
    async with open_journal() as journal:
        await journal.commit(Commit(FEED, "print", seen=tuple(rows)))
        await journal.commit(Commit(Feed("account", "other"), "print", seen=(rows[0],)))
        changed = replace(rows[3], state={"color": "red"}, digest="d", occurrences={"d": 2, "e": 1}, number=3)
        await journal.commit(Commit(FEED, "print", seen=(rows[4], changed)))
        expect(dict(await journal.seen(FEED, ["r3", "none"])), {"r3": changed}, "a changed row")
        window = Window(START + 2 * MINUTE, START + 6 * MINUTE)
        expect(list(await journal.seen_in(FEED, window)), [rows[2], changed, *rows[4:6]], "rows by time")
        expect(
            list(await journal.seen_in(FEED, window, without={"r3"})), [rows[2], *rows[4:6]], "all but one"
        )
        expect(await journal.expire(FEED, START + 4 * MINUTE), 4, "rows that expired")
        expect(
            set(await journal.seen(FEED, [row.id for row in rows])), {f"r{at}" for at in range(4, 9)}, "rest"
        )
        expect(set(await journal.seen(Feed("account", "other"), ["r0"])), {"r0"}, "the other feed's row")
        expect([feed.seen for feed in (await journal.outline()).feeds], [1, 5], "counted rows")


async def records_are_recognised_by_their_marks(open_journal: Open) -> None:
    """A row with the same mark, in time and lately returned, needs no comparison; other rows are returned."""
    rows = [
        replace(seen_row(name, START + at * MINUTE, START + 10 * MINUTE), mark=mark)
        for name, at, mark in (("a", 1, b"1"), ("b", 2, b"2"), ("c", 3, b""), ("d", 9, b"4"))
    ]
    async with open_journal() as journal:
        await journal.commit(Commit(FEED, "print", seen=tuple(rows)))
        within, marks = (
            Window(START, START + 5 * MINUTE),
            {"a": b"1", "b": b"9", "c": b"", "d": b"4", "e": b""},
        )
        since = START + 10 * MINUTE
        same, others = await journal.recognise(FEED, marks, within, since)
        expect((set(same), dict(others)), ({"a"}, {row.id: row for row in rows[1:]}), "what is recognised")
        same, _ = await journal.recognise(FEED, marks, within, since + MINUTE)
        expect(set(same), set(), "rows that were returned too long ago")
        same, _ = await journal.recognise(FEED, {"d": b"4"}, Window(START, START + 9 * MINUTE), since)
        expect(set(same), {"d"}, "a row at the end of the time")
        await journal.commit(Commit(FEED, "print", seen=(replace(rows[1], number=2, mark=b"9"),)))
    async with open_journal() as journal:
        same, _ = await journal.recognise(FEED, marks, within, since)
        expect(set(same), {"a", "b"}, "what is recognised after a restart")


async def readers_wait_and_are_woken(open_journal: Open) -> None:
    """A read beyond the head waits, can be cancelled, and returns what comes next."""
    async with open_journal() as journal:
        position = await journal.attach("siem", "head", Backlog())
        reading = asyncio.ensure_future(journal.read("siem", position))
        await asyncio.sleep(0)
        expect(reading.done(), False, "a read beyond the head returned")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        reading = asyncio.ensure_future(next_entry(journal, "siem", position))
        await asyncio.sleep(0)
        await journal.commit(commit_of("a"))
        expect(names_of(await reading), ["a"], "what the waiting read returned")


async def a_commit_finishes_although_cancelled(open_journal: Open) -> None:
    """Cancelling the caller does not undo a commit that began, and readers are woken all the same."""
    async with open_journal() as journal:
        await journal.attach("siem", "beginning", Backlog())
        committing = asyncio.ensure_future(journal.commit(commit_of("a")))
        await asyncio.sleep(0)
        committing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await committing
        expect(names_of(await next_entry(journal, "siem", 0)), ["a"], "the cancelled commit")
        expect(set(await journal.seen(FEED, ["a"])), {"a"}, "its seen row")


async def late_failures_are_stored_at_an_unchanged_position(open_journal: Open) -> None:
    """A dead letter may concern what was acknowledged before; suspects last until they are replaced."""
    late, doubted = letter("siem", 1, revision("a")), letter("siem", 2, revision("b", HOSTILE[0]))
    async with open_journal() as journal:
        await journal.attach("siem", "beginning", Backlog())
        await journal.attach("other", "beginning", Backlog())
        await journal.commit(commit_of("a", "b", "c"))
        expect(list(await journal.suspects("siem")), [], "suspects at first")
        await journal.acknowledge("siem", after=0, upto=3, suspects=[late, doubted])
        await journal.acknowledge("siem", after=3, upto=3, dead=[late], suspects=[doubted])
        refused = journal.acknowledge("siem", after=2, upto=2, dead=[late], suspects=[])
        await expect_error(Moved, refused, "late failures from elsewhere")
    async with open_journal() as journal:
        expect(await journal.attach("siem", "beginning", Backlog()), 3, "the position")
        expect([one for _, one in await journal.dead_letters("siem")], [late], "the late dead letter")
        expect(list(await journal.suspects("siem")), [doubted], "suspects after a restart")
        expect(list(await journal.suspects("other")), [], "the other's suspects")
        outlines = {one.output: one for one in (await journal.outline()).outputs}
        expect(outlines["siem"].dead_letters, 1, "the number of letters")
        await journal.acknowledge("siem", after=3, upto=3)
        expect(list(await journal.suspects("siem")), [doubted], "suspects that were not named")
        await journal.acknowledge("siem", after=3, upto=3, suspects=[])
        expect(list(await journal.suspects("siem")), [], "suspects at last")


async def acknowledgements_are_compared_and_set(open_journal: Open) -> None:
    """Dead letters are stored with the position that covers them, or not at all."""
    async with open_journal() as journal:
        await journal.attach("siem", "beginning", Backlog())
        await journal.attach("other", "beginning", Backlog())
        await journal.commit(commit_of("a", "b", "c"))
        dead = letter("siem", 2, revision("b"))
        await journal.acknowledge("siem", after=0, upto=2, dead=[dead])
        refused = journal.acknowledge("siem", after=0, upto=3, dead=[dead])
        await expect_error(Moved, refused, "an acknowledgement from elsewhere")
        expect([one for _, one in await journal.dead_letters("siem")], [dead], "dead letters")
        outlines = {one.output: one for one in (await journal.outline()).outputs}
        expect(
            (outlines["siem"].backlog, outlines["siem"].dead_letters), (1, 1), "siem's backlog and letters"
        )
        expect((outlines["other"].backlog, outlines["other"].dead_letters), (3, 0), "the other's")
    async with open_journal() as journal:
        expect(await journal.attach("siem", "beginning", Backlog()), 2, "the position after a restart")
        expect(names_of(await next_entry(journal, "siem", 2)), ["c"], "what is left")


async def numbers_go_on_when_all_is_delivered(open_journal: Open) -> None:
    """Delivered data goes, sequence numbers and notes stay; a new output finds only what is left."""
    async with open_journal() as journal:
        await journal.attach("siem", "head", Backlog())
        await journal.commit(commit_of("a", "b"))
        await journal.acknowledge("siem", after=0, upto=2)
        expect((await journal.outline()).bytes, 0, "bytes of a journal that is delivered")
        for key, value in (("a", "1"), ("a", "2"), ("b", "3"), ("b", None)):
            await journal.set_value(key, value)
    async with open_journal() as journal:
        expect([await journal.get_value("a"), await journal.get_value("b")], ["2", None], "notes")
        await journal.commit(commit_of("c"))
        expect(await journal.attach("late", "beginning", Backlog()), 2, "where a new output begins")
        expect(await journal.attach("new", "head", Backlog()), 3, "the head")
        entry = await next_entry(journal, "late", 0)
        expect((entry.first, names_of(entry)), (3, ["c"]), "the oldest retained entry")


async def a_full_backlog_pauses_collection(open_journal: Open) -> None:
    """Over the limit of an output that pauses, commits with revisions are refused, naming it."""
    async with open_journal() as journal:
        await journal.attach("slow", "head", Backlog(max_bytes=1))
        await journal.attach("fast", "head", Backlog())
        await journal.commit(commit_of("a"))
        error = await expect_error(JournalFull, journal.commit(commit_of("b")), "a commit over the limit")
        expect(getattr(error, "outputs", None), ("slow",), "who is over the limit")
        await journal.commit(Commit(FEED, "print", step=Step("live", None, START)))
        await journal.acknowledge("slow", after=0, upto=1)
        await journal.commit(commit_of("b"))
        await journal.detach("slow")
        await journal.commit(commit_of("c"))


async def a_full_backlog_skips(open_journal: Open) -> None:
    """Over the limit of an output that skips, its oldest revisions go, and the gap says so."""
    async with open_journal() as journal:
        await journal.attach("slow", "head", Backlog(1, WhenFull.SKIP))
        await journal.attach("keeper", "head", Backlog())
        expect(await journal.skipped("slow"), None, "a gap before anything was skipped")
        for name in "abc":
            await journal.commit(commit_of(name))
        await expect_error(
            Moved, journal.acknowledge("slow", after=0, upto=1), "acknowledging what was skipped"
        )
        position = await journal.attach("slow", "head", Backlog(1, WhenFull.SKIP))
        expect(position, 2, "the position after skipping")
        expect(names_of(await next_entry(journal, "slow", position)), ["c"], "what was not skipped")
        await expect_gap(journal, "slow")
        expect(await journal.rewind("slow", 0), 0, "rewinding to what another output keeps")
        expect(await journal.skipped("slow"), None, "a gap that a rewind repaired")


async def a_detached_output_pins_nothing(open_journal: Open) -> None:
    """What was deleted while an output was away is a gap when it comes back."""
    async with open_journal() as journal:
        await journal.attach("away", "head", Backlog())
        await journal.attach("siem", "head", Backlog())
        await journal.commit(commit_of("a", "b"))
        await journal.detach("away")
        expect(await journal.attach("away", "head", Backlog()), 0, "the position while nothing was deleted")
        await journal.detach("away")
        await journal.acknowledge("siem", after=0, upto=2)
        expect((await journal.outline()).bytes, 0, "bytes that a detached output pins")
        await journal.commit(commit_of("c"))
    async with open_journal() as journal:
        position = await journal.attach("away", "head", Backlog())
        expect(names_of(await next_entry(journal, "away", position)), ["c"], "where it resumes")
        await expect_gap(journal, "away")


async def letters_are_replayed_or_purged(open_journal: Open) -> None:
    """A replay is addressed to the letter's own output; a purge is final; numbers are never reused."""
    bodies = [revision("a", HOSTILE[0]), revision("b", HOSTILE[1]), revision("c")]
    async with open_journal() as journal:
        await journal.attach("siem", "head", Backlog())
        await journal.commit(Commit(FEED, "print", tuple(bodies)))
        dead = [letter("siem", at + 1, one) for at, one in enumerate(bodies)]
        await journal.acknowledge("siem", after=0, upto=3, dead=dead)
        numbers = [number for number, _ in await journal.dead_letters()]
        expect([one for _, one in await journal.dead_letters(after=numbers[0], limit=1)], dead[1:2], "a page")
        expect(await journal.resolve_dead_letters(numbers[:2], "replay"), 2, "replayed letters")
        expect(await journal.resolve_dead_letters([*numbers[2:], 10**9], "purge"), 1, "purged letters")
        entry = await next_entry(journal, "siem", 3)
        expect((entry.only, list(entry.revisions)), ("siem", bodies[:2]), "the replay")
        expect(await journal.dead_letters("siem"), [], "letters left")
        await journal.acknowledge("siem", after=3, upto=5, dead=[letter("siem", 5, bodies[1])])
        if (await journal.dead_letters())[0][0] <= numbers[-1]:
            raise JournalViolation("the number of a letter came back")


async def letters_have_a_limit(open_journal: Open) -> None:
    """An output with as many dead letters as it may keep stays where it is until an operator acts."""
    async with open_journal() as journal:
        await journal.attach("siem", "head", Backlog(max_dead_letters=1))
        await journal.commit(commit_of("a", "b"))
        await journal.acknowledge("siem", after=0, upto=1, dead=[letter("siem", 1, revision("a"))])
        more = [letter("siem", 2, revision("b"))]
        acknowledging = journal.acknowledge("siem", after=1, upto=2, dead=more)
        await expect_error(DeadLettersFull, acknowledging, "one letter too many")
        expect(len(await journal.dead_letters("siem")), 1, "letters of a full output")
        await journal.resolve_dead_letters([(await journal.dead_letters("siem"))[0][0]], "purge")
        await journal.acknowledge("siem", after=1, upto=2, dead=more)
        expect([one for _, one in await journal.dead_letters("siem")], more, "letters after a purge")


async def positions_can_be_rewound(open_journal: Open) -> None:
    """A rewind goes back as far as retained, never forward, and its reader learns of it."""
    async with open_journal() as journal:
        await journal.attach("siem", "head", Backlog())
        await journal.attach("keeper", "head", Backlog())
        await journal.commit(commit_of("a", "b"))
        await journal.acknowledge("siem", after=0, upto=2)
        reading = asyncio.ensure_future(journal.read("siem", 2))
        await asyncio.sleep(0)
        expect(await journal.rewind("siem", 1), 1, "rewinding to a number")
        async with asyncio.timeout(WAIT):
            await expect_error(Moved, reading, "a read that waited during the rewind")
        expect(await journal.rewind("siem", 2), 1, "rewinding forward")
        expect(await journal.rewind("siem", datetime(2000, 1, 1, tzinfo=UTC)), 0, "rewinding to a time")
        expect(await journal.attach("siem", "head", Backlog()), 0, "the rewound position")
        expect(names_of(await next_entry(journal, "siem", 0)), ["a", "b"], "what comes again")


async def quarantined_items_are_kept_once(open_journal: Open) -> None:
    """Items that are no record are stored with the commit, each once per feed, until it is forgotten."""
    items = (Quarantined(b"{" * 2000, "nested_too_deeply"), Quarantined(b"\xff\x00", "undecodable"))
    async with open_journal() as journal:
        await journal.commit(Commit(FEED, "print", quarantined=items))
        await journal.commit(Commit(FEED, "print", quarantined=items))
        await journal.commit(Commit(Feed("account", "other"), "print", quarantined=items[:1]))
    async with open_journal() as journal:
        stored = await journal.quarantined()
        expect([kept.item for kept in stored], [*items, items[0]], "items")
        expect([kept.feed.search for kept in stored][1:], [FEED.search, "other"], "their feeds")
        expect(len(await journal.quarantined(after=stored[1].number)), 1, "a page")
        counts = {feed.feed.search: feed.quarantined for feed in (await journal.outline()).feeds}
        expect(counts, {FEED.search: 2, "other": 1}, "counts by feed")
        purged = await journal.purge_quarantined([stored[0].number, stored[0].number + 1000])
        expect(purged, 1, "purged items")
        expect(len(await journal.quarantined()), 2, "what is left after a purge")
        await journal.forget(FEED)
        expect([kept.feed.search for kept in await journal.quarantined()], ["other"], "what is left")


async def the_first_emitted_revision_is_remembered(open_journal: Open) -> None:
    """What an output emitted first stays known by record, per output, over a restart and a rewind."""
    first, second = "aa" * 32, "bb" * 32
    async with open_journal() as journal:
        await journal.attach("siem", "head", Backlog())
        await journal.attach("keeper", "head", Backlog())
        await journal.commit(commit_of("a", "b"))
        expect(await journal.emitted("siem", ["a"]), {}, "what was emitted before anything was")
        await journal.acknowledge("siem", after=0, upto=1, emitted={"a": first})
        late = journal.acknowledge("siem", after=0, upto=1, emitted={"b": first})
        await expect_error(Moved, late, "an acknowledgement from elsewhere")
        await journal.acknowledge("siem", after=1, upto=2, emitted={"a": second, "\ud800": second})
        expect(await journal.rewind("siem", 0), 0, "a rewind")
    async with open_journal() as journal:
        known = await journal.emitted("siem", ["a", "b", "\ud800"])
        expect(dict(known), {"a": first, "\ud800": second}, "what was emitted first")
        expect(await journal.emitted("keeper", ["a"]), {}, "what another output emitted")


async def values_are_compared_and_set(open_journal: Open) -> None:
    """A value is replaced only where the old one is what was expected, and whoever waits for it is woken."""
    async with open_journal() as journal:
        expect(await journal.replace_value("a", None, "1"), True, "a first value")
        expect(await journal.replace_value("a", None, "2"), False, "a first value where there is one")
        expect(await journal.replace_value("a", "1", "2"), True, "the next value")
        waiting = asyncio.ensure_future(journal.value_changed("a"))
        await asyncio.sleep(0)
        expect(await journal.replace_value("a", "2", None), True, "no value")
        async with asyncio.timeout(WAIT):
            await waiting
        expect(await journal.get_value("a"), None, "the value in the end")


async def notes_are_stored_with_a_commit_and_forgotten_with_their_feed(open_journal: Open) -> None:
    """Notes become durable with their commit or not at all; each of them belongs to one feed."""
    other = Feed(FEED.account, f"{FEED.search}-other")
    key, others = f"{FEED.notes}100%", f"{other.notes}100%"
    async with open_journal() as journal:
        await journal.commit(Commit(FEED, "print", step=Step("live", None, START), notes=((key, "1"),)))
        await journal.commit(Commit(other, "print", notes=((others, "1"), (others, "2"))))
        moved = Commit(FEED, "print", step=Step("live", None, START), notes=((key, "2"),))
        await expect_error(Moved, journal.commit(moved), "a commit that comes too late")
    async with open_journal() as journal:
        expect(await journal.get_value(key), "1", "a note")
        await journal.commit(Commit(other, "print", notes=((others, None), (others, "3"))))
        await journal.forget(FEED)
        expect(await journal.get_value(key), None, "a note of a forgotten feed")
        expect(await journal.get_value(others), "3", "a note of another feed")
        await journal.commit(Commit(other, "print", notes=((others, None),)))
        expect(await journal.get_value(others), None, "a note that was deleted")


async def a_feed_tells_what_it_reads(open_journal: Open) -> None:
    """Progress and outline show the source in a feed's fingerprint until the feed is forgotten."""
    submissions = mark_source(SearchSource.SUBMISSIONS, "print")
    async with open_journal() as journal:
        await journal.commit(Commit(FEED, submissions, step=Step("live", None, START)))
        expect((await journal.progress(FEED)).source, SearchSource.SUBMISSIONS, "what its progress tells")
        (outline,) = (await journal.outline()).feeds
        expect(outline.source, SearchSource.SUBMISSIONS, "what the outline tells")
        await journal.forget(FEED)
        generation = (await journal.progress(FEED)).generation
        anew = commit_of("a", step=Step("live", None, START))
        await journal.commit(replace(anew, generation=generation))
        (outline,) = (await journal.outline()).feeds
        expect(outline.source, SearchSource.INVESTIGATE, "what the outline tells of the feed begun anew")


async def a_forgotten_feed_starts_anew(open_journal: Open) -> None:
    """Forgetting drops one feed's checkpoints, gaps and seen rows; nothing else."""
    other = Feed("account", "other")
    gap = Gap(Window(START, START), GapCause.FORGOTTEN)
    async with open_journal() as journal:
        await journal.attach("siem", "head", Backlog())
        await journal.commit(commit_of("a", step=Step("live", None, START, gap)))
        await journal.commit(Commit(other, "print", seen=(seen_row("a"),), step=Step("live", None, START)))
        generation = (await journal.progress(FEED)).generation
        await journal.forget(FEED)
        late = replace(commit_of("late"), generation=generation)
        await expect_error(Moved, journal.commit(late), "a commit of the life before")
        expect(await journal.progress(FEED), await journal.progress(Feed("never", "seen")), "its progress")
        expect(await journal.seen(FEED, ["a"]), {}, "its seen rows")
        expect([feed.feed for feed in (await journal.outline()).feeds], [other], "the feeds left")
        generation = (await journal.progress(FEED)).generation
        await journal.commit(replace(commit_of("a", step=Step("live", None, START)), generation=generation))
        await expect_error(Moved, journal.commit(late), "a commit that waited all the while")
        expect((await journal.outline()).feeds[0].seen, 1, "its new seen rows")
        expect((await next_entry(journal, "siem", 0)).last, 1, "what it had journaled")


async def actions_are_compared_and_set(open_journal: Open) -> None:
    """An action is added once per request, changed from one version to the next, and found in every way."""
    async with open_journal() as journal:
        new = StoredAction("a1", "tines", "r1", "accepted", START, START, HOSTILE[3], due=START)
        first = await journal.store_action(new)
        expect((first.number > 0, first.version), (True, 1), "a new action")
        await expect_error(Moved, journal.store_action(replace(new, id="a2")), "the request again")
        running = await journal.store_action(replace(first, state="running", subject="b1"))
        await expect_error(Moved, journal.store_action(replace(first, state="failed")), "an old version")
        second = await journal.store_action(replace(new, id="a2", request_id="r2"))
        ended = await journal.store_action(replace(second, state="succeeded", due=None))
    async with open_journal() as journal:
        expect(await journal.action("a1"), running, "the action by its id")
        expect(await journal.action("a3"), None, "an action that nobody requested")
        expect(await journal.action_for("tines", "r1"), running, "the action by its request")
        expect(await journal.action_for("soc", "r1"), None, "the request of another caller")
        expect(await journal.action_on("b1"), running, "the action by its subject")
        expect(await journal.actions(), [running, ended], "all actions")
        expect(await journal.actions(after=running.number, limit=1), [ended], "a page of actions")
        expect(await journal.open_actions(), [running], "actions that are due")
        expect(await journal.forget_actions(START), 0, "nothing is old")
        expect(await journal.forget_actions(START + MINUTE), 1, "only what has ended")
        expect(await journal.actions(), [running], "what is left")


async def actions_of_an_hour_are_counted(open_journal: Open) -> None:
    """A caller stores so many actions in an hour and no more, whatever became of them."""
    async with open_journal() as journal:

        def new(number: int, minutes: int, caller: str = "tines") -> StoredAction:
            at = START + minutes * MINUTE
            return StoredAction(f"{caller}{number}", caller, f"r{number}", "accepted", at, at, {}, due=at)

        first = await journal.store_action(new(1, 0), per_hour=2)
        await journal.store_action(new(2, 10), per_hour=2)
        audit = [replace(revision("a3-1"), feed=Feed("account", ACTIONS))]
        third = journal.store_action(new(3, 20), audit, per_hour=2)
        refused = await expect_error(LimitReached, third, "a third action")
        expect(getattr(refused, "until", None), START + 60 * MINUTE, "when the next one is possible")
        expect((await journal.outline()).head, 0, "what the refused one left behind")
        await journal.store_action(new(1, 20, "soc"), per_hour=2)
        await journal.store_action(replace(first, state="failed", due=None, changed=START + 59 * MINUTE))
        expect(await journal.nth_requested("tines", 2, START - MINUTE), START, "the second newest")
        expect(await journal.nth_requested("tines", 2, START), None, "the second newest, if it is newer")
        await journal.store_action(new(4, 61), per_hour=2)


async def audit_events_are_stored_with_their_action(open_journal: Open) -> None:
    """Audit events reach every output, all or none with the change; they make no feed."""
    async with open_journal() as journal:
        await journal.attach("siem", "beginning", Backlog())
        audit = replace(revision("a1-1"), feed=Feed("account", ACTIONS))
        reading = asyncio.ensure_future(next_entry(journal, "siem", 0))
        await asyncio.sleep(0)
        new = StoredAction("a1", "tines", "r1", "accepted", START, START, {}, due=START)
        await journal.store_action(new, [audit])
        entry = await reading
        expect((entry.first, entry.only, entry.revisions), (1, None, (audit,)), "the audit event")
        await expect_error(Moved, journal.store_action(new, [audit]), "the same again")
        expect((await journal.outline()).head, 1, "the head")
        expect((await journal.outline()).feeds, (), "the feeds")
        refusal = replace(audit, record=Record("refused", {"id": "refused"}))
        await journal.append_audit([refusal])
        expect((await next_entry(journal, "siem", 1)).revisions, (refusal,), "an event without an action")


async def a_full_backlog_refuses_new_actions_only(open_journal: Open) -> None:
    """What was begun can be ended, although an output is over its limit."""
    async with open_journal() as journal:
        new = StoredAction("a1", "tines", "r1", "accepted", START, START, {}, due=START)
        stored = await journal.store_action(new)
        await journal.attach("siem", "beginning", Backlog(max_bytes=1))
        await journal.commit(commit_of("a"))
        late = replace(new, id="a2", request_id="r2")
        await expect_error(JournalFull, journal.store_action(late), "a new action")
        await journal.store_action(replace(stored, state="failed", due=None), [revision("a1-2")])
        expect((await journal.outline()).head, 2, "the head")


CHECKS: tuple[Check, ...] = (
    positions_count_revisions,
    large_commits_keep_their_order,
    bodies_come_back_as_they_were,
    checkpoints_are_compared_and_set,
    gaps_are_repaired_piece_by_piece,
    seen_rows_are_kept_per_feed,
    records_are_recognised_by_their_marks,
    readers_wait_and_are_woken,
    a_commit_finishes_although_cancelled,
    acknowledgements_are_compared_and_set,
    late_failures_are_stored_at_an_unchanged_position,
    numbers_go_on_when_all_is_delivered,
    a_full_backlog_pauses_collection,
    a_full_backlog_skips,
    a_detached_output_pins_nothing,
    letters_are_replayed_or_purged,
    letters_have_a_limit,
    positions_can_be_rewound,
    quarantined_items_are_kept_once,
    the_first_emitted_revision_is_remembered,
    values_are_compared_and_set,
    notes_are_stored_with_a_commit_and_forgotten_with_their_feed,
    a_feed_tells_what_it_reads,
    a_forgotten_feed_starts_anew,
    actions_are_compared_and_set,
    actions_of_an_hour_are_counted,
    audit_events_are_stored_with_their_action,
    a_full_backlog_refuses_new_actions_only,
)
"""Every check."""
