"""Facts: what the daemon itself did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class DaemonStarted:
    """All parts run."""

    version: str
    accounts: int
    feeds: int
    outputs: int
    endpoint: str


@dataclass(frozen=True, slots=True)
class DaemonStopping:
    """The daemon was asked to end."""

    reason: str
    drain: float


@dataclass(frozen=True, slots=True)
class DaemonStopped:
    """The daemon ended; *undelivered* counts revisions by output that wait for the next start."""

    undelivered: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """A supervised task ended with an error that nobody expected; it starts again."""

    worker: str
    error: str
    after: float


@dataclass(frozen=True, slots=True)
class LoopLagMeasured:
    """The main loop is alive."""

    lag: float


@dataclass(frozen=True, slots=True)
class ConfigurationWarning:
    """Something in the configuration that works but deserves a look."""

    message: str


@dataclass(frozen=True, slots=True)
class ConfigurationReloaded:
    """A changed configuration is in effect. *changes* names what is new, gone or different."""

    accounts: int
    feeds: int
    outputs: int
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConfigurationRefused:
    """A configuration that was to be reloaded is wrong; the former stays in effect, untouched."""

    problems: tuple[str, ...]


ProcessFact: TypeAlias = (
    DaemonStarted
    | DaemonStopping
    | DaemonStopped
    | WorkerFailed
    | LoopLagMeasured
    | ConfigurationWarning
    | ConfigurationReloaded
    | ConfigurationRefused
)
