"""From the journal to one output: read, map, batch, send, decide, acknowledge. One worker per output."""

from __future__ import annotations

from connector.delivery.heartbeat import Heartbeat
from connector.delivery.reader import Emit, Shrink
from connector.delivery.retry_policy import Policy
from connector.delivery.worker import Deliverer, Options, State

__all__ = ["Deliverer", "Emit", "Heartbeat", "Options", "Policy", "Shrink", "State"]
