"""Leases: which of several replicas does what. Data types, the interface, and how work is spread.

A lease is a row of the shared database with a name, a holder and a token. It is valid for ``TTL`` seconds on
the database's clock after each renewal; its token counts up with every holder. Whoever writes proves the
token in the same transaction (a fencing token), so that a former holder that was frozen or cut off writes
nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from connector.values import dataclass

TTL = 15.0
"""Seconds that a lease is valid without a renewal: how long work rests at most when a replica dies."""

RENEW = 5.0
"""Seconds between two renewals: two may fail."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A running process. *serves* are the leases that its configuration can use; *age* is in seconds."""

    id: str
    host: str
    process: int
    version: str
    serves: frozenset[str]
    age: float


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as the database has it.

    *holder* is a replica's id, ``None`` where it is free; *expires* and *age* are seconds from now and since
    the
    holder took it.
    """

    name: str
    holder: str | None
    token: int
    expires: float
    age: float


@dataclass(frozen=True, slots=True)
class Replicas:
    """Every live replica and every lease, at one look."""

    replicas: tuple[Replica, ...] = ()
    leases: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A command for every replica."""

    command: str
    arguments: Mapping[str, object]


class Leases(Protocol):
    """The leases of one replica. Methods raise ``JournalUnavailable`` at once while the database is away."""

    @property
    def replica(self) -> str:
        """The id of this replica; new with every start."""
        ...

    async def renew(self, serves: Sequence[str], held: Mapping[str, int]) -> Replicas:
        """Tell that this replica lives and can use *serves*; renew *held* (tokens by name); return what is.

        A lease of *held* that has another holder or token in the answer is lost.
        """
        ...

    async def take(self, names: Sequence[str]) -> Mapping[str, int] | None:
        """Take all of *names*, or none (``None``) where one is held by another; return the tokens by name."""
        ...

    async def release(self, held: Mapping[str, int]) -> None:
        """Give *held* back, so that another replica can take it at once."""
        ...

    async def leave(self) -> None:
        """This replica ends."""
        ...

    async def changed(self) -> None:
        """Wait until a lease was released or taken somewhere. MAY return early."""
        ...

    async def request(self, command: str, arguments: Mapping[str, object]) -> None:
        """Ask every other replica to do *command*."""
        ...

    async def requests(self) -> Sequence[Request]:
        """What others asked since the last call, or since the first call began; waits for something."""
        ...


@dataclass(frozen=True, slots=True)
class Unit:
    """Work that one replica does: an output, or accounts that share a credential, with all its leases."""

    name: str
    leases: tuple[str, ...]


def output_unit(output: str) -> Unit:
    """The delivery to *output*."""
    return Unit(f"output {output}", (output_lease(output),))


def output_lease(output: str) -> str:
    """The lease for delivering to *output*."""
    return f"output/{output}"


def account_lease(account: str) -> str:
    """The lease for collecting from *account* (Cloudflare's id)."""
    return f"account/{account}"


def assign(units: Iterable[Unit], replicas: Iterable[Replica]) -> dict[str, str]:
    """Which replica (id) should do each unit (name).

    Rendezvous hashing with a bound: each unit prefers the replica with the highest hash of both names, and no
    replica gets more than its share. All replicas compute the same, and few units move when one comes or
    goes.
    """
    known = list(replicas)
    load = {replica.id: 0 for replica in known}
    chosen: dict[str, str] = {}
    ordered = sorted(units, key=lambda unit: unit.name)
    share = math.ceil(len(ordered) / len(known)) if known else 0
    for unit in ordered:
        able = [replica.id for replica in known if replica.serves.issuperset(unit.leases)]
        able.sort(key=lambda replica: _score(unit.name, replica), reverse=True)
        free = [replica for replica in able if load[replica] < share] or able
        if free:
            chosen[unit.name] = free[0]
            load[free[0]] += 1
    return chosen


def _score(unit: str, replica: str) -> bytes:
    return hashlib.blake2b(f"{unit}|{replica}".encode(), digest_size=8).digest()
