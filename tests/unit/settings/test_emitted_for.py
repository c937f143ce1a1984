"""``state.emitted_for``: what an output with ``emit: first`` remembers outlasts what an audit rereads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.app.journals import open_journal
from connector.errors import ConfigurationError
from connector.model import Backlog, Commit, Feed, Record, Revision
from connector.settings import StateSettings, load

CONFIG = """\
accounts: {prod: {account_id: 023e105f4ecef8ad9ca31a8372d0c353, api_token: "${env:TOKEN}"}}
searches: {all: {every: 1m, audit: {every: 1d, reach: 120d}}}
outputs: {pager: {type: stdout, emit: EMIT}}
state: {directory: state, emitted_for: FOR}
"""


@pytest.mark.parametrize(
    ("emit", "remembered", "accepted"),
    [("first", "90d", False), ("first", "120d", True), ("all", "90d", True)],
)
def test_an_audit_must_not_reach_further_back(
    tmp_path: Path, emit: str, remembered: str, accepted: bool
) -> None:
    file = tmp_path / "connector.yaml"
    file.write_text(CONFIG.replace("EMIT", emit).replace("FOR", remembered))

    if accepted:
        assert load(file, {"TOKEN": "x"}).settings.state.emitted_for >= timedelta(days=90)
        return
    with pytest.raises(ConfigurationError) as caught:
        load(file, {"TOKEN": "x"})
    assert "2:48: searches.all.audit.reach: must not exceed state.emitted_for" in str(caught.value)
    assert "raise state.emitted_for to 120d" in str(caught.value)


@pytest.mark.parametrize(("days", "known"), [(99, ["r1"]), (101, [])])
async def test_the_journal_forgets_after_that_time(tmp_path: Path, days: int, known: list[str]) -> None:
    state = StateSettings(directory=tmp_path, emitted_for=timedelta(days=100))
    began = now = datetime(2026, 1, 1, tzinfo=UTC)
    feed = Feed("a", "s")
    async with open_journal(state, observe=lambda _: None, clock=lambda: now) as journal:
        await journal.attach("pager", "head", Backlog())
        for number in (1, 2):
            revision = Revision(feed, Record(f"r{number}", {}), "0" * 64, 1, now)
            await journal.commit(Commit(feed, "f", (revision,)))
            await journal.acknowledge(
                "pager", after=number - 1, upto=number, emitted={f"r{number}": revision.identity}
            )
            now = began + timedelta(days=days)

        assert list(await journal.emitted("pager", ["r1"])) == known
