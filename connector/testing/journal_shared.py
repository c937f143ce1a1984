"""Conformance suite for journals that several processes share: see ``connector.testing.journal``.

Here the way to open the journal may be called again while it is open; each is like a process of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from connector.errors import LeaseLost, Moved
from connector.interfaces import Journal
from connector.leases import Leases
from connector.model import Backlog, Commit, Feed, Step
from connector.testing.journal_harness import (
    FEED,
    START,
    WAIT,
    Check,
    JournalViolation,
    Open,
    commit_of,
    expect,
    expect_error,
    names_of,
    next_entry,
)

_COMMITS = 15


def leases_of(journal: Journal) -> Leases:
    """The leases of a journal that is shared; it MUST have some."""
    if journal.leases is None:
        raise JournalViolation("a journal that is shared has no leases")
    return journal.leases


def held(tokens: Mapping[str, int] | None) -> Mapping[str, int]:
    """The tokens of leases that MUST have been taken."""
    if tokens is None:
        raise JournalViolation("a free lease could not be taken")
    return tokens


async def what_one_commits_the_other_reads(open_journal: Open) -> None:
    """A reader in another process is woken by a commit, and sees checkpoints, seen rows and values."""
    async with open_journal() as one, open_journal() as other:
        position = await other.attach("siem", "beginning", Backlog())
        reading = asyncio.ensure_future(next_entry(other, "siem", position))
        changed = asyncio.ensure_future(other.value_changed("a"))
        await asyncio.sleep(0.1)
        await one.commit(commit_of("a", step=Step("live", None, START)))
        expect(names_of(await reading), ["a"], "what the other reads")
        expect((await other.progress(FEED)).checkpoints, {"live": START}, "its checkpoints")
        expect(set(await other.seen(FEED, ["a"])), {"a"}, "its seen rows")
        await one.set_value("a", "1")
        async with asyncio.timeout(WAIT):
            await changed
        expect(await other.get_value("a"), "1", "its values")


async def numbers_have_no_holes_between_two(open_journal: Open) -> None:
    """Both commit at the same time; every revision has a number of its own, without a hole."""
    async with open_journal() as one, open_journal() as other:
        await one.attach("siem", "beginning", Backlog())

        async def commit(journal: Journal, name: str) -> None:
            feed = Feed("account", name)
            for number in range(_COMMITS):
                revisions = commit_of(f"{name}{number}", f"{name}{number}x").revisions
                await journal.commit(Commit(feed, "print", revisions))

        await asyncio.gather(commit(one, "one"), commit(other, "other"))
        found: list[str] = []
        while len(found) < 4 * _COMMITS:
            entry = await next_entry(one, "siem", len(found))
            expect(entry.first, len(found) + 1, "the next number")
            found += names_of(entry)
        expect(len(set(found)), 4 * _COMMITS, "different revisions")
        expect([name for name in found if name.startswith("one")],
               [f"one{number}{end}" for number in range(_COMMITS) for end in ("", "x")],
               "the order of one of them")  # fmt: skip


async def a_rewind_in_one_moves_the_reader_in_the_other(open_journal: Open) -> None:
    """A read that waits raises ``Moved``, and attaching again gives the position as it was rewound."""
    async with open_journal() as one, open_journal() as other:
        await one.attach("keeper", "beginning", Backlog())
        await other.attach("siem", "beginning", Backlog())
        await one.commit(commit_of("a", "b"))
        await other.acknowledge("siem", after=0, upto=2)
        reading = asyncio.ensure_future(other.read("siem", 2))
        await asyncio.sleep(0.1)
        expect(await one.rewind("siem", 1), 1, "the rewound position")
        async with asyncio.timeout(WAIT):
            await expect_error(Moved, reading, "a read in the other process")
        expect(await other.attach("siem", "beginning", Backlog()), 1, "the position there")


async def a_feed_that_one_forgets_is_moved_in_the_other(open_journal: Open) -> None:
    """A walk under way in another process learns that its feed was forgotten."""
    async with open_journal() as one, open_journal() as other:
        await one.commit(commit_of("a"))
        generation = (await other.progress(FEED)).generation
        await one.forget(FEED)
        late = Commit(FEED, "print", commit_of("b").revisions, generation=generation)
        await expect_error(Moved, other.commit(late), "a commit of the generation before")


async def a_lease_has_one_holder(open_journal: Open) -> None:
    """All of several or none are taken; a released one can be taken at once, with a higher token."""
    async with open_journal() as one, open_journal() as other:
        mine, theirs = leases_of(one), leases_of(other)
        tokens = held(await mine.take(["x", "y"]))
        expect(await theirs.take(["y", "z"]), None, "leases of which one is taken")
        waiting = asyncio.ensure_future(theirs.changed())
        await asyncio.sleep(0.1)
        await mine.release({"y": tokens["y"]})
        async with asyncio.timeout(WAIT):
            await waiting
        later = held(await theirs.take(["y", "z"]))
        expect(later["y"] > tokens["y"], True, "whether the token counts up")
        view = await mine.renew(["x", "y"], {"x": tokens["x"], "y": tokens["y"]})
        holders = {lease.name: lease.holder for lease in view.leases}
        expect(holders, {"x": mine.replica, "y": theirs.replica, "z": theirs.replica}, "the holders")
        await theirs.renew(["z"], later)
        view = await mine.renew(["x", "y"], {})
        serves = {replica.id: sorted(replica.serves) for replica in view.replicas}
        expect(serves, {mine.replica: ["x", "y"], theirs.replica: ["z"]}, "who lives")
        await theirs.leave()
        view = await mine.renew(["x", "y"], {})
        expect([replica.id for replica in view.replicas], [mine.replica], "who lives in the end")


async def a_former_holder_writes_nothing(open_journal: Open) -> None:
    """After a takeover every write that proves the former token raises ``LeaseLost`` and stores nothing."""
    async with open_journal() as one, open_journal() as other:
        await one.attach("siem", "beginning", Backlog())
        mine, theirs = leases_of(one), leases_of(other)
        tokens = held(await mine.take(["work"]))
        fenced = one.fenced(lambda: list(tokens.items()))
        await fenced.commit(commit_of("a", step=Step("live", None, START)))
        await mine.release(tokens)
        held(await theirs.take(["work"]))
        refused: Sequence[tuple[str, object]] = (
            ("a commit", fenced.commit(commit_of("b"))),
            ("an acknowledgement", fenced.acknowledge("siem", after=0, upto=1)),
            ("an attachment", fenced.attach("late", "beginning", Backlog())),
            ("a value", fenced.set_value("a", "1")),
            ("an expiry", fenced.expire(FEED, START)),
        )
        for what, operation in refused:
            await expect_error(LeaseLost, operation, f"{what} of a former holder")  # type: ignore[arg-type]
        outline = await other.outline()
        expect((outline.head, [one.output for one in outline.outputs]), (1, ["siem"]), "what is stored")
        expect(await other.get_value("a"), None, "the value")
        expect(names_of(await next_entry(fenced, "siem", 0)), ["a"], "what it still reads")


async def requests_reach_the_others(open_journal: Open) -> None:
    """What one replica asks all others hear, once, and it itself does not."""
    async with open_journal() as one, open_journal() as other:
        hearing = asyncio.ensure_future(leases_of(other).requests())
        echo = asyncio.ensure_future(leases_of(one).requests())
        await asyncio.sleep(0.2)
        await leases_of(one).request("resume", {"name": "siem"})
        async with asyncio.timeout(WAIT):
            (request,) = await hearing
        expect((request.command, dict(request.arguments)), ("resume", {"name": "siem"}), "the request")
        await asyncio.sleep(0.1)
        expect(echo.done(), False, "whether it heard itself")
        echo.cancel()
        await asyncio.gather(echo, return_exceptions=True)


SHARED_CHECKS: tuple[Check, ...] = (
    what_one_commits_the_other_reads,
    numbers_have_no_holes_between_two,
    a_rewind_in_one_moves_the_reader_in_the_other,
    a_feed_that_one_forgets_is_moved_in_the_other,
    a_lease_has_one_holder,
    a_former_holder_writes_nothing,
    requests_reach_the_others,
)
"""Every check."""
