"""How pydantic-settings names environment overrides: prefix and delimiter.

Imported only where there is such a variable: the library takes as long to import as pydantic.
"""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict

from connector.settings.places import PREFIX


class _Environment(BaseSettings):
    """The part of the settings that belongs to the library; values come with positions, from ``load``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__")


BETWEEN = str(_Environment.model_config["env_nested_delimiter"])
