"""``tap``: show the events of one output as they pass."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import click
import orjson

from connector.app.control.server import NoDaemon, follow
from connector.cli.common import say, state_directory, state_options
from connector.cli.names import complete_output
from connector.cli.terminal import escape_controls
from connector.errors import ConnectorError
from connector.quantities import count_of


@click.command("tap")
@click.argument("output", shell_complete=complete_output)
@click.option("-n", "--count", type=click.IntRange(min=1), metavar="N", help="End after N events.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print time, search, record, outcome and payload as JSON."
)
@state_options
def command(output: str, count: int | None, as_json: bool, config: Path | None, state: Path | None) -> None:
    """Show the events of OUTPUT as its collector accepts or refuses them.

    Each line is the payload as the output sent it: filtered, redacted, mapped. Refused events come with the
    reason, on stderr. Delivery never waits: what this terminal cannot keep up with is left out and counted.
    Ctrl-C ends it.
    """
    directory = state_directory(config, state)
    with suppress(KeyboardInterrupt):
        asyncio.run(_show(directory, output, count, as_json=as_json))


async def _show(directory: Path, output: str, count: int | None, *, as_json: bool) -> None:
    shown = 0
    try:
        async for answer in follow(directory, "tap", output=output):
            if not isinstance(answer, dict):
                raise ConnectorError("unexpected reply from the daemon (version mismatch?)")
            if not answer.get("here", True):
                say(f"another replica delivers to {output} now, see `status`")
            if answer["left_out"]:
                say(f"{count_of(answer['left_out'], 'event')} left out: this terminal is too slow")
            for event in answer["events"]:
                _print(event, as_json=as_json)
                shown += 1
                if shown == count:
                    return
    except NoDaemon:
        if shown:
            raise NoDaemon(f"the connector stopped after {count_of(shown, 'event')}") from None
        raise


def _print(event: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(event) + b"\n")
    else:
        payload = event["payload"]
        text = escape_controls(payload) if sys.stdout.isatty() else payload
        if event["outcome"] != "accepted":
            sys.stdout.flush()
            say(f"refused: {escape_controls(event['reason'])}: {escape_controls(payload)}")
            return
        sys.stdout.write(text + "\n")
    sys.stdout.flush()
