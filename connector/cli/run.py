"""``run``: the daemon."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from connector.cli import FAILED
from connector.cli.common import config_option, load_config, say
from connector.quantities import parse_duration


class DurationParam(click.ParamType[timedelta]):
    """A duration as in the configuration file, such as ``5m``."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read the text; fails with what is expected."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("run")
@config_option
@click.option("--once", is_flag=True, help="Walk every feed to now, deliver, and end.")
@click.option(
    "--timeout",
    type=DurationParam(),
    default="10m",
    show_default=True,
    help="With --once: how long all of it may take.",
)
@click.pass_context
def command(context: click.Context, config: Path | None, once: bool, timeout: timedelta) -> None:
    """Poll the searches, journal what is new, deliver it; until SIGTERM or Ctrl-C.

    SIGHUP reads the configuration again; one that is wrong changes nothing.

    Exits with 1 if --once could not bring everything to every output in time.
    """
    from connector.app.build import log_format  # noqa: PLC0415
    from connector.app.daemon import daemon, run_daemon_once  # noqa: PLC0415
    from connector.app.runtime import run  # noqa: PLC0415, heavy; the other commands start without it

    configuration = load_config(config)
    # A log in JSON has nothing but JSON lines; there, daemon_started names the endpoint.
    announce = _announce if log_format(configuration.settings) == "text" else _silence
    if not once:
        run(daemon(configuration, announce, lambda: load_config(config)))
    elif not run(run_daemon_once(configuration, announce, timeout)):
        context.exit(FAILED)


def _silence(_: str) -> None:
    """Announce nothing."""


def _announce(url: str) -> None:
    if url:
        say(f"endpoint: {url}  (a status page; /metrics /healthz /readyz /api/status)")
