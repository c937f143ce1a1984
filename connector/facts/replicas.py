"""Facts about the replicas that share a journal, and their leases."""

from __future__ import annotations

from typing import ClassVar

from connector.facts.base import Fact, Level, fact
from connector.leases import Replicas


@fact
class LeaseTaken(Fact):
    """This replica took a lease and does its work from now on."""

    event: ClassVar[str] = "lease_taken"
    level: ClassVar[Level] = "info"

    lease: str
    token: int


@fact
class LeaseReleased(Fact):
    """This replica gave a lease back: it ends, or another replica should do the work."""

    event: ClassVar[str] = "lease_released"
    level: ClassVar[Level] = "info"

    lease: str


@fact
class LeaseExpired(Fact):
    """This replica lost a lease that it could not renew in time, and stopped its work. Nothing is lost."""

    event: ClassVar[str] = "lease_expired"
    level: ClassVar[Level] = "warning"

    lease: str
    reason: str


@fact
class ReplicasSeen(Fact):
    """Which replicas live and who holds which lease, as the database says."""

    event: ClassVar[str] = "replicas_seen"

    replica: str
    view: Replicas
    held: tuple[str, ...]
