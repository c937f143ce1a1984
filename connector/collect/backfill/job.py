"""A backfill as a value that is stored as JSON: what was requested, how far it is, what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields, replace
from datetime import datetime, timedelta

import orjson

from connector.model import JsonObject, Window
from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """How far a backfill is and what it has found so far.

    Args:
        position: everything before it is read.
        slices: complete slices.
        read: records in them, each counted once.
        new: revisions of records never seen before, or whose seen rows have expired.
        changed: revisions of records that had changed.
        completed: revisions that added enrichment that was missing.
        again: revisions delivered before, delivered once more because everything was requested.
        before_floor: how many of the new ones lie before the floor of the seen rows.
        beyond: where the API's retention begins, when the backfill reached further back.
        edge: times by id of records around *position* that are counted and will be returned once more.
    """

    position: datetime
    slices: int = 0
    read: int = 0
    new: int = 0
    changed: int = 0
    completed: int = 0
    again: int = 0
    before_floor: int = 0
    beyond: datetime | None = None
    edge: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def known(self) -> int:
        """Records without anything new, which were not delivered."""
        return max(0, self.read - self.revisions)

    @property
    def revisions(self) -> int:
        """Revisions handed to the outputs."""
        return self.new + self.changed + self.completed + self.again

    def to_json(self) -> JsonObject:
        """All fields, for JSON."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def to_text(self) -> str:
        """The stored form."""
        return orjson.dumps(self.to_json()).decode()

    @classmethod
    def of_text(cls, text: str) -> Tally:
        """Read what ``to_text`` gave."""
        return cls.of_json(orjson.loads(text))

    @classmethod
    def of_json(cls, value: JsonObject) -> Tally:
        """Read what ``to_json`` gave."""
        beyond = value["beyond"]
        edge = {name: datetime.fromisoformat(moment) for name, moment in value["edge"].items()}
        moments = {
            "position": datetime.fromisoformat(value["position"]),
            "beyond": None if beyond is None else datetime.fromisoformat(beyond),
        }
        return cls(**{**value, **moments, "edge": edge})


@dataclass(frozen=True, slots=True)
class Job:
    """One backfill of a feed.

    Args:
        number: counts a feed's backfills.
        asked: start and end in the words of the request; the same words mean this job.
        window: what these words meant at the time of the request.
        everything: deliver known records again, too.
        done: its tally, once it ended.
        ended: when it ended.
    """

    number: int
    asked: tuple[str, str]
    window: Window
    everything: bool = False
    done: Tally | None = None
    ended: datetime | None = None

    def is_asked(self, asked: tuple[str, str], window: Window, *, everything: bool) -> bool:
        """Whether a request means this job."""
        return self.everything == everything and (self.asked == asked or self.window == window)

    def to_json(self) -> JsonObject:
        """All fields, for JSON."""
        return {
            "number": self.number,
            "asked": self.asked,
            "start": self.window.start,
            "end": self.window.end,
            "everything": self.everything,
            "done": None if self.done is None else self.done.to_json(),
            "ended": self.ended,
        }

    @classmethod
    def of_json(cls, value: JsonObject) -> Job:
        """Read what ``to_json`` gave."""
        window = Window(datetime.fromisoformat(value["start"]), datetime.fromisoformat(value["end"]))
        done = None if value["done"] is None else Tally.of_json(value["done"])
        start, end = value["asked"]
        ended = datetime.fromisoformat(value["ended"]) if value.get("ended") else None
        return cls(value["number"], (start, end), window, value["everything"], done, ended)


_REMEMBERED = timedelta(days=1)
_KEPT = 10
"""Ended backfills whose summary is kept, for a client that lost its connection and asks later."""


@dataclass(frozen=True, slots=True)
class BackfillList:
    """The backfills of one feed, oldest first; *last* is the highest number ever assigned."""

    last: int = 0
    jobs: tuple[Job, ...] = ()

    @property
    def unfinished(self) -> tuple[Job, ...]:
        """Those queued or running, in the order of their requests."""
        return tuple(job for job in self.jobs if job.done is None)

    def recent(self, now: datetime) -> tuple[Job, ...]:
        """Those that ended within a day and may be requested once more."""
        return tuple(job for job in self.jobs if job.ended is not None and now - job.ended < _REMEMBERED)

    def find(self, number: int) -> Job | None:
        """The backfill *number*, if it is remembered."""
        return next((job for job in self.jobs if job.number == number), None)

    def match(self, asked: tuple[str, str], window: Window, *, everything: bool) -> Job | None:
        """The unfinished one that was requested like this."""
        jobs = self.unfinished
        return next((job for job in jobs if job.is_asked(asked, window, everything=everything)), None)

    def added(self, asked: tuple[str, str], window: Window, *, everything: bool) -> BackfillList:
        """The list with one more."""
        return BackfillList(self.last + 1, (*self.jobs, Job(self.last + 1, asked, window, everything)))

    def ended(self, number: int, done: Tally, at: datetime) -> BackfillList:
        """The list with *number* ended."""
        done = replace(done, edge={})
        jobs = tuple(replace(job, done=done, ended=at) if job.number == number else job for job in self.jobs)
        ended = [job for job in jobs if job.done is not None][:-_KEPT]
        return BackfillList(self.last, tuple(job for job in jobs if job not in ended))

    def without(self, number: int) -> BackfillList:
        """The list without *number*."""
        return BackfillList(self.last, tuple(job for job in self.jobs if job.number != number))

    def to_text(self) -> str:
        """The stored form."""
        jobs = [job.to_json() for job in self.jobs]
        return orjson.dumps({"last": self.last, "jobs": jobs}).decode()

    @classmethod
    def of_text(cls, text: str | None) -> BackfillList:
        """Read what ``to_text`` gave; ``None`` is an empty one."""
        if text is None:
            return cls()
        value = orjson.loads(text)
        return cls(value["last"], tuple(map(Job.of_json, value["jobs"])))
