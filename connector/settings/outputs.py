"""Which settings class an output has: the one that its ``type`` names in the registry."""

from __future__ import annotations

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from connector import outputs
from connector.errors import ConfigurationError
from connector.outputs.common import OutputSettings
from connector.settings.wrong import wrong


def _choose(value: object) -> OutputSettings:
    if isinstance(value, OutputSettings):
        return value
    if not isinstance(value, dict):
        raise wrong("a map is needed, with at least a type")
    kind = value.get("type")
    if kind is None:
        raise wrong("type is missing", hint=f"known: {', '.join(outputs.names())}")
    if not isinstance(kind, str):
        raise wrong(
            "the name of an output type is needed", hint=f"known: {', '.join(outputs.names())}", key="type"
        )
    return _class(kind).model_validate(value)


def _class(kind: str) -> type[OutputSettings]:
    try:
        return outputs.settings_class(kind)
    except ConfigurationError as error:
        raise _as_wrong(error) from None


def _as_wrong(error: ConfigurationError) -> PydanticCustomError:
    first = error.problems[0]
    return wrong(first.message, hint=first.hint, key="type")


AnyOutput = BeforeValidator(_choose)
