"""The part of Cortex XSOAR's CommonServerPython that the integration uses; it is in no package.

Signatures and behaviour as in the platform's; unknown keyword arguments fail as they would there.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import demistomock  # type: ignore[import-not-found]  # beside this file, as on the platform
import httpx

__all__ = [
    "BaseClient", "CommandResults", "DemistoException", "ScheduledCommand", "argToBoolean", "argToList",
    "arg_to_number", "return_error", "return_results", "tableToMarkdown",
]  # fmt: skip


class DemistoException(Exception):
    def __init__(self, message: str, exception: object = None, res: object = None) -> None:
        super().__init__(message)
        self.res = res


class BaseClient:
    def __init__(
        self, base_url: str, verify: bool = True, proxy: bool = False, headers: dict[str, str] | None = None
    ) -> None:
        self._base_url, self._verify, self._proxy, self._headers = base_url, verify, proxy, headers

    def _http_request(
        self,
        method: str,
        url_suffix: str = "",
        *,
        json_data: object = None,
        params: dict[str, Any] | None = None,
        timeout: float = 10,
        retries: int = 0,
        status_list_to_retry: list[int] | None = None,
        error_handler: Callable[[httpx.Response], None] | None = None,
    ) -> Any:
        url = self._base_url + url_suffix
        with httpx.Client(verify=self._verify, trust_env=self._proxy) as client:
            for left in range(retries, -1, -1):
                answer = client.request(
                    method, url, headers=self._headers, params=params, json=json_data, timeout=timeout
                )
                if not left or answer.status_code not in (status_list_to_retry or ()):
                    break
        if not answer.is_success:
            if error_handler is None:
                raise DemistoException(f"Error in API call [{answer.status_code}]", res=answer)
            error_handler(answer)
        return answer.json()


@dataclasses.dataclass
class ScheduledCommand:
    command: str
    next_run_in_seconds: int
    args: dict[str, Any]
    timeout_in_seconds: int

    @staticmethod
    def raise_error_if_not_supported() -> None:
        return


@dataclasses.dataclass
class CommandResults:
    outputs_prefix: str
    outputs_key_field: str
    outputs: object
    readable_output: str
    raw_response: object
    scheduled_command: ScheduledCommand | None = None


def return_results(results: CommandResults | str) -> None:
    demistomock.tell("results", results if isinstance(results, str) else dataclasses.asdict(results))


def return_error(message: str, error: object = "", outputs: object = None) -> NoReturn:
    demistomock.tell("error", message)
    sys.exit(0)


def argToList(arg: Any, separator: str = ",") -> list[Any]:  # noqa: N802, the platform's name
    if not arg:
        return []
    if isinstance(arg, list):
        return arg
    if arg[0] == "[" and arg[-1] == "]":
        return list(json.loads(arg))
    return [item.strip() for item in arg.split(separator)]


def argToBoolean(value: Any) -> bool:  # noqa: N802, the platform's name
    if isinstance(value, bool):
        return value
    known = {"y": True, "yes": True, "true": True, "n": False, "no": False, "false": False}
    if str(value).lower() not in known:
        message = f"Argument does not contain a valid boolean-like value: {value}"
        raise ValueError(message)
    return known[str(value).lower()]


def arg_to_number(arg: Any, arg_name: str | None = None, required: bool = False) -> int | None:
    if arg in (None, ""):
        return None
    try:
        return int(float(arg))
    except ValueError:
        message = f'Invalid number: "{arg_name}"="{arg}"'
        raise ValueError(message) from None


def tableToMarkdown(  # noqa: N802, the platform's name
    name: str,
    t: Any,
    headers: list[str] | None = None,
    *,
    removeNull: bool = False,  # noqa: N803, the platform's name
) -> str:
    rows = t if isinstance(t, list) else [t]
    columns = headers or list(rows[0] if rows else ())
    if removeNull:
        columns = [column for column in columns if any(row.get(column) for row in rows)]
    lines = [" | ".join(str(row.get(column, "")) for column in columns) for row in rows]
    return "\n".join([f"### {name}", " | ".join(columns), *lines])
