"""``run``: the daemon."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson
from click.core import ParameterSource

from connector.cli import FAILED, WRONG
from connector.cli.common import config_option, load_config, say
from connector.cli.param_types import DurationParam
from connector.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from connector.settings import Loaded


@click.command("run")
@config_option
@click.option("--once", is_flag=True, help="Collect every feed up to now, deliver, and exit.")
@click.option(
    "--timeout",
    type=DurationParam(),
    default="10m",
    show_default=True,
    help="With --once only: longest it may take.",
)
@click.pass_context
def command(context: click.Context, config: Path | None, once: bool, timeout: timedelta) -> None:
    """Poll the searches, journal what is new and deliver it, until SIGTERM or Ctrl-C.

    SIGHUP reloads the configuration; an invalid one is reported and not applied.

    With --once, exits with 1 unless every feed was collected and every event delivered. It does not wait
    for what only an operator can fix, such as refused credentials.
    """
    hung_up = (lambda: False) if once else _note_hangups()
    from connector.app.build import log_format

    if not once and context.get_parameter_source("timeout") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--timeout has no effect without --once")
    loaded = load_config(config)
    json_log = log_format(loaded.settings) == "json"
    try:
        complete = _run(loaded, config, timeout if once else None, hung_up, json_log=json_log)
    except ConnectorError as error:
        if not json_log:
            raise
        _log_json(str(error))
        context.exit(WRONG if isinstance(error, ConfigurationError) else FAILED)
    if not complete:
        context.exit(FAILED)


def _note_hangups() -> Callable[[], bool]:
    """Let SIGHUP end nothing from now on; the result says whether there was one."""
    noted: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _: noted.append(number))
    return lambda: bool(noted)


def _run(
    loaded: Loaded,
    config: Path | None,
    time_limit: timedelta | None,
    hung_up: Callable[[], bool],
    *,
    json_log: bool,
) -> bool:
    """Run once within *time_limit*, or without one until a signal; false if incomplete. The log says why."""
    from connector.app.daemon import run_daemon
    from connector.app.run_once import run_daemon_once
    from connector.app.runtime import run

    def announce(url: str) -> None:
        # A JSON log holds nothing but JSON; the event daemon_started has the URL.
        if url and not json_log:
            say(f"endpoint: {url}  (status page; also /metrics /healthz /readyz /api/status)")

    if time_limit is not None:
        return run(run_daemon_once(loaded, announce, time_limit)).complete
    run(run_daemon(loaded, announce, lambda: load_config(config), hung_up))
    return True


def _log_json(error: str) -> None:
    """A line with the keys of the JSON log, so that its readers need not parse anything else."""
    line = {
        "error": error,
        "event": "command_failed",
        "level": "error",
        "timestamp": datetime.now(UTC).isoformat(),
    }
    say(orjson.dumps(line).decode())
