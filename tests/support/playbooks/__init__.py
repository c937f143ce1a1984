"""Runs the playbooks of ``deploy/soar`` as their platforms do, as far as these playbooks go.

None of the platforms can be had here. Each is one module: the few kinds of steps that our playbooks have, and
its way to fill in templates. What it does not know, it refuses: no playbook can rely on what nothing shows.
"""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jsonschema

from connector.actions.http.documents import openapi

Send: TypeAlias = Callable[[str, str, Mapping[str, str], Any], tuple[int, Any]]
"""Sends method, URL, headers and JSON body; status and body of the answer."""


@dataclass
class Wire:
    """Requests of a playbook: those to the connector are checked against its OpenAPI document, and sent.

    Args:
        url: of the connector.
        elsewhere: answers those to other addresses.
        wait: seconds that the connector may wait for the end of an action, whatever the playbook asks for.
    """

    url: str
    elsewhere: Send
    wait: int = 20
    sent: list[tuple[str, str]] = field(default_factory=list)
    operations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._paths = openapi(self.url)["paths"]

    def send(self, method: str, url: str, headers: Mapping[str, str], body: Any = None) -> tuple[int, Any]:
        """Send one request; status and body of the answer."""
        method = method.upper()
        self.sent.append((method, url))
        if not url.startswith(self.url):
            return self.elsewhere(method, url, headers, body)
        self._check(method, url.removeprefix(self.url), body)
        request = urllib.request.Request(
            re.sub(r"\bwait=[0-9]+s", f"wait={self.wait}s", url),
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={**headers, **({} if body is None else {"Content-Type": "application/json"})},
        )
        try:
            with urllib.request.urlopen(request, timeout=60, context=ssl.create_default_context()) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def _check(self, method: str, target: str, body: Any) -> None:
        parts = urllib.parse.urlsplit(target)
        found = [
            (path.count("{"), operations[method.lower()])
            for path, operations in self._paths.items()
            if method.lower() in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), parts.path)
        ]
        assert found, f"the API has no {method} {parts.path}"
        operation = min(found, key=lambda one: one[0])[1]
        self.operations.append(operation["operationId"])
        parameters = {one["name"]: one for one in operation["parameters"] if one["in"] == "query"}
        given = urllib.parse.parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        for name, text in given:
            schema = parameters[name]["schema"]
            jsonschema.validate(int(text) if schema["type"] == "integer" else text, schema)
        if body is not None:
            content = operation["requestBody"]["content"]["application/json"]
            jsonschema.validate(body, content["schema"])


def value_at(value: Any, path: list[str]) -> Any:
    """The member of *value* at *path*; ``None`` for what is not there."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
