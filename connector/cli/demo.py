"""``demo``: simulator and daemon in one process; the main job without an account."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import click

from connector.cli import FAILED
from connector.cli.common import say

_BACKLOG = 2500
_RATE = 0.5
_TOKEN = "demo"  # noqa: S105, the simulator takes anything
_ACCOUNT = "0" * 31 + "1"


@click.command("demo")
@click.option("--once", is_flag=True, help="Deliver the backlog and end.")
@click.option("--mapping", default="ecs", show_default=True, help="Mapping of the events on stdout.")
@click.option("--backlog", default=_BACKLOG, show_default=True, help="Messages of the last 24 hours.")
@click.option("--rate", default=_RATE, show_default=True, help="New messages per second.")
@click.option("--seed", default=1, show_default=True, help="Another seed, another company's mail.")
@click.pass_context
def command(context: click.Context, once: bool, mapping: str, backlog: int, rate: float, seed: int) -> None:
    """Run the API simulator and the connector together: events on stdout, logs on stderr.

    Nothing leaves this machine and nothing is kept. Ctrl-C ends it.
    """
    from connector.app.runtime import run  # noqa: PLC0415, heavy; the other commands start without it

    with tempfile.TemporaryDirectory(prefix="email-connector-demo-") as directory:
        served = run(_demo(Path(directory), once, mapping, backlog, rate, seed))
    if not served:
        context.exit(FAILED)


async def _demo(directory: Path, once: bool, mapping: str, backlog: int, rate: float, seed: int) -> bool:
    from connector.app.daemon import daemon, run_daemon_once  # noqa: PLC0415
    from connector.settings import load  # noqa: PLC0415
    from connector.simulator import Simulator, listening  # noqa: PLC0415

    simulator = Simulator(seed=seed, backlog=backlog, rate=0.0 if once else rate)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(listening(simulator))
        say(f"simulator: {url}  ({backlog} messages of the last 24 hours)")
        loaded = load(None, _environment(url, directory, mapping))
        if once:
            return await run_daemon_once(loaded, _announce, timedelta(minutes=5))
        await daemon(loaded, _announce)
    return True


def _environment(url: str, directory: Path, mapping: str) -> Mapping[str, str]:
    """A configuration by variables alone, on top of the caller's own ``CONNECTOR_`` variables."""
    own = {name: value for name, value in os.environ.items() if name.upper().startswith("CONNECTOR_")}
    return {
        "CONNECTOR_SEARCHES__DETECTIONS__EVERY": "2s",
        "CONNECTOR_SERVER__LISTEN": "127.0.0.1:0",
        "CONNECTOR_OUTPUTS__STDOUT__TYPE": "stdout",
        "CONNECTOR_OUTPUTS__STDOUT__MAPPING": mapping,
        "CONNECTOR_STATE__DIRECTORY": str(directory),
        **own,
        "CLOUDFLARE_API_TOKEN": _TOKEN,
        "CLOUDFLARE_ACCOUNT_ID": _ACCOUNT,
        "CLOUDFLARE_BASE_URL": url,
    }


def _announce(url: str) -> None:
    if url:
        say(f"endpoint:  {url}  (a status page; /metrics /healthz /readyz /api/status)")
