"""Where the configuration file and the state directory are. No models: ``status`` is to start quickly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from connector.errors import ConfigurationError, Position, Problem

PREFIX = "CONNECTOR_"
"""Prefix of the names of environment overrides."""

CONFIG = f"{PREFIX}CONFIG"
"""The variable that names the configuration file."""

DEFAULT_FILES = (Path("connector.yaml"), Path("/etc/email-connector/connector.yaml"))


def find_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file to read: the one requested, or the first default that exists."""
    if path is not None:
        return path
    for name, value in environ.items():
        if name.upper() == CONFIG:
            if not value:
                raise ConfigurationError(
                    Problem("the variable is empty", Position(name, 0, 0), "set it to a file name")
                )
            return Path(value)
    return next((place for place in DEFAULT_FILES if place.exists()), None)


def state_directory(environ: Mapping[str, str], user: int) -> Path:
    """The platform's state directory: systemd's $STATE_DIRECTORY, /var/lib for root, XDG for a user."""
    directory = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if directory:
        return Path(directory)
    home = environ.get("XDG_STATE_HOME") or (environ.get("HOME", "") and f"{environ['HOME']}/.local/state")
    if user == 0 or not home or not Path(home).is_absolute():
        return Path("/var/lib/email-connector")
    return Path(home) / "email-connector"
