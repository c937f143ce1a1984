"""From the journal to one output: read, map, batch, send, decide, acknowledge. One worker per output."""

from __future__ import annotations

from connector.delivery.context import OnSent, ignore_sent
from connector.delivery.heartbeat import Heartbeat
from connector.delivery.reader import Correction, Emit, ServerClock, Shrink
from connector.delivery.retry_policy import RetryPolicy
from connector.delivery.throttle import GroupBy
from connector.delivery.worker import Deliverer, DeliveryOptions, DeliveryState

__all__ = [
    "Correction",
    "Deliverer",
    "DeliveryOptions",
    "DeliveryState",
    "Emit",
    "GroupBy",
    "Heartbeat",
    "OnSent",
    "RetryPolicy",
    "ServerClock",
    "Shrink",
    "ignore_sent",
]
