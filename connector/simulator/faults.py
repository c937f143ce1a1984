"""Faults a request can meet: scripted in order, or at random by rate."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from connector.simulator.exchange import WRITES, Kind
from connector.simulator.values import chance

ANSWERS: Final[Mapping[str, str]] = {
    "rate_limited": "429 with Retry-After: retry_after (default 300; -1: without the header)",
    "server_error": "a JSON error with status (default 500)",
    "html_error": "the edge's HTML page with status (default 502)",
    "edge_error": "an HTML page 1xxx (code 1015) with status (429) and Retry-After (30)",
    "refused": "a JSON error with status (default 400), code and text",
    "failure": "success:false in a 200",
    "null_result": "a 200 whose result is null",
    "not_json": "a 200 with an HTML page, as a captive portal sends it",
    "redirect": "a 302 to location",
}
"""Faults that replace the response."""

BODIES: Final[Mapping[str, str]] = {
    "cut_json": "a complete answer whose JSON stops half way",
    "wrong_type": "the right JSON called text/html",
    "bare": "an envelope without errors and messages",
    "no_info": "an envelope without result_info",
    "invalid_utf8": "bytes that are not UTF-8 in every subject",
    "lone_surrogate": "the escape of half a surrogate pair in every subject",
    "huge_number": "a number in the first record that no double can hold (1e400)",
    "oversized": "a body padded with size bytes of blanks (default 64 MiB)",
    "bad_gzip": "Content-Encoding: gzip on a body that is not gzip",
}
"""Faults that damage the body of a correct response."""

PAGES: Final[Mapping[str, str]] = {
    "repeat_page": "the page comes again under the next cursor",
    "repeat_cursor": "next is the cursor that was asked for (further pages only)",
    "empty_page": "no records, but a next that leads on",
    "small_page": "half as many records as asked for",
    "missing_next": "no next although more would follow",
    "lost_cursor": "the cursor is refused (further pages only)",
    "pending": "202 with Location, still pending for times polls (default 1)",
}
"""Faults of a search."""

TRANSPORT: Final[Mapping[str, str]] = {
    "reset": "the connection is reset instead of a response",
    "cut": "the connection is reset after half of the body",
    "slow": "the body takes seconds (default 5)",
    "delay": "the response starts after seconds (default 5)",
    "hang": "no response, the connection stays open for seconds (default 3600)",
}
"""Faults of the connection."""

EFFECTS: Final[Mapping[str, str]] = {
    "error_after_effect": "the change is made, but the answer is an error with status (default 500)",
    "late_effect": "a gateway time-out with status (default 504); the change is made after seconds (30)",
    "partial_rows": "a move or release fails for one recipient of each message",
    "missing_rows": "the change is made, but the answer leaves out the last row",
    "not_accepted": "a submission is answered with accepted:false for every message",
}
"""Faults of requests that change something. ``reset``, ``cut`` and ``hang`` also strike after the change."""

KINDS: Final[Mapping[str, str]] = {**ANSWERS, **BODIES, **PAGES, **EFFECTS, **TRANSPORT}
"""Every fault by name, with a description."""

_SUITS: Final[Mapping[str, frozenset[Kind]]] = {
    "error_after_effect": WRITES,
    "late_effect": frozenset({"move", "release", "submit"}),
    "partial_rows": frozenset({"move", "release"}),
    "missing_rows": frozenset({"move", "release", "submit"}),
    "not_accepted": frozenset({"submit"}),
}
_ONLY_NEXT: Final = frozenset({"repeat_cursor", "lost_cursor"})
_GROUPS: Final[Mapping[str, frozenset[str]]] = {
    "search": frozenset({"first", "next", "poll"}),
    "write": WRITES,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault by its name in ``KINDS``; ``None`` selects the default of that fault."""

    kind: str
    status: int | None = None
    code: int | None = None
    text: str | None = None
    retry_after: int | None = None
    seconds: float | None = None
    size: int | None = None
    times: int | None = None
    location: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; expected one of {', '.join(sorted(KINDS))}")

    def suits(self, kind: Kind) -> bool:
        """Return whether it can happen to a request of that kind."""
        if self.kind in _ONLY_NEXT:
            return kind == "next"
        if self.kind in EFFECTS:
            return kind in _SUITS[self.kind]
        return self.kind not in PAGES or kind in _GROUPS["search"]


@dataclass(slots=True)
class Faults:
    """Selects the fault of each request: scripted ones first, then random ones.

    Args:
        seed: seed of the random faults.
        rates_on: kind of request that meets random faults: ``search``, ``write``, ``any``, or one kind.
    """

    seed: int = 1
    rates_on: str = "search"
    _scripts: list[tuple[str, deque[Fault | None]]] = field(default_factory=list)
    _random: random.Random | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, faults: Iterable[Fault | str | None], on: str = "search") -> None:
        """Queue *faults* for the next requests of the kind *on*."""
        queue = deque(Fault(fault) if isinstance(fault, str) else fault for fault in faults)
        with self._lock:
            self._scripts.append((on, queue))

    def clear(self) -> None:
        """Drop all scripted faults."""
        with self._lock:
            self._scripts.clear()

    @property
    def left(self) -> int:
        """Number of scripted faults still queued."""
        return sum(fault is not None for _, queue in self._scripts for fault in queue)

    def take(self, kind: Kind, rates: Mapping[str | Fault, float]) -> Fault | None:
        """Return the fault that a request of that kind meets."""
        with self._lock:
            self._scripts = [(on, queue) for on, queue in self._scripts if queue]
            for on, queue in self._scripts:
                head = queue[0]
                if _meant(on, kind) and (head is None or head.suits(kind)):
                    return queue.popleft()
            return self._by_chance(kind, rates)

    def _by_chance(self, kind: Kind, rates: Mapping[str | Fault, float]) -> Fault | None:
        if not rates or not _meant(self.rates_on, kind):
            return None
        if self._random is None:
            self._random = chance(self.seed, "faults")
        met = None
        for fault, rate in rates.items():
            hit = self._random.random() < rate
            candidate = Fault(fault) if isinstance(fault, str) else fault
            if hit and met is None and candidate.suits(kind):
                met = candidate
        return met


def _meant(on: str, kind: Kind) -> bool:
    return on in {"any", kind} or kind in _GROUPS.get(on, ())
