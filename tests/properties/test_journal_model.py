"""The journal does what a few plain lists do, in whatever order it is asked, also when reopened."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connector.errors import JournalFull, Moved
from connector.journal import Journal, JournalOptions
from connector.model import Backlog, Commit, DeadLetter, Revision, Seen, Step, WhenFull
from connector.testing.journal import FEED, START, letter, revision, seen_row
from tests.support.examples import examples

PORTION = 3
OUTPUTS = ("a", "b", "c")
BACKLOGS = {"roomy": Backlog(), "pause": Backlog(0), "skip": Backlog(0, WhenFull.SKIP)}


@dataclass
class Output:
    """What the model knows of an output."""

    position: int
    mark: int
    backlog: str = "roomy"
    attached: bool = True
    moved: bool = False
    skipped: bool = False

    def move(self, position: int) -> None:
        """Go to *position*; what lies up to the furthest one ever had is no live backlog."""
        self.position, self.mark = position, max(self.mark, position)


@dataclass
class Model:
    """The journal as lists: *stretches* are the entries not trimmed, by their sequence numbers."""

    revisions: list[tuple[Revision, str | None]] = field(default_factory=list)
    stretches: list[range] = field(default_factory=list)
    outputs: dict[str, Output] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    seen: dict[str, Seen] = field(default_factory=dict)
    checkpoint: datetime | None = None

    @property
    def head(self) -> int:
        return len(self.revisions)

    @property
    def floor(self) -> int:
        return self.stretches[0].start - 1 if self.stretches else self.head

    def append(self, revisions: list[Revision], only: str | None = None) -> None:
        for start in range(0, len(revisions), PORTION):
            part = revisions[start : start + PORTION]
            self.stretches.append(range(self.head + 1, self.head + len(part) + 1))
            self.revisions += [(one, only) for one in part]

    def trim(self) -> None:
        attached = [output.position for output in self.outputs.values() if output.attached]
        while attached and self.stretches and self.stretches[0][-1] <= min(attached):
            del self.stretches[0]
        for output in self.outputs.values():
            if output.position < self.floor:
                output.skipped = True
                output.move(self.floor)


class JournalMachine(RuleBasedStateMachine):
    """Asks the journal and the model the same."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.count = 0
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.opened: AbstractAsyncContextManager[Journal] | None = None
        self.journal: Journal

    @initialize()
    def reopen(self) -> None:
        self.close()
        options = JournalOptions(entry_revisions=PORTION, cache=600, ballast=0)
        path = Path(self.directory.name)
        self.opened = Journal.open(
            path, observe=lambda _: None, clock=lambda: datetime.now(UTC), options=options
        )
        self.journal = self.runner.run(self.opened.__aenter__())
        for output in self.model.outputs.values():
            output.moved = False

    def close(self) -> None:
        if self.opened is not None:
            self.runner.run(self.opened.__aexit__(None, None, None))

    def teardown(self) -> None:
        self.close()
        self.runner.close()
        self.directory.cleanup()

    @rule()
    def restart(self) -> None:
        self.reopen()

    @rule(size=st.integers(0, 8), known=st.integers(0, 3), step=st.sampled_from(["none", "right", "wrong"]))
    def commit(self, size: int, known: int, step: str) -> None:
        names = [f"r{number}" for number in range(self.count, self.count + size)]
        self.count += size
        rows = [seen_row(name, START + self.count * timedelta(minutes=1)) for name in names]
        rows += [seen_row(name, START, START, again=self.count) for name in list(self.model.seen)[:known]]
        since = self.model.checkpoint if step == "right" else datetime(1999, 1, 1, tzinfo=UTC)
        until = START + timedelta(seconds=self.count)
        commit = Commit(
            FEED,
            "print",
            tuple(map(revision, names)),
            tuple(rows),
            None if step == "none" else Step("live", since, until),
        )
        expected = self._refusal(step, names)
        if expected is not None:
            with pytest.raises(expected):
                self.runner.run(self.journal.commit(commit))
            return
        self.runner.run(self.journal.commit(commit))
        self.model.append(list(commit.revisions))
        self.model.seen.update({row.id: row for row in rows})
        self.model.checkpoint = until if step == "right" else self.model.checkpoint
        self._skip() if names else None
        self.model.trim()

    def _refusal(self, step: str, names: list[str]) -> type[Exception] | None:
        if step == "wrong":
            return Moved
        full = any(
            output.backlog == "pause" and output.attached and output.mark < self.model.head
            for output in self.model.outputs.values()
        )
        return JournalFull if names and full else None

    def _skip(self) -> None:
        for output in self.model.outputs.values():
            live = output.mark < self.model.head
            if (
                output.attached
                and output.backlog == "skip"
                and live
                and output.position < self.model.head - 1
            ):
                output.moved, output.skipped = True, True
                output.move(self.model.head - 1)

    @rule(
        name=st.sampled_from(OUTPUTS),
        start=st.sampled_from(["head", "beginning"]),
        kind=st.sampled_from([*BACKLOGS]),
    )
    def attach(self, name: str, start: str, kind: str) -> None:
        begin = "head" if start == "head" else "beginning"
        position = self.runner.run(self.journal.attach(name, begin, BACKLOGS[kind]))  # type: ignore[arg-type]
        first = self.model.head if start == "head" else self.model.floor
        new = Output(first, first)
        output = self.model.outputs.setdefault(name, new)
        output.attached, output.moved, output.backlog = True, False, kind
        assert position == output.position

    @rule(name=st.sampled_from(OUTPUTS))
    def detach(self, name: str) -> None:
        self.runner.run(self.journal.detach(name))
        if name in self.model.outputs:
            self.model.outputs[name].attached = False
        self.model.trim()

    @rule(
        name=st.sampled_from(OUTPUTS), count=st.integers(0, 9), dead=st.integers(0, 2), off=st.integers(0, 1)
    )
    def acknowledge(self, name: str, count: int, dead: int, off: int) -> None:
        output = self.model.outputs.get(name)
        if output is None:
            return
        upto = min(output.position + count, self.model.head)
        buried = [
            letter(name, number, self.model.revisions[number - 1][0])
            for number in range(output.position + 1, upto + 1)[:dead]
        ]
        acknowledging = self.journal.acknowledge(name, after=output.position - off, upto=upto, dead=buried)
        if off:
            with pytest.raises(Moved):
                self.runner.run(acknowledging)
            return
        self.runner.run(acknowledging)
        output.move(upto)
        self.model.letters += buried
        self.model.trim()

    @rule(name=st.sampled_from(OUTPUTS), to=st.integers(-1, 40))
    def rewind(self, name: str, to: int) -> None:
        output = self.model.outputs.get(name)
        if output is None:
            return
        target = max(min(to, output.position), self.model.floor)
        assert self.runner.run(self.journal.rewind(name, to)) == target
        output.position, output.moved = target, True
        letters = self.model.letters
        self.model.letters = [one for one in letters if one.output != name or one.sequence <= target]

    @rule(take=st.integers(0, 5), action=st.sampled_from(["replay", "purge"]))
    def settle(self, take: int, action: str) -> None:
        numbers = [number for number, _ in self.runner.run(self.journal.dead_letters(limit=take))]
        chosen = self.model.letters[: len(numbers)]
        if action == "purge":
            count = self.runner.run(self.journal.resolve_dead_letters(numbers, "purge"))
        else:
            chosen = [one for one in chosen if self.model.outputs[one.output].attached]
            count = self.runner.run(self.journal.resolve_dead_letters(numbers, "replay"))
            for name in sorted({one.output for one in chosen}):
                self.model.append([one.revision for one in chosen if one.output == name], name)
        assert count == len(chosen)
        for one in chosen:
            self.model.letters.remove(one)

    @rule(seconds=st.integers(-1, 90))
    def expire(self, seconds: int) -> None:
        passed = START + timedelta(seconds=seconds)
        kept = {name: row for name, row in self.model.seen.items() if row.until > passed}
        count = self.runner.run(self.journal.expire(FEED, passed))
        assert count == len(self.model.seen) - len(kept)
        self.model.seen = kept

    @rule()
    def forget(self) -> None:
        self.runner.run(self.journal.forget(FEED))
        self.model.seen, self.model.checkpoint = {}, None

    @invariant()
    def outline_agrees(self) -> None:
        outline = self.runner.run(self.journal.outline())
        assert outline.head == self.model.head
        assert (outline.bytes == 0) == (not self.model.stretches)
        assert {one.output: (one.position, one.attached) for one in outline.outputs} == {
            name: (output.position, output.attached) for name, output in self.model.outputs.items()
        }
        for one in outline.outputs:
            assert one.backlog == self.model.head - one.position
            assert (one.backlog_bytes == 0) == (one.backlog == 0)
            assert one.dead_letters == sum(dead.output == one.output for dead in self.model.letters)
        assert sum(feed.seen for feed in outline.feeds) == len(self.model.seen)

    @invariant()
    def memory_agrees(self) -> None:
        names = [f"r{number}" for number in range(self.count)]
        assert dict(self.runner.run(self.journal.seen(FEED, names))) == self.model.seen
        checkpoint = self.runner.run(self.journal.progress(FEED)).checkpoints.get("live")
        assert checkpoint == self.model.checkpoint
        letters = self.runner.run(self.journal.dead_letters(limit=1000))
        assert [one for _, one in letters] == self.model.letters

    @invariant()
    def outputs_read_what_they_are_owed(self) -> None:
        for name, output in self.model.outputs.items():
            if output.position < self.model.head:
                self._read(name, output)

    def _read(self, name: str, output: Output) -> None:
        reading = self.journal.read(name, output.position)
        if output.moved:
            with pytest.raises(Moved):
                self.runner.run(reading)
            return
        entry = self.runner.run(reading)
        stretch = next(one for one in self.model.stretches if output.position + 1 in one)
        assert (entry.first, entry.last) == (output.position + 1, stretch[-1])
        expected = self.model.revisions[output.position : stretch[-1]]
        assert [(one, entry.only) for one in entry.revisions] == expected


TestJournalModel = JournalMachine.TestCase
TestJournalModel.settings = settings(
    max_examples=examples(30),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
