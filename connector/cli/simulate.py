"""``simulate``: the API simulator alone."""

from __future__ import annotations

import asyncio
import os
import signal

import click

from connector.cli.common import say
from connector.errors import ConnectorError


@click.command("simulate")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8787,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--backlog",
    type=click.IntRange(min=0),
    default=5000,
    show_default=True,
    help="Messages of the last 24 hours.",
)
@click.option(
    "--rate", type=click.FloatRange(min=0), default=1.0, show_default=True, help="New messages per second."
)
@click.option(
    "--reports",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Share of messages that users report, for source: submissions.",
)
@click.option(
    "--seed", default=1, show_default=True, help="Seed of the generated email; change it for other data."
)
def command(host: str, port: int, backlog: int, rate: float, reports: float, seed: int) -> None:
    """Serve a simulation of the Email Security search API until Ctrl-C.

    Accepts any account id of 32 hex digits and any credentials.
    """
    from connector.simulator import Simulator, listening

    async def serve() -> None:
        simulator = Simulator(seed=seed, backlog=backlog, rate=rate, reports=reports)
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        async with listening(simulator, host=host, port=port) as url:
            say(f"simulator: {url}")
            say(f"try it:    CLOUDFLARE_BASE_URL={url} CLOUDFLARE_API_TOKEN=any \\")
            say(f"           CLOUDFLARE_ACCOUNT_ID={'0' * 31}1 email-connector run")
            await stopped.wait()

    try:
        asyncio.run(serve())
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None) or 0
        # asyncio wraps the reason into a sentence of its own; name resolution has negative numbers.
        why = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or "invalid host name"
        raise ConnectorError(f"cannot listen on {host}:{port}: {why}") from None
