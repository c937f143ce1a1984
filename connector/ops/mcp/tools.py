"""The tools: operations of the HTTP API as an assistant sees them, and the requests that calls become."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias, get_args
from urllib.parse import quote

from connector.actions.fields import Field, parse_body
from connector.actions.operations import OPERATIONS, Operation
from connector.actions.refusals import malformed
from connector.model import JsonObject

Permitted: TypeAlias = Literal["move", "release", "submit", "block", "cancel"]
"""What an operator can allow the server to do besides reading."""

PERMITTED: Final[tuple[str, ...]] = get_args(Permitted)

WAIT: Final = 15
"""Seconds that an answer waits for the end of an action: MCP clients give up after a minute, some earlier."""

_READING: Final = (
    "get_caller",
    "search_messages",
    "get_message",
    "pull_events",
    "list_actions",
    "get_action",
)
_ACTING: Final[Mapping[str, tuple[Permitted, bool, bool]]] = {
    # Destructive: what is done cannot be undone, or takes something away. A submission only adds a case.
    # Idempotent: the same call again changes nothing more.
    "move_messages": ("move", True, True),
    "release_messages": ("release", True, False),
    "submit_messages": ("submit", False, False),
    "block_sender": ("block", True, True),
    "unblock_sender": ("block", True, True),
    "cancel_action": ("cancel", True, True),
}
"""Operations that change something: what allows them, whether they are destructive, whether idempotent.

Approving is missing on purpose: an approval is the decision of somebody else than who proposes the action.
"""

_ROWS: Final = {"search_messages": 10, "pull_events": 10, "list_actions": 20}
"""Rows of an answer where a call does not say; records are large, and an assistant reads every word."""

_MOST_ROWS: Final = 100

_OUTSIDE: Final = frozenset({"get_caller", "list_actions", "get_action", "cancel_action"})
"""Operations that answer with the connector's own words; the others show or change the world of email."""

_PREVIEWED: Final = (
    "Tells what it would do, unless dry_run is false and confirm is true. Show the preview to a person, and "
    "act only if they agree."
)
_CONFIRM: Final = Field(
    "confirm", "boolean", "Whether a person agreed to exactly this. Default: false: nothing is changed."
)
_DRY_RUN: Final = Field(
    "dry_run", "boolean", "Only tell what would be done. Default: true. False needs confirm too."
)


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool.

    Args:
        operation: what it calls.
        fields: its arguments.
        description: for the assistant.
        allowed_by: what an operator must have allowed; empty for reading.
        destructive: whether it may take something away.
        idempotent: whether the same call again changes nothing more.
        open_world: whether what it returns was written by anybody, or it changes what others see.
    """

    operation: Operation
    fields: tuple[Field, ...]
    description: str
    allowed_by: str = ""
    destructive: bool = False
    idempotent: bool = True
    open_world: bool = True

    @property
    def name(self) -> str:
        """Name of the tool: that of the operation."""
        return self.operation.id

    @property
    def previews(self) -> bool:
        """Whether it can tell what it would do."""
        return _DRY_RUN in self.fields

    def schema(self) -> JsonObject:
        """JSON Schema of the arguments."""
        members: JsonObject = {}
        for field in self.fields:
            members[field.name] = {**field.schema(), "description": field.help}
        required = [field.name for field in self.fields if field.required]
        return {
            "type": "object", "properties": members, "required": required, "additionalProperties": False,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request to the HTTP API.

    Args:
        method: HTTP method.
        path: with the values of its parameters.
        query: parameters, in order.
        body: the JSON body; ``None`` without one.
        request_id: under which it can be repeated; empty where it changes nothing.
        preview: whether it only tells what would be done.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: JsonObject | None = None
    request_id: str = ""
    preview: bool = False


def tools(allowed: Iterable[str], may: Iterable[str]) -> tuple[Tool, ...]:
    """The tools for a caller that *may*, of which an operator *allowed* some that change something."""
    allowed, may = frozenset(allowed), frozenset(may)
    found = {operation.id: operation for operation in OPERATIONS}
    reading = [_reading(found[name]) for name in _READING]
    acting = [_acting(found[name]) for name, (permission, *_) in _ACTING.items() if permission in allowed]
    return tuple(
        tool
        for tool in (*reading, *acting)
        if not tool.operation.permission or tool.operation.permission in may
    )


def _reading(operation: Operation) -> Tool:
    rows = _ROWS.get(operation.id)
    fields = []
    for field in (*operation.path_fields, *operation.query):
        if field.name == "limit" and rows is not None:
            help_ = f"Most of them in the answer. Default: {rows}."
            fields.append(replace(field, help=help_, most=_MOST_ROWS))
        elif field.name != "wait":
            fields.append(field)
    text = f"{operation.summary}. {operation.description}"
    return Tool(operation, tuple(fields), text, open_world=operation.id not in _OUTSIDE)


def _acting(operation: Operation) -> Tool:
    allowed_by, destructive, idempotent = _ACTING[operation.id]
    kept = [
        _DRY_RUN if field.name == "dry_run" else field
        for field in (*operation.path_fields, *operation.query, *(operation.body or ()))
        if field.name != "wait"
    ]
    text = f"{operation.summary}. " + (
        _PREVIEWED if _DRY_RUN in kept else f"{operation.description} Needs confirm to be true."
    )
    return Tool(
        operation, (*kept, _CONFIRM), text, allowed_by, destructive, idempotent,
        open_world=operation.id not in _OUTSIDE,
    )  # fmt: skip


def request_of(tool: Tool, arguments: Mapping[str, Any], fresh: str) -> ApiRequest:
    """The request that a call becomes; *fresh* names it where the call does not.

    Raises ``CallRefusedError`` for arguments that are unknown, missing or of another form.
    """
    parse_body(tool.fields, dict(arguments))
    given = {name: value for name, value in arguments.items() if value is not None}
    confirmed = given.pop("confirm", False) is True
    preview, request_id = False, ""
    if tool.previews:
        preview = not (confirmed and given.get("dry_run") is False)
        given["dry_run"] = preview
        request_id = str(given.pop("request_id", fresh))
        if not preview:
            # Without a name a call that is repeated, because its answer was lost, would act twice.
            given["request_id"] = request_id
    elif tool.allowed_by and not confirmed:
        raise malformed("/confirm", "ask a person, then call again with confirm true")
    operation = tool.operation
    if "limit" not in given and operation.id in _ROWS:
        given["limit"] = _ROWS[operation.id]
    path = operation.path
    for field in operation.path_fields:
        path = path.replace(f"{{{field.name}}}", quote(str(given.pop(field.name)), safe=""))
    asked = {field.name: given.pop(field.name) for field in operation.query if field.name in given}
    if operation.id != "pull_events" and any(field.name == "wait" for field in operation.query):
        asked["wait"] = f"{WAIT}s"
    query = tuple((name, _text(value)) for name, value in asked.items())
    return ApiRequest(
        operation.method, path, query, None if operation.body is None else given, request_id, preview
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
