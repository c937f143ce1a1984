"""Whatever breaks, heals and changes meanwhile: each state is told once, and what was missing once more."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.model import Revision
from tests.support.examples import examples
from tests.unit.collect.feed_under_test import AGES
from tests.unit.collect.test_enrichment import EnrichingDesk, feed_under_test

NAMES = st.sampled_from(("a", "b", "c"))
ENDPOINTS = st.sampled_from(("detections", "action_log"))
STEPS = st.one_of(
    st.tuples(st.just("pass"), st.integers(1, 25)),
    st.tuples(st.just("mail"), NAMES),
    st.tuples(st.just("change"), NAMES),
    st.tuples(st.just("leave"), NAMES),
    st.tuples(st.just("break"), ENDPOINTS),
    st.tuples(st.just("heal"), ENDPOINTS),
    st.tuples(st.just("restart"), st.none()),
)
_LONG = timedelta(minutes=50)


@dataclass
class Mail:
    """One message as the test knows it."""

    scanned: datetime
    quarantined: bool = True
    hidden: bool = False


async def play(desk: EnrichingDesk, steps: list[tuple[str, object]], mail: dict[str, Mail]) -> list[Revision]:
    """Let *steps* happen; whatever changes meets a poll at some time after it."""
    found: list[Revision] = []
    for step, what in steps:
        name = str(what)
        if step == "pass":
            found += await desk.poll(int(name) * timedelta(minutes=1))
        elif step == "mail" and name not in mail:
            mail[name] = Mail(desk.now - timedelta(seconds=30))
            desk.source.add(name, mail[name].scanned, is_quarantined=True)
        elif step == "change" and name in mail:
            mail[name].quarantined = not mail[name].quarantined
            desk.source.change(name, is_quarantined=mail[name].quarantined)
        elif step == "leave" and name in mail:
            mail[name].hidden = True
            desk.source.hide(name)
        elif step == "break":
            desk.fake.broken.add(name)
        elif step == "heal":
            desk.fake.broken.discard(name)
        elif step == "restart":
            desk.collector = desk.build()
    return found


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(STEPS, max_size=14))
def test_states_and_completions_are_reported_once_each(steps: list[tuple[str, object]]) -> None:
    async def story(directory: Path) -> None:
        mail: dict[str, Mail] = {}
        async with feed_under_test(directory) as desk:
            found = await play(desk, steps, mail)
            found += await desk.poll(timedelta(minutes=1))
            desk.fake.broken.clear()
            healed = desk.now
            for _ in range(15):
                found += await desk.poll(timedelta(minutes=5))
            judge(desk, found, {name: one for name, one in mail.items() if one.scanned > healed - _LONG})

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(story(Path(directory)))


def judge(desk: EnrichingDesk, found: list[Revision], young: dict[str, Mail]) -> None:
    """*young* mail had a revisit before it when all endpoints answered again."""
    reported: dict[str, list[Revision]] = defaultdict(list)
    for revision in found:
        reported[revision.record.id].append(revision)

    assert len({revision.identity for revision in found}) == len(found)
    for name, revisions in reported.items():
        assert [revision.number for revision in revisions] == list(range(1, len(revisions) + 1))
        states = 1 + sum(bool(revision.previous) for revision in revisions)
        assert desk.fake.asked.count(name) <= states * (1 + len(AGES))
        for before, after in pairwise(revisions):
            if not after.previous:
                assert after.record.body["is_quarantined"] == before.record.body["is_quarantined"]
                assert missing(after) < missing(before)
    for name, one in young.items():
        assert reported[name] or one.hidden
        if reported[name]:
            last = reported[name][-1]
            assert (missing(last), last.record.body["is_quarantined"]) == (set(), one.quarantined)


def missing(revision: Revision) -> set[str]:
    """The endpoints that did not answer."""
    return set(revision.enrichment.get("incomplete", ()))
