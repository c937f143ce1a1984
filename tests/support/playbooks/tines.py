"""A story of Tines: events run from action to action along its links."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.playbooks import Send, value_at

_TEMPLATE = re.compile(r"<<([^>]+)>>")


def run(
    story: Mapping[str, Any],
    send: Send,
    context: Mapping[str, Any],
    delayed: Callable[[Mapping[str, Any]], None] = lambda _: None,
) -> dict[str, list[Any]]:
    """Run the scheduled actions of *story*, and what follows them; what each action emitted, by its name.

    Args:
        story: the export.
        send: sends requests.
        context: ``RESOURCE``, ``CREDENTIAL`` and ``META``.
        delayed: called with an event where the story waits.
    """
    agents = story["agents"]
    receivers: dict[int, list[int]] = {}
    for link in story["links"]:
        receivers.setdefault(link["source"], []).append(link["receiver"])
    emitted: dict[str, list[Any]] = {agent["name"]: [] for agent in agents}
    todo = deque((index, dict(context)) for index, agent in enumerate(agents) if agent["schedule"])
    while todo:
        index, event = todo.popleft()
        agent = agents[index]
        if agent["options"].get("mode") == "delay":
            delayed(event)
        for output in _outputs(agent, send, event):
            emitted[agent["name"]].append(output)
            # An event carries what every action before it emitted, under the action's name.
            passed_on = {**event, _slug(agent["name"]): output}
            todo.extend((receiver, passed_on) for receiver in receivers.get(index, []))
    return emitted


def _outputs(agent: Mapping[str, Any], send: Send, event: Mapping[str, Any]) -> list[Any]:
    options = agent["options"]
    match agent["type"], options.get("mode"):
        case "Agents::HTTPRequestAgent", _:
            status, body = send(
                options["method"],
                str(_filled(options["url"], event)),
                {name: str(_filled(text, event)) for name, text in options["headers"].items()},
                _filled(options.get("payload"), event),
            )
            return [{"status": status, "body": body}]
        case "Agents::TriggerAgent", _:
            matching = [rule for rule in options["rules"] if _matches(rule, event)]
            return [{}] if len(matching) >= int(options["must_match"]) else []
        case "Agents::EventTransformationAgent", "explode":
            items = value_at(dict(event), options["path"].removeprefix("=").split("."))
            return [{options["to"]: item} for item in items]
        case "Agents::EventTransformationAgent", "message_only":
            return [_filled(options["payload"], event)]
        case "Agents::EventTransformationAgent", "delay":
            return [{}]
    raise AssertionError(f"an action that nothing here can run: {agent['type']} {options.get('mode')}")


def _matches(rule: Mapping[str, str], event: Mapping[str, Any]) -> bool:
    text = _text(_filled(rule["path"], event))
    match rule["type"]:
        case "field==value":
            return text == rule["value"]
        case "field!=value":
            return text != rule["value"]
        case "regex":
            return re.search(rule["value"], text) is not None
    raise AssertionError(f"a rule that nothing here can check: {rule['type']}")


def _filled(template: Any, event: Mapping[str, Any]) -> Any:
    if isinstance(template, dict):
        return {name: _filled(one, event) for name, one in template.items()}
    if isinstance(template, list):
        return [_filled(one, event) for one in template]
    if not isinstance(template, str):
        return template
    return _TEMPLATE.sub(lambda found: _text(value_at(dict(event), found[1].strip().split("."))), template)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _slug(name: str) -> str:
    return name.lower().replace(" ", "_")
