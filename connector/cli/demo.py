"""``demo``: simulator and connector in one process, to try the connector without an account."""

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
from connector.cli.names import complete_mapping

_BACKLOG = 2500
"""Messages of the last day at the start: three pages of a search, delivered within seconds."""

_RATE = 0.5
"""New messages a second: slow enough to read along."""

_TOKEN = "demo"  # noqa: S105, the simulator accepts any token
_ACCOUNT = "0" * 31 + "1"

_OWN = ("CONNECTOR_LOG__", "CONNECTOR_MAPPINGS__", "CONNECTOR_SERVER__")
"""Beginnings of the caller's variables that apply: those that name no account, output or state."""


@click.command("demo")
@click.option("--once", is_flag=True, help="Deliver the backlog and exit.")
@click.option(
    "--mapping",
    default="ecs",
    shell_complete=complete_mapping,
    show_default=True,
    help="Mapping of the events on stdout.",
)
@click.option(
    "--backlog",
    type=click.IntRange(min=0),
    default=_BACKLOG,
    show_default=True,
    help="Messages of the last 24 hours.",
)
@click.option(
    "--rate", type=click.FloatRange(min=0), default=_RATE, show_default=True, help="New messages per second."
)
@click.option(
    "--seed", default=1, show_default=True, help="Seed of the generated email; change it for other data."
)
@click.pass_context
def command(context: click.Context, once: bool, mapping: str, backlog: int, rate: float, seed: int) -> None:
    """Run the API simulator and the connector together: events on stdout, logs on stderr.

    Nothing leaves this host and nothing is kept: no configuration file is read, and of the variables only
    those of the sections log, mappings and server. Stop it with Ctrl-C.
    """
    from connector.app.runtime import run

    with tempfile.TemporaryDirectory(prefix="email-connector-demo-") as directory:
        served = run(_demo(Path(directory), once, mapping, backlog, rate, seed))
    if not served:
        context.exit(FAILED)


async def _demo(directory: Path, once: bool, mapping: str, backlog: int, rate: float, seed: int) -> bool:
    from connector.app.daemon import run_daemon
    from connector.app.run_once import run_daemon_once
    from connector.settings import load
    from connector.simulator import Simulator, listening

    simulator = Simulator(seed=seed, backlog=backlog, rate=0.0 if once else rate)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(listening(simulator))
        say(f"simulator: {url}  ({backlog} messages of the last 24 hours)")
        # Without a file named, load would find the one of this directory or host, with its outputs.
        file = directory / "connector.yaml"
        file.write_text("{}", "utf-8")
        loaded = load(file, _environment(url, directory, mapping))
        if once:
            report = await run_daemon_once(loaded, _announce, timedelta(minutes=5))
            for problem in report.problems:
                say(f"error: {problem}")
            return report.complete
        await run_daemon(loaded, _announce)
    return True


def _environment(url: str, directory: Path, mapping: str) -> Mapping[str, str]:
    """A configuration of environment variables, overridden by the caller's own of some sections."""
    own = {name: value for name, value in os.environ.items() if name.upper().startswith(_OWN)}
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
        say(f"endpoint:  {url}  (status page; also /metrics /healthz /readyz /api/status)")
