"""Configuration: YAML, environment variables and secret files, validated into one frozen value."""

from connector.settings.accounts import Account, BudgetSettings
from connector.settings.json_schema import json_schema
from connector.settings.loading import Loaded, find_file, load, require_paths
from connector.settings.models import Settings
from connector.settings.process import (
    LogSettings,
    MappingsSettings,
    ServerSettings,
    ServerTls,
    StateSettings,
    split_address,
)
from connector.settings.render import render
from connector.settings.searches import Enrich, Search
from connector.settings.state_location import locate_state

__all__ = [
    "Account",
    "BudgetSettings",
    "Enrich",
    "Loaded",
    "LogSettings",
    "MappingsSettings",
    "Search",
    "ServerSettings",
    "ServerTls",
    "Settings",
    "StateSettings",
    "find_file",
    "json_schema",
    "load",
    "locate_state",
    "render",
    "require_paths",
    "split_address",
]
