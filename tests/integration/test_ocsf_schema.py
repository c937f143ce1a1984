"""Events of the mapping ``ocsf`` are valid by the JSON Schema that a package makes of the published one."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from tests.support.hostile_day import hostile_day
from tests.support.programs import tool

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json.loads(tool("ocsf-email-activity.schema.json").read_text())
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def complaints(validator: Any, event: dict[str, Any]) -> list[str]:
    """Return the place and the complaint of every error."""
    return [
        f"{'.'.join(map(str, error.path))}: {error.message[:200]}" for error in validator.iter_errors(event)
    ]


@pytest.mark.parametrize("hostile", [0.0, 1.0], ids=["ordinary", "hostile"])
def test_every_event_is_a_valid_email_activity(validator: Any, hostile: float) -> None:
    for event in hostile_day("ocsf", 100, hostile):
        assert complaints(validator, json.loads(event.payload)) == []


def test_a_wrong_event_would_be_found(validator: Any) -> None:
    [event] = hostile_day("ocsf", 1)
    document = json.loads(event.payload)

    assert complaints(validator, {**document, "severity_id": "high", "mail": {}})
    del document["email"]
    assert complaints(validator, document) == [": 'email' is a required property"]
