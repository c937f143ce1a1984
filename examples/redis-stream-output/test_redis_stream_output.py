"""The output keeps its contract: the suite that ships with the connector, run against a stand-in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from fake_redis import fake_redis
from redis_stream_output import RedisStreamSettings

from connector.interfaces import Output
from connector.testing.outputs import CHECKS, POISON, Check, OutputHarness

PASSWORD = "canary-3f7b"


def output(port: int, password: str = PASSWORD, timeout: str = "30s") -> Output:
    """An output to whatever listens on *port*."""
    given = {"address": f"127.0.0.1:{port}", "password": password, "timeout": timeout}
    return RedisStreamSettings.model_validate(given).build("soar", lambda _: None)


@pytest.fixture
def harness() -> Iterator[OutputHarness]:
    """The output, and servers that take all, nothing for now, or not everything."""

    def picky(event: bytes) -> str | None:
        return "ERR invalid entry" if POISON.encode() in event else None

    with fake_redis(PASSWORD, picky) as redis, fake_redis(PASSWORD, lambda _: "OOM out of memory") as full:
        yield OutputHarness(
            build=lambda: output(redis.port),
            taken=lambda: list(redis.entries),
            unreachable=lambda: output(1),
            denied=lambda: output(redis.port, f"{PASSWORD}-old"),
            busy=lambda: output(full.port),
            picky=lambda: output(redis.port),
            secrets=(PASSWORD,),
            port=redis.port,
            through=lambda port: output(port, timeout="400ms"),
        )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_output_keeps_its_contract(check: Check, harness: OutputHarness) -> None:
    """Each check of the suite."""

    async def checked() -> None:
        await check(harness)

    asyncio.run(checked())
