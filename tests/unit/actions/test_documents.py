"""The API documents: what platforms import. The golden files show every change of the contract in review."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.actions.http.documents import openapi, statuses, swagger
from connector.actions.operations import OPERATIONS

HERE = Path(__file__).parent
SERVER = "https://connector.example:9465"
_CODES = (
    "malformed", "unauthenticated", "out_of_scope", "not_found", "request_id_used", "has_begun", "has_ended",
    "not_awaiting_approval", "cursor_ahead", "too_large", "not_json", "too_many_actions", "api_refused",
    "api_unavailable", "api_slow", "journal_full", "journal_unavailable",
    "unprocessable",
)  # fmt: skip
DOCUMENTS = {"openapi.json": openapi(SERVER), "swagger.json": swagger(SERVER)}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_contract_is_what_was_reviewed(name: str, request: pytest.FixtureRequest) -> None:
    document = json.loads(json.dumps(DOCUMENTS[name]))
    document["info"]["version"] = "any"
    file = HERE / name
    if request.config.getoption("--update-golden"):
        file.write_text(json.dumps(document, indent=1) + "\n")

    assert document == json.loads(file.read_text())


def test_documents_are_flat_small_and_have_nothing_that_importers_drop() -> None:
    for document in DOCUMENTS.values():
        text = json.dumps(document)
        assert len(text) < 60_000
        for unwanted in ("oneOf", "anyOf", "allOf", "multipart", '"type": ["'):
            assert unwanted not in text


def test_every_reference_leads_somewhere() -> None:
    for document in DOCUMENTS.values():
        references = {value for key, value in _walk(document) if key == "$ref"}
        assert references
        for reference in references:
            place: Any = document
            for step in reference.removeprefix("#/").split("/"):
                place = place[step]


def test_each_operation_is_named_once_and_says_what_it_needs() -> None:
    names = [operation.id for operation in OPERATIONS]
    assert len(names) == len(set(names))
    for operation in OPERATIONS:
        fields = (*operation.path_fields, *operation.query, *(operation.body or ()))
        assert len({field.name for field in fields}) == len(fields)
        if operation.body is not None:
            assert {"reason", "request_id", "dry_run"} <= {field.name for field in operation.body}
        if operation.permission is not None:
            assert {400, 401, 403, 429, 503} <= set(statuses(operation))


def test_the_table_of_operations_in_the_documentation_is_complete() -> None:
    page = (HERE.parents[2] / "docs" / "actions.md").read_text()
    for operation in OPERATIONS:
        shown = operation.path.replace("message_id", "id").replace("action_id", "id")
        assert f"{operation.method} {shown}" in page or operation.permission is None, operation.id
    for code in _CODES:
        assert f"`{code}`" in page


def _walk(value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)
