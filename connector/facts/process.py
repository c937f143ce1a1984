"""Facts about the daemon: start, stop, configuration and worker failures."""

from __future__ import annotations

from typing import ClassVar

from connector.facts.base import Fact, Level, fact


@fact
class DaemonStarted(Fact):
    """The daemon is running."""

    event: ClassVar[str] = "daemon_started"
    level: ClassVar[Level] = "info"

    version: str
    accounts: int
    feeds: int
    outputs: int
    endpoint: str


@fact
class DaemonStopping(Fact):
    """The daemon is shutting down and delivers for at most *drain* seconds more."""

    event: ClassVar[str] = "daemon_stopping"
    level: ClassVar[Level] = "info"

    reason: str
    drain: float


@fact
class DaemonStopped(Fact):
    """The daemon has stopped. *undelivered* counts, per output, the revisions left for the next start."""

    event: ClassVar[str] = "daemon_stopped"
    level: ClassVar[Level] = "info"

    undelivered: tuple[tuple[str, int], ...]


@fact
class RunIncomplete(Fact):
    """`run --once` ended before everything was delivered; the next run continues where it stopped."""

    event: ClassVar[str] = "run_incomplete"
    level: ClassVar[Level] = "error"

    reason: str


@fact
class WorkerFailed(Fact):
    """A worker ended with an unexpected error and is restarted after *after* seconds."""

    event: ClassVar[str] = "worker_failed"
    level: ClassVar[Level] = "error"

    worker: str
    error: str
    after: float


@fact
class ActivitySummary(Fact):
    """What the last *seconds* brought, in one line. *fresh* counts feeds, such as "3 of 3".

    *new* and *changed* count records; *outputs* says per output what was sent and what waits.
    """

    event: ClassVar[str] = "summary"
    level: ClassVar[Level] = "info"

    seconds: float
    ready: bool
    fresh: str
    new: int
    changed: int
    outputs: tuple[str, ...]


@fact
class LoopLagMeasured(Fact):
    """The main loop is alive and ran *lag* seconds late."""

    event: ClassVar[str] = "loop_lag_measured"

    lag: float


@fact
class ConfigurationWarning(Fact):
    """The configuration is valid, but part of it may not do what was intended."""

    event: ClassVar[str] = "configuration_warning"
    level: ClassVar[Level] = "warning"

    message: str


@fact
class ConfigurationReloaded(Fact):
    """The new configuration is in effect. *changes* lists what was added, removed or changed."""

    event: ClassVar[str] = "configuration_reloaded"
    level: ClassVar[Level] = "info"

    accounts: int
    feeds: int
    outputs: int
    changes: tuple[str, ...]


@fact
class CertificateRenewed(Fact):
    """The files of the certificate under *setting* were replaced; new connections get the new one."""

    event: ClassVar[str] = "certificate_renewed"
    level: ClassVar[Level] = "info"

    setting: str


@fact
class CertificateRefused(Fact):
    """The files of the certificate under *setting* were replaced and cannot be used; the former one stays."""

    event: ClassVar[str] = "certificate_refused"
    level: ClassVar[Level] = "error"

    setting: str
    reason: str


@fact
class ConfigurationRefused(Fact):
    """The new configuration is invalid and was not applied; the previous one stays in effect."""

    event: ClassVar[str] = "configuration_refused"
    level: ClassVar[Level] = "error"

    problems: tuple[str, ...]
