"""Enrichment of a feed's revisions: asked for before the journal, completed at a revisit.

A new or changed record carries what further endpoints say of it in the same revision. Where some did not
answer in time, the revision says so and goes out; the record's row remembers it, and whoever reads the
record next after it passed an age of revisiting asks once more, until nothing is missing. What an endpoint
then says for the first time is a revision of its own: the same state, the whole enrichment. What is missing
can only become less.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from connector.collect.revisions import ENRICHMENT_PENDING, Comparison, digest_of, plain
from connector.interfaces import INCOMPLETE, Enricher
from connector.model import Body, Feed, Record, Revision, Seen, Window

_MISSING, _AGE = "missing", "age"


@dataclass(frozen=True, slots=True)
class Visit:
    """A look at records: for which feed, in which window, when."""

    feed: Feed
    window: Window
    at: datetime


@dataclass(slots=True)
class PageEnrichment:
    """What was said of the records of one page (``None``: nobody wants it), and whom to ask next."""

    found: dict[str, Body | None] = field(default_factory=dict)
    asking: dict[str, Record] = field(default_factory=dict)


class Enrichment:
    """Enriches findings; without an *enricher* it leaves them as they are. *ages* are those of revisits."""

    def __init__(self, enricher: Enricher | None, ages: Iterable[timedelta] = ()) -> None:
        self._enricher = enricher
        self._ages = tuple(int(age.total_seconds()) for age in ages)

    async def ask(self, told: PageEnrichment) -> None:
        """Ask for all of ``told.asking``."""
        asking, told.asking = told.asking, {}
        if self._enricher is None or not asking:
            return
        found = await self._enricher.enrich(list(asking.values()))
        told.found.update({identity: found.get(identity) for identity in asking})

    def settle(
        self, record: Record, known: Seen | None, comparison: Comparison, visit: Visit, told: PageEnrichment
    ) -> Comparison:
        """Return *finding* with what was *told*; a record to ask for first is noted in ``told.asking``.

        Args:
            record: as it is now.
            known: its row before *finding*.
            comparison: what comparing both made of it.
            visit: who found it.
            told: what is known of the page's records by now.
        """
        revision, row = comparison.revision, comparison.seen or known
        if self._enricher is None or row is None:
            return comparison
        age = self._age(row, visit.at)
        if revision is None and not (is_enrichment_pending(row) and age > _mark(row)[_AGE]):
            return comparison
        if record.id not in told.found:
            told.asking[record.id] = record
            return comparison
        found = told.found[record.id]
        if revision is None:
            return _completed(record, replace(row, until=max(row.until, visit.window.end)), found, age, visit)
        if not found:
            return comparison
        missing = _missing(found)
        richer = replace(comparison, revision=replace(revision, enrichment=found))
        # What is only told again leaves its row as it is: what is missing there is still completed.
        return (
            richer
            if comparison.again
            else replace(richer, seen=_remember(row, missing, age) if missing else row)
        )

    def _age(self, row: Seen, at: datetime) -> int:
        """The age of revisiting that the record passed last, in seconds; 0 before the first."""
        passed = (at - row.time).total_seconds()
        return max((age for age in self._ages if age <= passed), default=0)


def is_enrichment_pending(row: Seen) -> bool:
    """Whether endpoints are still to be asked for the record of *row*."""
    return ENRICHMENT_PENDING in row.state


def _completed(record: Record, row: Seen, found: Body | None, age: int, visit: Visit) -> Comparison:
    before = frozenset(_mark(row)[_MISSING])
    missing = frozenset() if found is None else _missing(found)
    if not missing < before:
        return Comparison(seen=_remember(row, before, age))
    if found is None or not any(name in found for name in before - missing):
        return Comparison(seen=_remember(row, missing, age))
    number, state = row.number + 1, plain(row.state)
    revision = Revision(
        visit.feed,
        record,
        digest_of({**state, ENRICHMENT_PENDING: sorted(found.keys() - {INCOMPLETE})}),
        number,
        visit.at,
        previous={},
        enrichment=found,
        occurrence=row.occurrences.get(row.digest, 1),
    )
    return Comparison(revision, _remember(replace(row, number=number), missing, age), completes=True)


def _missing(found: Body) -> frozenset[str]:
    return frozenset(found.get(INCOMPLETE, ()))


def _mark(row: Seen) -> Body:
    mark: Body = row.state[ENRICHMENT_PENDING]
    return mark


def _remember(row: Seen, missing: Collection[str], age: int) -> Seen:
    state = plain(row.state)
    if missing:
        # Few different ones: rows share their states in the journal.
        state = {**state, ENRICHMENT_PENDING: {_MISSING: sorted(missing), _AGE: age}}
    return replace(row, state=state)
