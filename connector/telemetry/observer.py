"""One fact in, log line, metrics and status out. Whatever goes wrong in here stays in here."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from connector.facts import Fact
from connector.model import Backlog, JsonObject, Outline
from connector.telemetry.logs import Logs
from connector.telemetry.metrics import Metrics
from connector.telemetry.status import Status


class Telemetry:
    """The process's ``observe`` and what it tells; for the main loop only."""

    def __init__(self, logs: Logs, metrics: Metrics, status: Status, limits: Mapping[str, Backlog]) -> None:
        self._logs = logs
        self._metrics = metrics
        self._status = status
        self._limits = dict(limits)

    def observe(self, fact: Fact) -> None:
        """Take *fact*; never raises (``interfaces.Observe``)."""
        try:
            self._metrics.take(fact)
            self._status.take(fact)
            self._logs.take(fact)
        except Exception as error:  # noqa: BLE001, telemetry must not stop what it watches
            sys.stderr.write(f"telemetry: {type(error).__name__} while taking {type(fact).__name__}\n")

    def outline(self, outline: Outline) -> None:
        """Take the journal's sizes."""
        self._metrics.outline(outline, self._limits)
        self._status.outline(outline)

    def snapshot(self) -> JsonObject:
        """The status as JSON values."""
        return self._status.snapshot()
