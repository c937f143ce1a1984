"""The filters of a search: every parameter of the API's search, checked by the source's own table."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ValidationError, WithJsonSchema
from pydantic_core import InitErrorDetails, PydanticCustomError

from connector.model import FilterValue, JsonObject
from connector.settings.wrong import wrong
from connector.source.filters import FILTERS, NOT_FILTERS, Filter, validate
from connector.yaml_nodes import suggestion


def _validate(value: object) -> object:
    if not isinstance(value, dict):
        raise wrong("a map of filters is needed", hint="such as detections_only: true")
    checked: dict[str, FilterValue] = {}
    errors: list[InitErrorDetails] = []
    for name, one in value.items():
        try:
            checked[name] = _one(str(name), one)
        except ValueError as error:
            custom = error if isinstance(error, PydanticCustomError) else wrong(str(error))
            errors.append(InitErrorDetails(type=custom, loc=(str(name),), input=None))
    if errors:
        raise ValidationError.from_exception_data("filters", errors, hide_input=True)
    return checked


def _one(name: str, value: object) -> FilterValue:
    if name not in FILTERS and name not in NOT_FILTERS:
        raise wrong("there is no such filter", hint=suggestion(name, FILTERS))
    if value is None:
        raise wrong("a value is needed", hint="leave the filter out to ask for everything")
    return validate(name, value)


def _schema(row: Filter) -> JsonObject:
    choice: JsonObject = {"type": "string", "enum": list(row.allowed)}
    kinds: dict[str, JsonObject] = {
        "boolean": {"type": "boolean"},
        "choice": choice,
        "choices": {"anyOf": [choice, {"type": "array", "items": choice, "minItems": 1}]},
    }
    return {**kinds.get(row.kind, {"type": "string"}), "description": row.help}


Filters = Annotated[
    dict[str, FilterValue],
    BeforeValidator(_validate),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {name: _schema(row) for name, row in FILTERS.items()},
            "additionalProperties": False,
        }
    ),
]
"""A field of a settings model: filters by name."""
