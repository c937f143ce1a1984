"""A simulator of a small company at noon, served over a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from connector.simulator import Simulator, running
from tests.unit.simulator.client import Client, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def serving() -> Iterator[Callable[[Simulator], Client]]:
    """Serve any simulator until the test ends."""
    with ExitStack() as stack:
        yield lambda simulator: Client(stack.enter_context(running(simulator)))


@pytest.fixture
def simulator(clock: Clock) -> Simulator:
    arguments: dict[str, Any] = {"seed": 7, "backlog": 300, "span": timedelta(hours=6)}
    return Simulator(clock=clock, **arguments)


@pytest.fixture
def client(simulator: Simulator, serving: Callable[[Simulator], Client]) -> Client:
    return serving(simulator)
