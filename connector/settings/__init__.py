"""Configuration: YAML, environment variables and secret files, validated into one frozen value."""

from connector.settings.accounts import Account, Budget
from connector.settings.json_schema import json_schema
from connector.settings.loading import Loaded, find_file, load, require_paths
from connector.settings.models import Settings
from connector.settings.process import Log, Mappings, Server, ServerTls, State, split_address
from connector.settings.render import render
from connector.settings.searches import Enrich, Search
from connector.settings.state_location import locate_state

__all__ = [
    "Account",
    "Budget",
    "Enrich",
    "Loaded",
    "Log",
    "Mappings",
    "Search",
    "Server",
    "ServerTls",
    "Settings",
    "State",
    "find_file",
    "json_schema",
    "load",
    "locate_state",
    "render",
    "require_paths",
    "split_address",
]
