"""Counts what a backfill finds, exactly, however often a slice had to be read.

Revisions are counted when they become durable, the records of a slice when it is complete. What a failed
attempt found new is known to the next attempt, and still counts as new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from connector.collect.backfill.job import Job, Tally
from connector.collect.revisions import PAD, Comparison, time_of
from connector.model import Record, Step, Window

_AROUND = PAD + timedelta(seconds=1)
"""How far behind the limit of a search its records may lie: what is left
begins with the second of the last record."""


class TallyRecorder:
    """Counts the slices of one backfill, page by page; implements ``ingest.SliceRecorder``."""

    def __init__(self, job: Job, key: str, tally: Tally, floor: Callable[[], datetime | None]) -> None:
        self._job = job
        self._key = key
        self._floor = floor
        self._delivered: dict[str, datetime] = {}
        self._slice: dict[str, datetime] = {}
        self._end = job.window.end
        self.tally = tally

    def begin_slice(self, tally: Tally, end: datetime | None = None) -> None:
        """Begin or continue the slice from *tally*'s position to *end*.

        Pages of an earlier attempt that *tally* does not count are read again.
        """
        self.tally = tally
        self._slice = {}
        self._end = end or self._job.window.end

    def skip(self, until: datetime, beyond: datetime) -> tuple[str, str]:
        """Leave out the time before *until*: the API retains nothing before *beyond*."""
        self.begin_slice(replace(self.tally, position=until, beyond=beyond, edge={}))
        return self._note()

    def forget_delivered(self) -> None:
        """Deliver everything again: it is unknown what of the last page became durable."""
        self._delivered.clear()

    def redeliver(self, records: Sequence[Record]) -> frozenset[str]:
        """See ``SliceRecorder``: each record once, although slices overlap and are read again."""
        if not self._job.everything:
            return frozenset()
        return frozenset(
            record.id
            for record in records
            if record.id not in self._delivered and record.id not in self.tally.edge
        )

    def record(
        self,
        records: Sequence[Record],
        comparisons: Sequence[Comparison],
        step: Step | None,
        left: Window | None = None,
    ) -> tuple[str, str]:
        """See ``SliceRecorder``."""
        tally, start = self.tally, self.tally.position
        times = {record.id: time_of(record, start) for record in records}
        delivered = {
            comparison.revision.record.id for comparison in comparisons if comparison.revision is not None
        }
        self._delivered.update((record_id, times[record_id]) for record_id in delivered)
        known = tally.edge.keys() - delivered
        self._slice.update(
            {record_id: at for record_id, at in times.items() if record_id not in known} if known else times
        )
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
            self._complete_slice(step.until)
        elif left is not None:
            self._complete_pages(left)
        return self._note()

    def _note(self) -> tuple[str, str]:
        return self._key, self.tally.to_text()

    def _complete_pages(self, left: Window) -> None:
        """Close the pages so far; around *left*, and around the slice's end, some records come once more."""
        limits = (left.start, left.end, self._end)
        edge = {**self.tally.edge, **self._slice}
        near = {
            moment for moment in set(edge.values()) if any(abs(moment - limit) <= _AROUND for limit in limits)
        }
        self.tally = replace(
            self.tally,
            read=self.tally.read + len(self._slice),
            edge={record_id: moment for record_id, moment in edge.items() if moment in near},
        )
        self._slice = {}

    def _complete_slice(self, position: datetime) -> None:
        """Close the slice; around its end, the next one returns some of its records once more."""
        edge = {**self.tally.edge, **self._slice}
        self.tally = replace(
            self.tally,
            position=position,
            slices=self.tally.slices + 1,
            read=self.tally.read + len(self._slice),
            edge={record_id: moment for record_id, moment in edge.items() if moment >= position - PAD},
        )
        self._delivered = {
            record_id: moment for record_id, moment in self._delivered.items() if moment >= position - PAD
        }
        self._slice = {}


def _before(floor: datetime, comparisons: Sequence[Comparison], fallback: datetime) -> int:
    new = [comparison.revision for comparison in comparisons if comparison.new]
    return sum(time_of(revision.record, fallback) < floor for revision in new if revision is not None)
