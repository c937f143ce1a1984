"""A reload frees what it replaces: configurations, their secrets, their outputs and what they compiled."""

from __future__ import annotations

import asyncio
import gc
import linecache
import re
import sys
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from connector.app.build import App, build_app
from connector.app.control.server import ask
from connector.app.daemon import run
from connector.app.reload import Reload
from connector.app.signals import Stop
from connector.delivery import Deliverer
from connector.net.clock import utc_now
from connector.settings import Settings, load
from tests.support.process import ACCOUNT, Daemon, daemon, environment

OUTPUTS = 5
FLAT = 3 << 20
"""Bytes of resident memory that many reloads may add: noise of the allocator, no configuration each."""

FILES = f"""
accounts:
  prod: {{account_id: {ACCOUNT}, api_token: "${{env:TOKEN}}", base_url: "http://127.0.0.1:1/client/v4"}}
searches:
  detections: {{every: 60s}}
outputs:
  {"  ".join(f"output_{n}: {{type: file, path: events_{n}.ndjson}}{chr(10)}" for n in range(OUTPUTS))}
state: {{directory: state}}
server: {{listen: null}}
log: {{level: error}}
"""

NETWORK = f"""
accounts:
  prod: {{account_id: {ACCOUNT}, api_token: "${{env:TOKEN}}", base_url: "http://127.0.0.1:1/client/v4",
    proxy: "http://user:${{env:TOKEN}}@127.0.0.1:1"}}
searches:
  detections: {{every: 60s}}
outputs:
  hec: {{type: splunk_hec, url: "http://127.0.0.1:1", token: "${{env:TOKEN}}",
    proxy: "http://user:${{env:TOKEN}}@127.0.0.1:1"}}
  hook: {{type: http, url: "http://127.0.0.1:1/services/${{env:TOKEN}}", mapping: raw,
    headers: {{x-key: "${{env:TOKEN}}"}}, when: {{final_disposition: [MALICIOUS]}}}}
  search: {{type: elasticsearch, url: "http://127.0.0.1:1", api_key: "${{env:TOKEN}}"}}
  siem: {{type: syslog, address: "tcp://127.0.0.1:1", heartbeat: 1h}}
  archive: {{type: file, path: events.ndjson, redact: {{subject: hash}}}}
redaction: {{key: "${{env:TOKEN}}"}}
state: {{directory: state}}
server: {{listen: null}}
log: {{level: error}}
"""


def token(number: int) -> str:
    return f"rotating-token-{number:06d}-of-this-test"


TOKEN = re.compile("rotating-token-[0-9]{6}")


@asynccontextmanager
async def reloading(directory: Path, text: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A daemon in this process; what is yielded reloads it with another token everywhere."""
    file = directory / "connector.yaml"
    file.write_text(text)
    environ = {"TOKEN": token(0)}
    started = asyncio.Event()
    stop, reload = Stop(), Reload(lambda: load(file, environ))

    def announce(_: str) -> None:
        started.set()

    async def run_daemon() -> None:
        await run(build_app(load(file, environ), utc_now), stop, announce, reload)

    number = 0

    async def once() -> None:
        nonlocal number
        number += 1
        environ["TOKEN"] = token(number)
        answer = await reload.handle({})
        assert answer["problems"] == []
        assert "account prod changed" in answer["changes"]

    task = asyncio.create_task(run_daemon())
    await asyncio.wait({task, asyncio.ensure_future(started.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    yield once
    stop.request("test")
    stop.immediate.set()
    await task


def living() -> Counter[str]:
    """Objects of the built program that are alive, by type."""
    gc.collect()
    kinds = (App, Settings, Deliverer)
    return Counter(type(one).__name__ for one in gc.get_objects() if type(one) in kinds)


def reachable_texts() -> Iterator[str]:
    """Every text that some object holds: attributes, elements, cache entries, patterns."""
    gc.collect()
    for holder in gc.get_objects():
        if isinstance(holder, re.Pattern):
            yield str(holder.pattern)
        for one in gc.get_referents(holder):
            if isinstance(one, str):
                yield str.__str__(one)
            elif isinstance(one, bytes | bytearray):
                yield one.decode("latin-1")


def tokens() -> set[str]:
    """The tokens of this test that are still reachable."""
    return {found for text in reachable_texts() for found in TOKEN.findall(text)}


@pytest.mark.parametrize("text", [FILES, NETWORK], ids=["files", "network"])
async def test_reloads_leave_nothing_behind(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before, reloads = living(), 6
    async with reloading(tmp_path, text) as reload:
        for _ in range(reloads):
            await reload()
        after, left = living() - before, tokens()

    assert after["App"] <= 2
    assert after["Settings"] <= 2
    assert after["Deliverer"] <= OUTPUTS
    assert left == set(TOKEN.findall(token(reloads))), "the secrets of former configurations are gone"


def objects() -> Counter[str]:
    """Objects that the garbage collector knows, by type."""
    gc.collect()
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_a_thousand_reloads_are_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects and allocated blocks after 200 reloads and 800 more; bytes over the last hundred of them."""
    monkeypatch.chdir(tmp_path)
    gc.collect()
    gc.freeze()  # what pytest holds, as the daemon does with what it holds at its start
    try:
        async with reloading(tmp_path, NETWORK) as reload:
            await times(200, reload)
            before, sources = objects(), len(linecache.cache)
            blocks = sys.getallocatedblocks()
            await times(690, reload)
            tracemalloc.start()
            await times(10, reload)  # until all that lives was allocated under the eye of tracemalloc
            traced = tracemalloc.get_traced_memory()[0]
            await times(100, reload)
            traced = tracemalloc.get_traced_memory()[0] - traced
            tracemalloc.stop()
            gc.collect()
            blocks = sys.getallocatedblocks() - blocks
            grown = objects() - before
    finally:
        tracemalloc.stop()
        gc.unfreeze()

    assert len(linecache.cache) == sources
    assert max(grown.values(), default=0) < 80, grown.most_common(5)
    # One configuration is thousands of blocks; caches that fill up make the number sway by hundreds.
    assert blocks < 1600, "less than two blocks for each reload"
    assert traced < 100 * 1000, "less than a kilobyte for each reload; one configuration takes 200"


async def times(count: int, reload: Callable[[], Awaitable[None]]) -> None:
    for _ in range(count):
        await reload()


def resident(running: Daemon) -> int:
    """Bytes of resident memory of a daemon."""
    status = Path(f"/proc/{running.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


async def reload_often(directory: Path, reloads: int, *, warm_up: int) -> list[int]:
    """Reload a daemon, each time with a new token; its resident memory in bytes from *warm_up* reloads on."""
    text = FILES.replace("listen: null", 'listen: "127.0.0.1:0"').replace("level: error", "level: info")
    file = directory / "connector.yaml"
    memory = []
    file.write_text(text.replace("${env:TOKEN}", token(0)))
    with daemon(directory, environment()) as running:
        assert running.url
        for number in range(1, warm_up + reloads + 1):
            file.write_text(text.replace("${env:TOKEN}", token(number)))
            answer = await ask(directory / "state", "reload")
            assert answer == {"problems": [], "changes": ["account prod changed"]}
            if number >= warm_up:
                memory.append(resident(running))
    return memory


@pytest.mark.slow
async def test_resident_memory_stays_flat_over_many_reloads(tmp_path: Path) -> None:
    memory = await reload_often(tmp_path, 60, warm_up=20)

    assert len(memory) == 61
    assert memory[-1] - memory[0] < FLAT, memory
