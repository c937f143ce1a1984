"""Passes each fact to log, metrics and status. An error in here never reaches the reporting component."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from datetime import timedelta

from connector.facts import Fact, LeaseExpired, LeaseReleased
from connector.leases import account_lease, output_lease
from connector.model import Backlog, Feed, JsonObject, Outline
from connector.telemetry.logs import Logs
from connector.telemetry.metrics import Metrics
from connector.telemetry.status import Status


class Telemetry:
    """The ``observe`` of the process, with the log, metrics and status behind it; for the main loop only."""

    def __init__(
        self,
        logs: Logs,
        metrics: Metrics,
        status: Status,
        limits: Mapping[str, Backlog],
        mask: Callable[[str], str] = str,
    ) -> None:
        """*mask* removes secrets from every text of a fact before anything shows it."""
        self._mask = mask
        self._logs = logs
        self._metrics = metrics
        self._status = status
        self._limits = dict(limits)
        metrics.accounts(status.names)

    def watch(
        self,
        logs: Logs,
        feeds: Mapping[Feed, timedelta],
        limits: Mapping[str, Backlog],
        names: Mapping[str, str],
        mask: Callable[[str], str] = str,
    ) -> None:
        """Switch to another configuration; *feeds*, *limits* and *names* as for ``Status``."""
        gone = self._status.watched()
        self._logs, self._limits, self._mask = logs, dict(limits), mask
        self._status.watch(feeds, limits, names)
        self._metrics.forget(
            feeds=gone.feeds - feeds.keys(),
            outputs=gone.outputs - limits.keys(),
            accounts=gone.accounts - names.keys(),
        )
        self._metrics.accounts(names)
        for feed, sweep in gone.failing:
            if feed in feeds:
                self._metrics.renew_sweep(feed, sweep)
        for output in gone.outputs & limits.keys():
            self._metrics.renew(output)

    def observe(self, fact: Fact) -> None:
        """Take *fact*; never raises (``interfaces.Observe``)."""
        try:
            fact = self._masked(fact)
            self._metrics.take(fact)
            self._status.take(fact)
            self._logs.take(fact)
            if isinstance(fact, (LeaseReleased, LeaseExpired)):
                self._forget_lease(fact.lease)
        except Exception as error:  # noqa: BLE001, telemetry must not stop what it watches
            with suppress(Exception):
                self._logs.failed(fact.event, type(error).__name__)

    def _forget_lease(self, lease: str) -> None:
        """Drop the series of work that another replica does now: they would look as if it stood still."""
        watched = self._status.watched()
        self._metrics.forget(
            feeds=[feed for feed in watched.feeds if account_lease(feed.account) == lease],
            outputs=[output for output in watched.outputs if output_lease(output) == lease],
            accounts=[],
        )

    def _masked(self, fact: Fact) -> Fact:
        changed: dict[str, object] = {}
        for field in fields(fact):
            value = getattr(fact, field.name)
            if isinstance(value, str):
                masked: object = self._mask(value)
            elif isinstance(value, tuple) and value and isinstance(value[0], str):
                masked = tuple(self._mask(item) if isinstance(item, str) else item for item in value)
            else:
                continue
            if masked != value:
                changed[field.name] = masked
        return replace(fact, **changed) if changed else fact

    def outline(self, outline: Outline) -> None:
        """Update the sizes of the journal."""
        watched = self._status.watched().feeds
        feeds = tuple(feed for feed in outline.feeds if feed.feed in watched)
        self._metrics.outline(replace(outline, feeds=feeds), self._limits)
        self._status.outline(outline)

    def snapshot(self) -> JsonObject:
        """The status as JSON values."""
        return self._status.snapshot()
