"""The conservation oracle: what the simulator issued against what an output took.

It shares no code with the connector. A record in one of its states is *told* when a delivered event says
so; the oracle compares these revisions with the simulator's ledger:

- every record that a search finds now was told, and every state that was ever handed out;
- what was told last of a record is what is true now;
- no id was told that never existed, no body that the record never had, no state out of its order;
- what was told twice under one identity is counted, for the caller to hold against a bound.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Any

import orjson

from connector.simulator import Simulator

WATCHED = (
    "final_disposition",
    "is_quarantined",
    "delivery_status",
    "post_delivery_operations",
    "is_phish_submission",
    "threat_categories",
    "properties",
)


@dataclass(frozen=True, slots=True)
class ReportedRevision:
    """One delivered revision: the record's *body* as delivered; *gone*: the API no longer knows it."""

    id: str
    body: Mapping[str, Any]
    number: int
    identity: str
    gone: bool = False


@dataclass(slots=True)
class Verdict:
    """What is wrong, by id, and how often something was told twice."""

    lost: set[str] = field(default_factory=set)
    stale: set[str] = field(default_factory=set)
    untold: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    forged: set[str] = field(default_factory=set)
    disordered: set[str] = field(default_factory=set)
    repeats: int = 0

    @property
    def faults(self) -> dict[str, list[str]]:
        """What must be empty: the first few ids of each kind of fault."""
        kinds = ("lost", "stale", "untold", "unknown", "forged", "disordered")
        found = {kind: sorted(getattr(self, kind)) for kind in kinds}
        return {kind: [f"{len(ids)} ids", *ids[:5]] for kind, ids in found.items() if ids}


def revision_of(event: Mapping[str, Any]) -> ReportedRevision:
    """Read one event of the ``raw`` mapping."""
    own = event["connector"]
    body = {name: value for name, value in event.items() if name != "connector"}
    gone = bool((own.get("change") or {}).get("gone"))
    return ReportedRevision(event["id"], body, own["revision"], own["identity"], gone)


def revisions_in(lines: bytes) -> list[ReportedRevision]:
    """Read the whole lines of a file of ``raw`` events."""
    return [revision_of(orjson.loads(line)) for line in lines.split(b"\n")[:-1] if line]


def judge(
    simulator: Simulator,
    reported: Iterable[ReportedRevision],
    filters: Mapping[str, object],
    window: tuple[datetime, datetime],
    *,
    all_handed_out: bool = True,
    lean: bool = False,
) -> Verdict:
    """Compare what was *told*, in the order of delivery, with what a feed with *filters* had to tell.

    Args:
        simulator: who issued the records; its mail must not change any more.
        told: the deliveries of one output.
        filters: of the search.
        window: the time that the feed's live sweep has read to its end.
        all_handed_out: every state that left the simulator must have been told. Not so when the
            connector was killed: what it had in hand is asked for again, and may have changed by then.
        lean: the deliveries were mapped, which leaves out fields without a value.
    """
    ledger = simulator.ledger
    by_id: defaultdict[str, list[ReportedRevision]] = defaultdict(list)
    for revision in reported:
        by_id[revision.id].append(revision)
    asked = [*_single(filters)]
    verdict = Verdict(lost=set[str]().union(*(ledger.ids(one, window) for one in asked)) - by_id.keys())
    verdict.unknown = by_id.keys() - set[str]().union(*(ledger.ever(one) for one in asked))
    served: dict[str, frozenset[int]] = {}
    if all_handed_out:
        # What left the search is read together with messages that were never in it.
        for one in asked:
            for name, states in ledger.served({"detections_only": True, **one}).items():
                served[name] = served.get(name, frozenset()) | states
    verdict.untold = served.keys() - by_id.keys()
    for name in by_id.keys() - verdict.unknown:
        truth = _Truth(simulator, name, lean=lean)
        _judge_one(truth, by_id[name], served.get(name, frozenset()), verdict)
    return verdict


class _Truth:
    """One record in all its states until now."""

    def __init__(self, simulator: Simulator, name: str, *, lean: bool = False) -> None:
        self.name = name
        self.record = simulator.ledger.record(name)
        bodies = (simulator.ledger.body(name, state.number) for state in self.record.states)
        self.bodies: list[Any] = [orjson.loads(orjson.dumps(body)) for body in bodies]
        if lean:
            self.bodies = [_lean(body) for body in self.bodies]


def _single(filters: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """*filters* with one value each: several of one name are several searches."""
    values = [value if isinstance(value, tuple) else (value,) for value in filters.values()]
    return (dict(zip(filters, chosen, strict=True)) for chosen in product(*values))


def _judge_one(
    truth: _Truth, reported: Sequence[ReportedRevision], served: frozenset[int], verdict: Verdict
) -> None:
    first = list({revision.identity: revision for revision in reversed(reported)}.values())[::-1]
    verdict.repeats += len(reported) - len(first)
    numbers = [revision.number for revision in first]
    if numbers != sorted(set(numbers)):
        verdict.disordered.add(truth.name)
    last = first[-1]
    if (truth.record.gone is not None) != last.gone or not (last.gone or _same(last.body, truth.bodies[-1])):
        verdict.stale.add(truth.name)
    if any(not any(_same(revision.body, truth.bodies[state]) for revision in first) for state in served):
        verdict.untold.add(truth.name)
    at = 0
    for revision in first:
        if revision.gone:
            continue
        # Each revision is the record as it was, and none is older than the one before.
        if revision.body not in truth.bodies[at:]:
            verdict.forged.add(truth.name)
            return
        at = truth.bodies.index(revision.body, at)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two bodies are one state."""
    return one == other or _state(one) == _state(other)


def _state(body: Mapping[str, Any]) -> bytes:
    """What of a record is news when it changes: lists as sets, nothing is nothing."""
    return orjson.dumps({name: _plain(body.get(name)) for name in WATCHED}, option=orjson.OPT_SORT_KEYS)


def _lean(body: Mapping[str, Any]) -> dict[str, Any]:
    """*body* without fields that have no value; what is inside a field stays as it is."""
    return {key: value for key, value in body.items() if value not in (None, "", [], {})}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: inner for key, inner in ((k, _plain(v)) for k, v in value.items()) if inner} or None
    if isinstance(value, list):
        return sorted({orjson.dumps(_plain(item)).decode() for item in value}) or None
    return None if value in ("", None) else value
