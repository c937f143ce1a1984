"""A connector whose real collector is killed with a request under way: what was sent, what is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import yaml

from connector.simulator import Behaviour, Recipe, Simulator, running
from tests.support.process import ACCOUNT, TOKEN, Daemon, command, daemon, environment, until

MESSAGES = 300
"""Before the collector stops to read; half of them hostile."""

MEANWHILE = 150
"""At least as many arrive while it does not."""

BATCH = 40
_RATE = 100.0


Identity = Callable[[bytes], str]
"""Names an event by its payload."""


class Collector(Protocol):
    """What the scenario does to a collector."""

    def start(self) -> None: ...
    def freeze(self) -> None: ...
    def kill(self) -> None: ...
    def persisted(self, count: int) -> bool: ...


@dataclass(frozen=True)
class Delivered:
    """What a run left behind.

    Args:
        sent: the payload of every event, by the record's id and revision, as the file output wrote it.
        before: events that the collector had acknowledged when it was killed.
        dead_letters: events that it refused.
    """

    sent: dict[str, bytes]
    before: int
    dead_letters: int


@dataclass(frozen=True)
class Figures:
    """What became of the events of one run."""

    sent: int
    stored: int
    refused: int
    doubled: int
    lost: int


def figures(run: Delivered, stored: Iterable[str]) -> Figures:
    """Compare the identities in *stored*, one for each time an event is there, with what was sent."""
    counts = Counter(stored)
    return Figures(
        sent=len(run.sent),
        stored=len(counts),
        refused=run.dead_letters,
        doubled=counts.total() - len(counts),
        lost=len(run.sent.keys() - counts.keys()),
    )


def deliver(
    directory: Path,
    collector: Collector,
    output: Mapping[str, Any],
    identity: Identity,
    *,
    setup: bool = False,
) -> Delivered:
    """Run a connector with *output* and kill *collector* while it owes an answer.

    The moment is the same in every run: what arrived is acknowledged and on the collector's disk; then it
    stops to read, more arrives, and it is killed: with a request without an answer, or, over TCP, with what
    its operating system took and it never read. *setup* runs
    ``check --setup`` first.
    """
    simulator = Simulator(
        seed=11, backlog=MESSAGES, recipe=Recipe(hostile=0.5), behaviour=Behaviour(quota=None)
    )
    reference = directory / "sent"
    with running(simulator) as url:
        configuration = {
            "accounts": {
                "prod": {
                    "account_id": ACCOUNT,
                    "api_token": "${env:TOKEN}",
                    "base_url": url,
                    "budget": {"requests": 100000, "window": "1m"},
                }
            },
            "searches": {
                "all": {"every": "1s", "start": "25h", "filters": {"detections_only": False}, "per_page": 100}
            },
            "outputs": {
                "reference": {"type": "file", "path": str(reference), "mapping": output["mapping"]},
                "collector": {"batch": {"events": BATCH}, **output},
            },
            "state": {"directory": str(directory / "state")},
            "server": {"listen": "127.0.0.1:0"},
        }
        file = directory / "connector.yaml"
        file.write_text(yaml.safe_dump(configuration))
        environ = environment(TOKEN=TOKEN)
        if setup:
            code, _, said = command("check", "--setup", "-c", str(file), environ=environ, cwd=directory)
            assert code == 0, said
        with daemon(directory, environ, "-c", str(file)) as connector:
            until(lambda: _state(connector)["sent"] >= MESSAGES, "the first messages")
            until(partial(collector.persisted, MESSAGES), "what was acknowledged on the collector's disk")
            collector.freeze()
            simulator.world.rate = _RATE
            until(lambda: len(simulator.world) >= MESSAGES + MEANWHILE, "more messages")
            simulator.world.rate = 0
            arrived = len(simulator.world)
            until(lambda: connector.status()["journal"]["head"] >= arrived, "these in the journal")
            before = _state(connector)["sent"]
            collector.kill()
            collector.start()
            until(connector.ready, "readiness")
            until(lambda: _backlog(connector) == 0, "an empty backlog")
            assert connector.terminate() == 0
            dead_letters = _dead_letters(directory, environ, file)
    payloads = reference.read_bytes().split(b"\n")[:-1]
    sent = {identity(payload): payload for payload in payloads}
    assert len(sent) == len(payloads), "the reference names every event once"
    # Over TCP the operating system of a frozen collector may have taken all of it.
    assert before <= len(payloads)
    return Delivered(sent, before, dead_letters)


def _state(connector: Daemon) -> dict[str, Any]:
    state: dict[str, Any] = next(o for o in connector.status()["outputs"] if o["output"] == "collector")
    return state


def _backlog(connector: Daemon) -> int:
    return int(_state(connector)["backlog"] or 0)


def _dead_letters(directory: Path, environ: Mapping[str, str], file: Path) -> int:
    arguments = ("deadletters", "list", "--output", "collector", "--json", "-c", str(file))
    code, listed, said = command(*arguments, environ=environ, cwd=directory)
    assert code == 0, said
    return len(listed.splitlines())
