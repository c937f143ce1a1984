"""A state directory with a journal in it, and the operator's commands run inside this process."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector import cli
from connector.app.control.operator import ConfiguredNames, Operator
from connector.facts import Fact
from connector.journal import Journal, JournalOptions
from connector.model import (
    Backlog,
    Commit,
    DeadLetter,
    Feed,
    Gap,
    GapCause,
    Record,
    Revision,
    Seen,
    Step,
    Window,
)
from connector.settings import Loaded, load

PROD = "023e105f4ecef8ad9ca31a8372d0c353"
TEST = "a" * 32
GONE = "b" * 32
FEED = Feed(PROD, "detections")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

CONFIG = f"""
accounts:
  prod: {{account_id: {PROD}, api_token: "${{env:TOKEN}}"}}
  test: {{account_id: {TEST}, api_token: "${{env:TOKEN}}"}}
searches:
  detections: {{every: 1m, accounts: [prod]}}
  everything: {{every: 1m}}
outputs:
  siem: {{type: stdout}}
  fresh: {{type: file, path: events}}
state: {{directory: state, retain: 1h}}
"""


def revision(name: str, number: int = 1, **body: object) -> Revision:
    """The record *name*."""
    record = Record(name, {"id": name, "subject": f"about {name}", **body})
    return Revision(FEED, record, f"{number:064x}", number, NOW)


def letter(output: str, sequence: int, dead: Revision, answer: str = "HTTP 400: no") -> DeadLetter:
    """A dead letter of *output*."""
    return DeadLetter(output, sequence, dead, "refused", answer, 3, NOW, NOW + MINUTE)


@dataclass
class StateFolder:
    """The place: its configuration, its clock, the facts that an operator's commands caused."""

    directory: Path
    now: datetime = NOW
    facts: list[Fact] = field(default_factory=list)

    def loaded(self) -> Loaded:
        """The configuration."""
        return load(self.directory / "connector.yaml", {"TOKEN": "x"})

    @asynccontextmanager
    async def journal(self, retain: timedelta = timedelta(hours=1)) -> AsyncIterator[Journal]:
        """The journal of this place."""
        async with Journal.open(
            self.directory / "state",
            observe=lambda _: None,
            clock=lambda: self.now,
            options=JournalOptions(retain=retain, ballast=0),
        ) as journal:
            yield journal

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[tuple[Operator, Journal]]:
        """The operator at the open journal."""
        async with self.journal() as journal:
            yield Operator(journal, ConfiguredNames.of(self.loaded().settings), self.facts.append), journal

    def fill(self, dead: Sequence[DeadLetter] = ()) -> None:
        """Ten delivered revisions, one a minute; an output and an account that are gone; letters *dead*."""

        async def work() -> None:
            async with self.journal() as journal:
                for output in ("siem", "lake"):
                    await journal.attach(output, "head", Backlog())
                for number in range(1, 11):
                    await journal.commit(Commit(FEED, "f", (revision(f"r{number}"),)))
                    self.now += MINUTE
                for output in ("siem", "lake"):
                    own = [one for one in dead if one.output == output]
                    await journal.acknowledge(output, after=0, upto=10, dead=own)
                await journal.detach("lake")
                step = Step("live", None, NOW, Gap(Window(NOW - MINUTE, NOW), GapCause.RETENTION, "live"))
                row = Seen("r1", NOW, {}, "d", {"d": 1}, 1, NOW)
                await journal.commit(Commit(FEED, "f", (), (row,), step))
                for account in (PROD, TEST, GONE):
                    feed = Feed(account, "everything")
                    await journal.commit(Commit(feed, "f", step=Step("live", None, NOW)))

        asyncio.run(work())

    def outline(self) -> dict[str, Any]:
        """``state show --json`` without its command."""

        async def work() -> dict[str, Any]:
            async with self.operator() as (operator, _):
                return await operator.state({})

        return asyncio.run(work())

    def letters(self) -> dict[int, DeadLetter]:
        """All dead letters by number."""

        async def work() -> dict[int, DeadLetter]:
            async with self.journal() as journal:
                return dict(await journal.dead_letters(limit=10_000))

        return asyncio.run(work())


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The lines on stdout as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


class Terminal(io.StringIO):
    """A standard input at which somebody sits and types."""

    def isatty(self) -> bool:
        """Yes."""
        return True


class Shell:
    """Runs commands in the place, inside this process."""

    def __init__(
        self, folder: StateFolder, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[bytes]
    ) -> None:
        self.folder = folder
        self._patch = monkeypatch
        self._capture = capture
        monkeypatch.chdir(folder.directory)
        monkeypatch.setenv("TOKEN", "x")
        monkeypatch.setenv("COLUMNS", "220")

    def __call__(self, *arguments: str, typed: str | None = None) -> Answer:
        """The answer of ``email-connector`` to *arguments*; *typed* is what a person types when asked."""
        self._patch.setattr(sys, "argv", ["email-connector", *arguments])
        self._patch.setattr(sys, "stdin", io.StringIO() if typed is None else Terminal(typed))
        self._capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = self._capture.readouterr()
        return Answer(int(ended.value.code or 0), said.out.decode(), said.err.decode())
