"""A reload frees what it replaces: configurations, their secrets and their outputs."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from pathlib import Path

import pytest

from connector.app.build import App, build_app
from connector.app.daemon import run
from connector.app.reload import Reload
from connector.app.signals import Stop
from connector.delivery import Deliverer
from connector.net.clock import utc_now
from connector.secret import Secret
from connector.settings import Settings, load
from tests.support.process import ACCOUNT

OUTPUTS = 5
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


@pytest.mark.parametrize("reloads", [12])
async def test_reloads_leave_nothing_behind(
    tmp_path: Path, reloads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "connector.yaml"
    file.write_text(CONFIG)
    environ = {"TOKEN": "rotating-token-0"}
    started = asyncio.Event()
    stop, reload = Stop(), Reload(lambda: load(file, environ))
    before = living()

    def announce(_: str) -> None:
        started.set()

    async def daemon() -> None:
        await run(build_app(load(file, environ), utc_now), stop, announce, reload)

    task = asyncio.create_task(daemon())
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
