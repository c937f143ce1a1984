"""A reload frees what it replaces: configurations, their secrets and their outputs."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from pathlib import Path

import pytest

from connector.app.build import App, build_app
from connector.app.control.server import ask
from connector.app.daemon import run
from connector.app.reload import Reload
from connector.app.signals import Stop
from connector.delivery import Deliverer
from connector.net.clock import utc_now
from connector.secret import Secret
from connector.settings import Settings, load
from tests.support.process import ACCOUNT, Daemon, daemon, environment
from tests.support.sampling import slow

OUTPUTS = 5
FLAT = 3 << 20
"""Bytes of resident memory that many reloads may add: noise of the allocator, no configuration each."""

CONFIG = f"""
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
# Compiling five mappings would take most of a reload.
ONE_MAPPING = CONFIG.replace(".ndjson}", ".ndjson, mapping: raw}").replace(", mapping: raw}", "}", 1)


def living() -> Counter[str]:
    """Objects of the built program that are alive, by type."""
    gc.collect()
    kinds = (App, Settings, Deliverer)
    return Counter(type(one).__name__ for one in gc.get_objects() if type(one) in kinds)


def tokens() -> set[str]:
    """The tokens of this test that any object still holds."""
    gc.collect()
    texts = {one.reveal() for one in gc.get_objects() if type(one) is Secret}
    texts |= {getattr(one, "_text", "") for one in gc.get_objects() if type(one).__name__ == "Token"}
    return {text for text in texts if text.startswith("rotating-token-")}


@pytest.mark.parametrize("reloads", [4, slow(12)])
async def test_reloads_leave_nothing_behind(
    tmp_path: Path, reloads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "connector.yaml"
    file.write_text(ONE_MAPPING)
    environ = {"TOKEN": "rotating-token-0"}
    started = asyncio.Event()
    stop, reload = Stop(), Reload(lambda: load(file, environ))
    before = living()

    def announce(_: str) -> None:
        started.set()

    async def run_daemon() -> None:
        await run(build_app(load(file, environ), utc_now), stop, announce, reload)

    task = asyncio.create_task(run_daemon())
    await started.wait()
    for number in range(1, reloads + 1):
        environ["TOKEN"] = f"rotating-token-{number}"
        assert (await reload.handle({}))["changes"] == ["account prod changed"]
    after, left = living() - before, tokens()
    stop.request("test")
    stop.immediate.set()
    await task

    assert after["App"] <= 2
    assert after["Settings"] <= 2
    assert after["Deliverer"] <= OUTPUTS
    assert left == {f"rotating-token-{reloads}"}, "the secrets of former configurations are gone"


def resident(running: Daemon) -> int:
    """Bytes of resident memory of a daemon."""
    status = Path(f"/proc/{running.process.pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


async def reload_often(directory: Path, reloads: int, *, warm_up: int) -> list[int]:
    """Reload a daemon, each time with a new token; its resident memory in bytes from *warm_up* reloads on."""
    text = ONE_MAPPING.replace("listen: null", 'listen: "127.0.0.1:0"').replace("level: error", "level: info")
    file = directory / "connector.yaml"
    memory = []
    file.write_text(text.replace("${env:TOKEN}", "rotating-token-0"))
    with daemon(directory, environment()) as running:
        assert running.url
        for number in range(1, warm_up + reloads + 1):
            file.write_text(text.replace("${env:TOKEN}", f"rotating-token-{number}"))
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
