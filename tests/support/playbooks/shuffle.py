"""A workflow of Shuffle: actions along its branches; ``.#`` in a parameter repeats an action per item."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from tests.support.playbooks import Send, value_at

_VARIABLE = re.compile(r"\$([a-zA-Z0-9_-]+(?:\.[a-zA-Z0-9_#-]+)*)")


def run(
    workflow: Mapping[str, Any], send: Send, variables: Mapping[str, str], datastore: dict[str, str]
) -> dict[str, Any]:
    """Run *workflow* once; the result of every action that ran, by its label in lower case."""
    by_id = {action["id"]: action for action in workflow["actions"]}
    results: dict[str, Any] = dict(variables)
    todo = [workflow["start"]]
    while todo:
        action = by_id[todo.pop(0)]
        results[action["label"].lower()] = _repeated(action, send, results, datastore)
        todo += [
            branch["destination_id"]
            for branch in workflow["branches"]
            if branch["source_id"] == action["id"] and _holds(branch["conditions"], results)
        ]
    return results


def _holds(conditions: Any, results: Mapping[str, Any]) -> bool:
    for one in conditions or []:
        source = _filled(one["source"]["value"], results, None)
        destination = _filled(one["destination"]["value"], results, None)
        match one["condition"]["value"]:
            case "equals":
                holds = source.lower() == destination.lower()
            case "does not equal":
                holds = source.lower() != destination.lower()
            case other:
                raise AssertionError(f"a condition that nothing here can check: {other}")
        if not holds:
            return False
    return True


def _repeated(
    action: Mapping[str, Any], send: Send, results: Mapping[str, Any], datastore: dict[str, str]
) -> Any:
    parameters = {one["name"]: one["value"] for one in action["parameters"]}
    lists = [
        value_at(dict(results), path.partition(".#")[0].split("."))
        for text in parameters.values()
        for path in _VARIABLE.findall(text)
        if ".#" in path
    ]
    if not lists:
        filled = {name: _filled(text, results, None) for name, text in parameters.items()}
        return _once(action, filled, send, datastore)
    return [
        _once(
            action,
            {name: _filled(text, results, index) for name, text in parameters.items()},
            send,
            datastore,
        )
        for index in range(len(lists[0]))
    ]


def _once(
    action: Mapping[str, Any], parameters: Mapping[str, str], send: Send, datastore: dict[str, str]
) -> Any:
    match action["app_name"], action["name"]:
        case "http", ("GET" | "POST") as method:
            assert parameters["verify"] == "true", "the app of Shuffle checks no certificate otherwise"
            lines = parameters["headers"].split("\n")
            headers = {
                name.strip(): text.strip() for name, _, text in (line.partition(":") for line in lines)
            }
            # The app reads a body as Python, not as JSON: true, false and null end it.
            body = ast.literal_eval(parameters["body"]) if "body" in parameters else None
            status, answer = send(method, parameters["url"], headers, body)
            return {"status": status, "body": answer, "success": True}
        case "Shuffle Tools", "get_cache_value":
            found = datastore.get(parameters["key"])
            return {"success": found is not None, "value": found or ""}
        case "Shuffle Tools", "set_cache_value":
            datastore[parameters["key"]] = parameters["value"]
            return {"success": True}
        case "Shuffle Tools", "filter_list":
            return _filter(parameters)
    raise AssertionError(f"an action that nothing here can run: {action['app_name']} {action['name']}")


def _filter(parameters: Mapping[str, str]) -> dict[str, Any]:
    valid: list[Any] = []
    invalid: list[Any] = []
    for item in json.loads(parameters["input_list"]):
        # What does not have the field is invalid, whatever the check.
        value = value_at(item, parameters["field"].split("."))
        text = value if isinstance(value, str) else json.dumps(value)
        match parameters["check"]:
            case "equals":
                fits = value is not None and text.lower() == parameters["value"].lower()
            case "contains":
                fits = value is not None and parameters["value"].lower() in text.lower()
            case other:
                raise AssertionError(f"a check that nothing here knows: {other}")
        assert parameters["opposite"] == "false"
        (valid if fits else invalid).append(item)
    return {"success": True, "valid": valid, "invalid": invalid}


def _filled(text: str, results: Mapping[str, Any], index: int | None) -> str:
    def value(found: re.Match[str]) -> str:
        before, _, after = found[1].partition(".#")
        place = value_at(dict(results), before.split("."))
        if after:
            assert index is not None
            place = value_at(place[index], after.removeprefix(".").split("."))
        return place if isinstance(place, str) else json.dumps(place)

    return _VARIABLE.sub(value, text)
