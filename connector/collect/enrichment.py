"""Enriches the revisions of a feed: fetched before they are journaled, completed at a revisit.

A new or changed record carries the answers of further endpoints in the same revision. Where an endpoint did
not answer in time, the revision says so and is delivered without it. The record's row remembers what is
missing, and the first read after the record passes the next revisit age asks again, until nothing is
missing. An answer that arrives later becomes a revision of its own: the same state with the whole
enrichment. The set of missing endpoints only ever shrinks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import field, replace
from datetime import datetime, timedelta

from connector.collect.revisions import (
    ENRICHMENT_PENDING,
    Comparison,
    digest_of,
    shares_its_id,
    without_marks,
)
from connector.interfaces import INCOMPLETE, Enricher
from connector.model import Body, Feed, Record, Revision, Seen, Window
from connector.values import dataclass

_MISSING, _AGE = "missing", "age"


@dataclass(frozen=True, slots=True)
class Visit:
    """One read of records: for which feed, of which window, when."""

    feed: Feed
    window: Window
    at: datetime


@dataclass(slots=True)
class PageEnrichment:
    """Enrichment of the records of one page by id (``None``: not wanted), and the records still to fetch."""

    answers: dict[str, Body | None] = field(default_factory=dict)
    pending: dict[str, Record] = field(default_factory=dict)


class Enrichment:
    """Enriches findings; without an *enricher* it leaves them as they are. *ages* are those of revisits."""

    def __init__(self, enricher: Enricher | None, ages: Iterable[timedelta] = ()) -> None:
        self._enricher = enricher
        self._ages = tuple(int(age.total_seconds()) for age in ages)

    async def fetch(self, page: PageEnrichment) -> None:
        """Fetch the enrichment of every record that is pending on *page*."""
        pending, page.pending = page.pending, {}
        if self._enricher is None or not pending:
            return
        answers = await self._enricher.enrich(list(pending.values()))
        page.answers.update({record_id: answers.get(record_id) for record_id in pending})

    def apply(
        self, record: Record, known: Seen | None, comparison: Comparison, visit: Visit, page: PageEnrichment
    ) -> Comparison:
        """Return *comparison* with the enrichment from *page*; what has to be fetched first becomes pending.

        Args:
            record: as it is now.
            known: its row before *comparison*.
            comparison: the outcome of comparing both.
            visit: which read found it.
            page: the enrichment known so far.
        """
        revision, row = comparison.revision, comparison.seen or known
        if self._enricher is None or row is None or shares_its_id(record.id):
            # The endpoints go by the id alone, and could answer for the other message.
            return comparison
        age = self._age(row, visit.at)
        is_due = is_enrichment_pending(row) and age > _mark(row)[_AGE]
        if revision is None and not is_due:
            return comparison
        if record.id not in page.answers:
            page.pending[record.id] = record
            return comparison
        answer = page.answers[record.id]
        if revision is None:
            row = replace(row, until=max(row.until, visit.window.end))
            return _completed(record, row, answer, age, visit)
        if answer:
            missing = _missing(answer)
            # A redelivery leaves its row alone: enrichment that is missing there is still completed later.
            row = _remember(row, missing, age) if missing else row
            seen = comparison.seen if comparison.again else row
            return replace(comparison, revision=replace(revision, enrichment=answer), seen=seen)
        return comparison

    def _age(self, row: Seen, at: datetime) -> int:
        """The revisit age that the record passed last, in seconds; 0 before the first."""
        passed = (at - row.time).total_seconds()
        return max((age for age in self._ages if age <= passed), default=0)


def is_enrichment_pending(row: Seen) -> bool:
    """Whether an endpoint has not answered yet for the record of *row*."""
    return ENRICHMENT_PENDING in row.state


def _completed(record: Record, row: Seen, answer: Body | None, age: int, visit: Visit) -> Comparison:
    before = frozenset(_mark(row)[_MISSING])
    missing = frozenset() if answer is None else _missing(answer)
    if not missing < before:
        return Comparison(seen=_remember(row, before, age))
    if answer is None or not any(name in answer for name in before - missing):
        return Comparison(seen=_remember(row, missing, age))
    number, state = row.number + 1, without_marks(row.state)
    revision = Revision(
        visit.feed,
        record,
        digest_of({**state, ENRICHMENT_PENDING: sorted(answer.keys() - {INCOMPLETE})}),
        number,
        visit.at,
        previous={},
        enrichment=answer,
        occurrence=row.occurrences.get(row.digest, 1),
    )
    return Comparison(revision, _remember(replace(row, number=number), missing, age), completes=True)


def _missing(answer: Body) -> frozenset[str]:
    return frozenset(answer.get(INCOMPLETE, ()))


def _mark(row: Seen) -> Body:
    mark: Body = row.state[ENRICHMENT_PENDING]
    return mark


def _remember(row: Seen, missing: Collection[str], age: int) -> Seen:
    state = {name: value for name, value in row.state.items() if name != ENRICHMENT_PENDING}
    if missing:
        # Sorted and without times: rows share equal states in the journal, so there must be few different
        # ones.
        state = {**state, ENRICHMENT_PENDING: {_MISSING: sorted(missing), _AGE: age}}
    return replace(row, state=state, mark=b"" if missing else row.mark)
