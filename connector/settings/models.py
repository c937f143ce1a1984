"""The root settings model: accounts, searches, outputs and the process sections."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, SerializeAsAny, StringConstraints
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from connector import outputs
from connector.errors import ConfigurationError
from connector.outputs.common import OutputSettings
from connector.quantity_fields import Duration
from connector.settings.accounts import Account
from connector.settings.actions import ActionSettings
from connector.settings.places import PREFIX
from connector.settings.problems import invalid
from connector.settings.process import (
    LogSettings,
    MappingsSettings,
    RedactionSettings,
    ServerSettings,
    StateSettings,
)
from connector.settings.searches import Search


def _choose(value: object) -> OutputSettings:
    if isinstance(value, OutputSettings):
        return value
    if not isinstance(value, dict):
        raise invalid("expected a mapping with a `type`")
    kind = value.get("type")
    if kind is None:
        raise invalid("type is missing", hint=f"known: {', '.join(outputs.names())}")
    if not isinstance(kind, str):
        raise invalid(
            "expected the name of an output type", hint=f"known: {', '.join(outputs.names())}", key="type"
        )
    return _class(kind).model_validate(value)


def _class(kind: str) -> type[OutputSettings]:
    try:
        return outputs.settings_class(kind)
    except ConfigurationError as error:
        raise _as_invalid(error) from None


def _as_invalid(error: ConfigurationError) -> PydanticCustomError:
    first = error.problems[0]
    return invalid(first.message, hint=first.hint, key="type", quotes_value=True)


AnyOutput = BeforeValidator(_choose)


NAME = "[a-z][a-z0-9_]*"
Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$", max_length=64)]


class Settings(BaseSettings):
    """Everything that can be configured.

    It reads no source itself: ``load`` passes one tree in which every value has a position. Prefix and
    delimiter define the names of environment overrides.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
    )

    accounts: dict[Name, Account] = Field(min_length=1, description="Cloudflare accounts, by name.")
    searches: dict[Name, Search] = Field(min_length=1, description="Searches, by name.")
    outputs: dict[Name, Annotated[SerializeAsAny[OutputSettings], AnyOutput]] = Field(
        min_length=1, description="Outputs, by name."
    )
    mappings: MappingsSettings = Field(default=MappingsSettings(), description="Custom mappings.")
    redaction: RedactionSettings = Field(default=RedactionSettings(), description="Key for hashed fields.")
    state: StateSettings = Field(default=StateSettings(), description="The journal.")
    server: ServerSettings = Field(
        default=ServerSettings(), description="The endpoint for metrics, health and status."
    )
    actions: ActionSettings | None = Field(
        default=None, description="Response actions for SOAR platforms; null: none."
    )
    log: LogSettings = Field(default=LogSettings(), description="The log on standard error.")
    drain: Duration = Field(
        default=timedelta(seconds=25),
        ge=timedelta(0),
        le=timedelta(hours=1),
        description="How long shutdown waits for deliveries in progress.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003, the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the process environment alone."""
        return (init_settings,)
