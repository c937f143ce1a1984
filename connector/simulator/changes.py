"""Changes to a message after delivery: pure functions from a record to the fields that change."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from connector.simulator.message import Version
from connector.simulator.values import Body, Fields, span, zoned

Change = Callable[[Body, int], Fields]
"""Takes the record and the time in microseconds; returns the fields that differ afterwards."""

ANALYST: Final = "soc@corp.example"


@dataclass(frozen=True, slots=True)
class Changes:
    """Which share of the messages changes over time.

    Args:
        share: share of changing messages.
        earliest: shortest time after scanning.
        latest: longest time after scanning.
        removed: share of those that are deleted instead.
    """

    share: float = 0.0
    earliest: timedelta = timedelta(seconds=30)
    latest: timedelta = timedelta(days=2)
    removed: float = 0.05


def logged(body: Body, operation: str, at: int, status: str = "OK", **properties: str) -> list[Body]:
    """Return the action log with one more entry."""
    entry = {
        "completed_at": zoned(at), "completed_timestamp": zoned(at)[:19],
        "operation": operation, "properties": properties, "status": status,
    }  # fmt: skip
    return [*(body.get("action_log") or []), entry]


def operated(body: Body, operation: str) -> list[str]:
    """Return the operations after delivery with *operation* among them."""
    done = list(body.get("post_delivery_operations") or [])
    return done if operation in done else [*done, operation]


def delivery_status(body: Body, new: str, *replaced: str) -> list[str]:
    """Return the delivery status with *new* instead of *replaced*."""
    kept = [status for status in body.get("delivery_status") or [] if status not in {new, *replaced}]
    return [*kept, new]


def _move(body: Body, at: int) -> Fields:
    return {
        "post_delivery_operations": operated(body, "MOVE"),
        "delivery_status": delivery_status(body, "moved", "move_failed", "queued"),
        "action_log": logged(body, "MOVE", at, folder="JunkEmail", requested_by=ANALYST),
    }


def _move_failed(body: Body, at: int) -> Fields:
    return {
        "delivery_status": delivery_status(body, "move_failed"),
        "action_log": logged(body, "MOVE", at, "ErrorItemNotFound", folder="JunkEmail"),
    }


def _release(body: Body, at: int) -> Fields:
    return {
        "is_quarantined": False,
        "post_delivery_operations": operated(body, "QUARANTINE_RELEASE"),
        "delivery_status": delivery_status(body, "delivered", "quarantined", "queued"),
        "action_log": logged(body, "QUARANTINE_RELEASE", at, requested_by=ANALYST),
    }


def _quarantine(body: Body, at: int) -> Fields:
    del at
    return {"is_quarantined": True, "delivery_status": delivery_status(body, "quarantined", "delivered")}


def _clear(body: Body, at: int) -> Fields:
    properties = {**(body.get("properties") or {}), "allowlisted_pattern_type": "quarantine_release"}
    return {
        "final_disposition": "NONE", "is_quarantined": False,
        "threat_categories": [], "properties": properties,
        "action_log": logged(body, "RECLASSIFY", at, requested_by=ANALYST),
    }  # fmt: skip


def _mark_malicious(body: Body, at: int) -> Fields:
    return {
        "final_disposition": "MALICIOUS", "threat_categories": ["CredentialHarvester"],
        "alert_id": body.get("alert_id") or str(body["id"]).rpartition("-")[0],
        "action_log": logged(body, "RECLASSIFY", at, requested_by=ANALYST),
    }  # fmt: skip


def _retro_scan(body: Body, at: int) -> Fields:
    moved = _move(body, at)
    return {**_mark_malicious(body, at), **moved, "delivery_mode": "RETRO_SCAN"}


def _preview(body: Body, at: int) -> Fields:
    return {
        "post_delivery_operations": operated(body, "PREVIEW"),
        "action_log": logged(body, "PREVIEW", at, requested_by=ANALYST),
    }


def _submit(body: Body, at: int) -> Fields:
    return {
        "is_phish_submission": True,
        "post_delivery_operations": operated(body, "SUBMISSION"),
        "action_log": logged(body, "SUBMISSION", at, requested_by="alice.example@corp.example"),
    }


def _defer(body: Body, at: int) -> Fields:
    del at
    return {"delivery_status": delivery_status(body, "deferred", "queued")}


def _deliver(body: Body, at: int) -> Fields:
    del at
    return {"delivery_status": delivery_status(body, "delivered", "deferred", "queued")}


def _bounce(body: Body, at: int) -> Fields:
    del at
    return {"delivery_status": delivery_status(body, "bounced", "deferred", "queued")}


CHANGES: Final[Mapping[str, Change]] = {
    "move": _move, "move_failed": _move_failed, "release": _release, "quarantine": _quarantine,
    "clear": _clear, "mark_malicious": _mark_malicious, "retro_scan": _retro_scan, "preview": _preview,
    "submit": _submit, "defer": _defer, "deliver": _deliver, "bounce": _bounce,
}  # fmt: skip
"""Changes by name. ``clear`` makes a record leave a search for detections, ``mark_malicious`` enter it."""

_STORIES: Final = {
    "held": (("release",), ("release", "quarantine", "release"), ("preview", "release"), ("clear",)),
    "queued": (("deliver",), ("defer", "deliver"), ("defer", "bounce")),
    "detected": (("move",), ("move_failed", "move"), ("clear",), ("submit", "clear"), ("preview", "move")),
    "clean": (("retro_scan",), ("submit",), ("submit", "mark_malicious", "clear"), ("preview",)),
}


def plan(body: Body, rng: random.Random, scanned: int, changes: Changes) -> tuple[list[Version], int | None]:
    """Plan the future of a message: its versions, and when it is deleted, if it is."""
    low, high = span(changes.earliest), max(span(changes.latest), span(changes.earliest) + 1)
    if rng.random() < changes.removed:
        return [Version(0)], scanned + _when(rng, low, high)
    steps = rng.choice(_STORIES[_situation(body)])
    moments = sorted(scanned + _when(rng, low, high) for _ in steps)
    versions = [Version(0)]
    for name, at in zip(steps, moments, strict=True):
        versions.append(changed(body, versions[-1], CHANGES[name], at))
    return versions, None


def changed(body: Body, last: Version, change: Change, at: int) -> Version:
    """Return the version after *change*; *body* is the message as first written."""
    return Version(at, {**last.fields, **change({**body, **last.fields}, at)})


def _situation(body: Body) -> str:
    if body["is_quarantined"]:
        return "held"
    if body["delivery_status"] == ["queued"]:
        return "queued"
    return "detected" if body["final_disposition"] not in {"NONE", None} else "clean"


def _when(rng: random.Random, low: int, high: int) -> int:
    """Draw a delay, log-uniform between *low* and *high*: most changes come soon, a few late."""
    low = max(low, 1)
    return int(low * (high / low) ** rng.random())
