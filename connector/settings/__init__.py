"""Configuration: YAML, environment variables and secret files, validated into one frozen value.

A module is imported when a name of it is asked for: commands that only look for the state directory need
neither models nor outputs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connector.settings.accounts import Account, BudgetSettings
    from connector.settings.loading import Loaded, load, require_paths
    from connector.settings.models import Settings
    from connector.settings.places import find_file
    from connector.settings.process import (
        LogSettings,
        MappingsSettings,
        PostgresSettings,
        ServerSettings,
        ServerTls,
        StateSettings,
        split_address,
    )
    from connector.settings.searches import Enrich, Search
    from connector.settings.state_location import locate_state

__all__ = [
    "Account",
    "BudgetSettings",
    "Enrich",
    "Loaded",
    "LogSettings",
    "MappingsSettings",
    "PostgresSettings",
    "Search",
    "ServerSettings",
    "ServerTls",
    "Settings",
    "StateSettings",
    "find_file",
    "load",
    "locate_state",
    "require_paths",
    "split_address",
]

_HOMES = {
    "Account": "accounts",
    "BudgetSettings": "accounts",
    "Enrich": "searches",
    "Loaded": "loading",
    "LogSettings": "process",
    "MappingsSettings": "process",
    "PostgresSettings": "process",
    "Search": "searches",
    "ServerSettings": "process",
    "ServerTls": "process",
    "Settings": "models",
    "StateSettings": "process",
    "find_file": "places",
    "load": "loading",
    "locate_state": "state_location",
    "require_paths": "loading",
    "split_address": "process",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
