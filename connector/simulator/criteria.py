"""Parses the parameters of a search as the API does, and refuses what the API refuses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from connector.simulator.behaviour import Behaviour
from connector.simulator.envelope import ApiProblem
from connector.simulator.values import SECOND, Era, micros, span

DISPOSITIONS: Final = ("MALICIOUS", "SUSPICIOUS", "SPOOF", "SPAM", "BULK", "NONE")
STATUSES: Final = (
    "delivered", "moved", "quarantined", "rejected", "deferred", "bounced", "queued", "move_failed",
)  # fmt: skip
ACTIONS: Final = {
    "PREVIEW": "PREVIEW", "QUARANTINE_RELEASED": "QUARANTINE_RELEASE", "MOVED": "MOVE",
    "SUBMITTED": "SUBMISSION",
}  # fmt: skip

_ALWAYS = {
    "start", "end", "cursor", "per_page", "detections_only", "final_disposition", "message_action",
    "alert_id", "metric", "query", "domain", "recipient", "sender", "subject", "message_id",
}  # fmt: skip
_KNOWN: Final[dict[Era, frozenset[str]]] = {
    "reference": frozenset(_ALWAYS | {"page", "action_log", "exact_subject", "submissions"}),
    "current": frozenset(_ALWAYS | {"page", "delivery_status", "smtp_helo_ip"}),
    "sunset": frozenset(_ALWAYS | {"delivery_status", "smtp_helo_ip"}),
}
_TEXTS: Final = (
    "alert_id", "query", "domain", "recipient", "sender", "subject", "exact_subject", "message_id",
    "smtp_helo_ip",
)  # fmt: skip
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_UNBOUND: Final = frozenset({"cursor", "per_page", "page"})


class InvalidParameter(Exception):
    """A parameter is invalid."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.problem = ApiProblem(1004, f"{name}: {message}", pointer=f"/query/{name}")


@dataclass(frozen=True, slots=True)
class Criteria:
    """Parsed parameters of a search. *start* and *end* are microseconds, half-open, all switches applied."""

    start: int
    end: int
    length: int
    per_page: int
    detections_only: bool
    digest: str
    final_disposition: str | None = None
    delivery_status: str | None = None
    operation: str | None = None
    submissions: bool = False
    with_action_log: bool = True
    texts: dict[str, str] = field(default_factory=dict)


def parse(query: Iterable[tuple[str, str]], behaviour: Behaviour, now: int) -> Criteria:
    """Read *query*; raises ``InvalidParameter``."""
    parameters = _known(query, behaviour)
    end = _time(parameters, "end", now)
    start = _time(parameters, "start", now - span(behaviour.default_window))
    if start > end:
        raise InvalidParameter("start", "must not be after end")
    if start > now and behaviour.start_in_future == "refused":
        raise InvalidParameter("start", "must not be in the future")
    if behaviour.retention and start < now - span(behaviour.retention):
        if behaviour.beyond_retention == "refused":
            raise InvalidParameter("start", "is older than the retention period")
        start = now - span(behaviour.retention)
    low, high = _bounds(start, end, behaviour)
    return Criteria(
        start=low,
        end=max(low, high),
        length=end - start,
        per_page=_per_page(parameters, behaviour),
        detections_only=_boolean(parameters, "detections_only", default=True),
        digest="&".join(
            sorted(f"{name}={value}" for name, value in parameters.items() if name not in _UNBOUND)
        ),
        final_disposition=_one_of(parameters, "final_disposition", DISPOSITIONS),
        delivery_status=_one_of(parameters, "delivery_status", STATUSES),
        operation=_operation(parameters, behaviour.era),
        submissions=_boolean(parameters, "submissions", default=False),
        with_action_log=_boolean(parameters, "action_log", default=True),
        texts={name: parameters[name] for name in _TEXTS if parameters.get(name)},
    )


def _known(query: Iterable[tuple[str, str]], behaviour: Behaviour) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in query:
        if name not in _KNOWN[behaviour.era]:
            if behaviour.unknown_parameter == "refused":
                raise InvalidParameter(name, "is not a parameter")
            continue
        if name in parameters:
            raise InvalidParameter(name, "must not be repeated")
        parameters[name] = value
    return parameters


def _bounds(start: int, end: int, behaviour: Behaviour) -> tuple[int, int]:
    """Turn both ends into a half-open range of record times.

    With whole seconds, every time in [s, s + 1 s) counts as s.
    """
    unit = 1
    if behaviour.granularity == "second":
        unit = SECOND
        start, end = start // SECOND * SECOND, end // SECOND * SECOND
    low = start if behaviour.start == "inclusive" else start + unit
    high = end + unit if behaviour.end == "inclusive" else end
    return low, high


def _time(parameters: dict[str, str], name: str, default: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    if not _TIME.fullmatch(text):
        raise InvalidParameter(name, "must be an RFC 3339 date-time with a zone")
    try:
        return micros(datetime.fromisoformat(text.upper()).astimezone(UTC))
    except (ValueError, OverflowError):
        raise InvalidParameter(name, "is not a valid date-time") from None


def _per_page(parameters: dict[str, str], behaviour: Behaviour) -> int:
    text = parameters.get("per_page")
    if text is None:
        return behaviour.default_per_page
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= behaviour.max_per_page:
        raise InvalidParameter("per_page", f"must be a number from 1 to {behaviour.max_per_page}")
    return int(text)


def _boolean(parameters: dict[str, str], name: str, *, default: bool) -> bool:
    text = parameters.get(name)
    if text is None:
        return default
    if text not in {"true", "false"}:
        raise InvalidParameter(name, "must be true or false")
    return text == "true"


def _one_of(parameters: dict[str, str], name: str, allowed: Iterable[str]) -> str | None:
    text = parameters.get(name)
    if text is not None and text not in allowed:
        raise InvalidParameter(name, f"must be one of {', '.join(allowed)}")
    return text


def _operation(parameters: dict[str, str], era: Era) -> str | None:
    allowed = [name for name in ACTIONS if name != "SUBMITTED" or era == "reference"]
    action = _one_of(parameters, "message_action", allowed)
    return ACTIONS[action] if action else None
