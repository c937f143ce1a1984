"""Facts: what a person did through the operator's commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from connector.model import Feed


@dataclass(frozen=True, slots=True)
class OutputRewound:
    """An output goes back to *position* and sends *revisions* again."""

    output: str
    position: int
    revisions: int


@dataclass(frozen=True, slots=True)
class FeedForgotten:
    """A feed's checkpoints, gaps and seen rows were dropped: it starts anew."""

    feed: Feed
    rows: int


@dataclass(frozen=True, slots=True)
class DeadLettersReplayed:
    """An operator replayed *count* dead letters of an output."""

    output: str
    count: int


@dataclass(frozen=True, slots=True)
class DeadLettersPurged:
    """An operator deleted *count* dead letters of an output."""

    output: str
    count: int


OperatorFact: TypeAlias = OutputRewound | FeedForgotten | DeadLettersReplayed | DeadLettersPurged
