"""``status`` rules of the http output: what an HTTP status means for a collector that differs from most."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import StringConstraints

from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.net.backoff import parse_retry_after
from connector.net.transport import Response

Action: TypeAlias = Literal["accept", "retry", "dead_letter", "hold"]
"""``dead_letter``: the batch is halved until the culprit is alone."""

Status = Annotated[str, StringConstraints(pattern="^([2-5][0-9]{2}|[2-5]xx)$")]
"""A status, or a class: ``4xx`` applies to statuses of that class without a rule of their own."""


def action_for(status: int, meanings: Mapping[str, Action]) -> Action | None:
    """What *meanings* says of *status*, if anything."""
    return meanings.get(str(status)) or meanings.get(f"{status // 100}xx")


def error_of(action: Action, answer: Response, description: str, now: datetime) -> DeliveryError | None:
    """What delivery has to do; ``None``: everything was accepted.

    *told* says in words what was answered.
    """
    if action == "retry":
        return Retryable(description, parse_retry_after(answer.headers.get("retry-after"), now))
    if action == "hold":
        return Hold(f"{description}; the output holds because its setting status says so")
    return Refused(description) if action == "dead_letter" else None
