"""Time limits of response actions. The defaults suit Cloudflare; tests shorten them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class ActionOptions:
    """How long things may take.

    Args:
        approval: how long an action waits for an approval before it expires.
        keep: how long an ended action is remembered, and with it its ``request_id``.
        start_within: how long an action may wait to be sent; later it would surprise.
        look_after: seconds after which an unknown outcome is looked up, time and again; the last one repeats.
        settle: how long after a request its effect must be visible; then it did not happen.
        retry: seconds until an action that could not be sent is tried again.
        chunk: most messages of one request to the API. Larger lists have failed for others.
        at_once: actions that run at the same time.
    """

    approval: timedelta = timedelta(hours=24)
    keep: timedelta = timedelta(days=90)
    start_within: timedelta = timedelta(minutes=15)
    look_after: tuple[float, ...] = (2.0, 5.0, 15.0, 60.0, 300.0)
    settle: timedelta = timedelta(minutes=30)
    retry: float = 5.0
    chunk: int = 50
    at_once: int = 4
