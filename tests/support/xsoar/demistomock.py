"""What Cortex XSOAR gives a running integration: a call from the environment; effects go to stdout."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

_CALL: dict[str, Any] = json.loads(os.environ.get("XSOAR_CALL", "{}"))


def command() -> str:
    name: str = _CALL["command"]
    return name


def args() -> dict[str, str]:
    return dict(_CALL.get("args", {}))


def params() -> dict[str, Any]:
    return dict(_CALL["params"])


def getLastRun() -> dict[str, Any]:  # noqa: N802, the platform's name
    return dict(_CALL.get("last_run", {}))


def setLastRun(value: dict[str, Any]) -> None:  # noqa: N802, the platform's name
    tell("last_run", value)


def incidents(value: list[dict[str, Any]]) -> None:
    tell("incidents", value)


def error(text: str) -> None:
    tell("log", text)


def tell(what: str, value: object) -> None:
    """Write what the platform would get."""
    sys.stdout.write(json.dumps({what: value}) + "\n")
