"""The account of one backfill: what it found, exactly, however often a slice had to be walked.

Revisions are counted when they become durable; the records of a slice when it is complete. What an attempt
that failed found new is known to the next one, and yet counts as new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from connector.collect.backfill.job import Job, Tally
from connector.collect.revisions import PAD, Comparison, time_of
from connector.model import Record, Step


class TallyRecorder:
    """Takes account of the slices of one backfill, page by page; see ``walk.Account``."""

    def __init__(self, job: Job, key: str, tally: Tally, floor: Callable[[], datetime | None]) -> None:
        self._job = job
        self._key = key
        self._floor = floor
        self._told: dict[str, datetime] = {}
        self._slice: dict[str, datetime] = {}
        self.tally = tally

    def begin(self, tally: Tally) -> None:
        """Begin a slice where *tally* is; what an attempt before this one read of it is read again."""
        self.tally = tally
        self._slice = {}

    def skip(self, until: datetime, beyond: datetime) -> tuple[str, str]:
        """Leave out what lies before *until*: the API has nothing before *beyond*."""
        self.begin(replace(self.tally, position=until, beyond=beyond, edge={}))
        return self._noted()

    def doubt(self) -> None:
        """Nobody knows what of the last page became durable: what was told may have to be told again."""
        self._told.clear()

    def again(self, records: Sequence[Record]) -> frozenset[str]:
        """See ``SliceRecorder``: once each, although slices overlap and are walked again."""
        if not self._job.everything:
            return frozenset()
        return frozenset(
            one.id for one in records if one.id not in self._told and one.id not in self.tally.edge
        )

    def note(
        self, records: Sequence[Record], comparisons: Sequence[Comparison], step: Step | None
    ) -> tuple[str, str]:
        """See ``SliceRecorder``."""
        tally, start = self.tally, self.tally.position
        times = {record.id: time_of(record, start) for record in records}
        told = {
            comparison.revision.record.id for comparison in comparisons if comparison.revision is not None
        }
        self._told.update((one, times[one]) for one in told)
        self._slice.update((one, at) for one, at in times.items() if one in told or one not in tally.edge)
        floor = self._floor()
        self.tally = replace(
            tally,
            new=tally.new + sum(comparison.new for comparison in comparisons),
            changed=tally.changed + sum(comparison.changed for comparison in comparisons),
            completed=tally.completed + sum(comparison.completes for comparison in comparisons),
            again=tally.again + sum(comparison.again for comparison in comparisons),
            before_floor=tally.before_floor + (_before(floor, comparisons, start) if floor else 0),
        )
        if step is not None:
            self._turn_over(step.until)
        return self._noted()

    def _noted(self) -> tuple[str, str]:
        return self._key, self.tally.to_text()

    def _turn_over(self, position: datetime) -> None:
        """The slice is complete; around its end the next one sees some of its records once more."""
        edge = {**self.tally.edge, **self._slice}
        self.tally = replace(
            self.tally,
            position=position,
            slices=self.tally.slices + 1,
            read=self.tally.read + len(self._slice),
            edge={one: moment for one, moment in edge.items() if moment >= position - PAD},
        )
        self._told = {one: moment for one, moment in self._told.items() if moment >= position - PAD}
        self._slice = {}


def _before(floor: datetime, comparisons: Sequence[Comparison], fallback: datetime) -> int:
    new = [comparison.revision for comparison in comparisons if comparison.new]
    return sum(time_of(one.record, fallback) < floor for one in new if one is not None)
