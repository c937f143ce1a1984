"""Reads the members of a request that came through the control socket."""

from __future__ import annotations

from typing import Literal, TypeAlias

from connector.errors import ConnectorError
from connector.model import JsonObject

Action: TypeAlias = Literal["replay", "purge"]


def action_of(request: JsonObject) -> Action:
    """The member ``action``. Like all here, raises ``ConnectorError`` where it is missing or wrong."""
    action = request.get("action")
    if action == "replay":
        return "replay"
    if action == "purge":
        return "purge"
    raise invalid_request("action")


def text_of(request: JsonObject, key: str) -> str:
    """The text under *key*."""
    value = request.get(key)
    if not isinstance(value, str):
        raise invalid_request(key)
    return value


def number_of(request: JsonObject, key: str) -> int:
    """The integer under *key*."""
    value = request.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid_request(key)
    return value


def numbers_of(value: object) -> list[int]:
    """*value* as a list of different integers."""
    if not isinstance(value, list) or not all(type(number) is int for number in value):
        raise invalid_request("numbers")
    return list(dict.fromkeys(value))


def invalid_request(key: str = "") -> ConnectorError:
    """The error for a request that no command of this version sends."""
    what = f": {key!r} is missing or wrong" if key else ""
    return ConnectorError(f"invalid request{what} (version mismatch between command and daemon?)")
