"""The API documents: OpenAPI 3.0 and Swagger 2.0, small and flat, for platforms that import them.

What some importers cannot read is left out on purpose: ``oneOf``, multipart bodies, references to elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from connector import __version__
from connector.actions.fields import Field
from connector.actions.operations import OPERATIONS, SCHEMAS, Operation
from connector.actions.refusals import phrase
from connector.model import JsonObject

_TITLE = "Cloudflare Email Connector: response actions"
_ABOUT = (
    "Search, read, move, release and submit email, block senders, and pull events. Every request is checked "
    "against the caller's scope and leaves an audit trail."
)
_REFUSALS = (400, 401, 403, 422, 429, 503)
"""Refusals that every operation for callers may have."""

MEDIA = "application/problem+json"
"""Media type of refusals (RFC 9457)."""


def statuses(operation: Operation) -> tuple[int, ...]:
    """Every status of a refusal that *operation* may answer with."""
    if operation.permission is None:
        return (400,)
    with_body = (413, 415) if operation.body is not None else ()
    return tuple(sorted({*_REFUSALS, *operation.refusals, *with_body}))


def openapi(server: str) -> JsonObject:
    """The API as OpenAPI 3.0; *server* is its URL."""
    paths: JsonObject = {}
    for operation in OPERATIONS:
        described: JsonObject = {
            **_about(operation),
            "parameters": [
                *(_parameter3(field, "path") for field in operation.path_fields),
                *(_parameter3(field, "query") for field in operation.query),
            ],
            "responses": {
                **{
                    str(status): {
                        "description": phrase(status),
                        "content": {operation.media: {"schema": _schema3(name)}},
                    }
                    for status, name in operation.answers.items()
                },
                **{
                    str(status): {
                        "description": phrase(status),
                        "content": {MEDIA: {"schema": _reference3("Problem")}},
                    }
                    for status in statuses(operation)
                },
            },
        }
        if operation.body is not None:
            content = {"application/json": {"schema": _body(operation.body)}}
            described["requestBody"] = {"required": True, "content": content}
        if operation.permission is None:
            described["security"] = []
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.0.3",
        "info": {"title": _TITLE, "description": _ABOUT, "version": __version__},
        "servers": [{"url": server}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {name: _resolved(schema, _reference3, "nullable") for name, schema in SCHEMAS.items()},
        },
    }


def swagger(server: str) -> JsonObject:
    """The API as Swagger 2.0; *server* is its URL."""
    scheme, _, host = server.partition("://")
    paths: JsonObject = {}
    for operation in OPERATIONS:
        described: JsonObject = {
            **_about(operation),
            "produces": [operation.media, MEDIA] if operation.permission is not None else [operation.media],
            "parameters": [
                *(_parameter2(field, "path") for field in operation.path_fields),
                *(_parameter2(field, "query") for field in operation.query),
            ],
            "responses": {
                **{
                    str(status): {"description": phrase(status), "schema": _schema2(name)}
                    for status, name in operation.answers.items()
                },
                **{
                    str(status): {
                        "description": phrase(status),
                        "schema": _reference2("Problem"),
                    }
                    for status in statuses(operation)
                },
            },
        }
        if operation.body is not None:
            body = {"name": "body", "in": "body", "required": True, "schema": _body(operation.body)}
            described["parameters"].append(body)
            described["consumes"] = ["application/json"]
        if operation.permission is None:
            described["security"] = []
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "swagger": "2.0",
        "info": {"title": _TITLE, "description": _ABOUT, "version": __version__},
        "host": host,
        "basePath": "/",
        "schemes": [scheme],
        "securityDefinitions": {
            "token": {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "The word Bearer, a blank, and the caller's token.",
            }
        },
        "security": [{"token": []}],
        "paths": paths,
        "definitions": {
            name: _resolved(schema, _reference2, "x-nullable") for name, schema in SCHEMAS.items()
        },
    }


def _about(operation: Operation) -> JsonObject:
    return {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.description,
        "x-read-only": not operation.destructive,
    }


def _parameter3(field: Field, place: str) -> JsonObject:
    parameter: JsonObject = {
        "name": field.name,
        "in": place,
        "required": field.required,
        "description": field.help,
        "schema": field.schema(),
    }
    if field.type == "strings":
        parameter |= {"style": "form", "explode": False}
    return parameter if field.example is None else {**parameter, "example": field.example}


def _parameter2(field: Field, place: str) -> JsonObject:
    schema = field.schema()
    if field.type == "strings":
        schema["collectionFormat"] = "csv"
    return {
        "name": field.name,
        "in": place,
        "required": field.required,
        "description": field.help,
        **schema,
    }


def _body(fields: tuple[Field, ...]) -> JsonObject:
    members = {
        field.name: {
            **field.schema(),
            "description": field.help,
            **({} if field.example is None else {"example": field.example}),
        }
        for field in fields
    }
    required = [field.name for field in fields if field.required]
    return {"type": "object", "required": required, "properties": members, "additionalProperties": False}


def _reference3(name: str) -> JsonObject:
    return {"$ref": f"#/components/schemas/{name}"}


def _reference2(name: str) -> JsonObject:
    return {"$ref": f"#/definitions/{name}"}


def _schema3(name: str) -> JsonObject:
    return {"type": "string", "format": "binary"} if name == "binary" else _reference3(name)


def _schema2(name: str) -> JsonObject:
    return {"type": "file"} if name == "binary" else _reference2(name)


def _resolved(schema: Mapping[str, object], refer: Callable[[str], JsonObject], nullable: str) -> JsonObject:
    if "$ref" in schema:
        return refer(str(schema["$ref"]))
    resolved: JsonObject = {}
    for key, value in schema.items():
        if isinstance(value, dict):
            resolved[key] = (
                {name: _resolved(cast("JsonObject", inner), refer, nullable) for name, inner in value.items()}
                if key == "properties"
                else _resolved(value, refer, nullable)
            )
        else:
            resolved[nullable if key == "nullable" else key] = value
    return resolved
