"""``simulate``: serves the API simulator on its own."""

from __future__ import annotations

import asyncio
import signal

import click

from connector.cli.common import say


@click.command("simulate")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8787, show_default=True, help="Port to listen on; 0 picks a free one.")
@click.option("--backlog", default=5000, show_default=True, help="Messages of the last 24 hours.")
@click.option("--rate", default=1.0, show_default=True, help="New messages per second.")
@click.option("--seed", default=1, show_default=True, help="Seed of the generated messages.")
def command(host: str, port: int, backlog: int, rate: float, seed: int) -> None:
    """Serve a simulated Email Security search API until Ctrl-C.

    Accepts any account id of 32 hexadecimal digits and any credentials.
    """
    from connector.simulator import Simulator, listening  # noqa: PLC0415, not needed for --help

    async def serve() -> None:
        simulator = Simulator(seed=seed, backlog=backlog, rate=rate)
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ended.set)
        async with listening(simulator, host=host, port=port) as url:
            say(f"simulator: {url}")
            say(f"try it:    CLOUDFLARE_BASE_URL={url} CLOUDFLARE_API_TOKEN=any \\")
            say(f"           CLOUDFLARE_ACCOUNT_ID={'0' * 31}1 email-connector run")
            await ended.wait()

    asyncio.run(serve())
