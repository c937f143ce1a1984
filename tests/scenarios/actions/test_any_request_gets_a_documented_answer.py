"""Whatever is sent: the answer is documented, nothing crashes, nothing outside the scope happens."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema
import pytest

from connector.actions.fields import Field
from connector.actions.http.documents import MEDIA, openapi, statuses
from connector.actions.operations import OPERATIONS, Operation
from connector.simulator import Simulator
from tests.support.acting import Acting, acting
from tests.support.jumping_loop import run, wall_clock

pytestmark = pytest.mark.slow

CALLERS = """
    soc: {token: soc-token-0123456789,
          may: [search, get, preview, raw, events, move, release, submit, block, approve],
          recipients: ["*@corp.example"], destinations: [JunkEmail], per_hour: 100000,
          block: {never: [corp.example]}}
"""
DOCUMENT = openapi("http://actions")
ODD: tuple[object, ...] = (
    None, True, 0, -1, 2**70, 0.5, 1e400, "", " ", "x" * 2000, "..", "../..", "a/b", "%2e%2e", "\r\nX: 1",
    "\x00", "\ud800", "\u202e", "💥", [], [None], ["a"] * 1001, {}, {"a": 1}, [[]],
)  # fmt: skip
TEXTS = ("SOC-1", "evil.example", "203.0.113.9", "prod", "0", "a@corp.example", "ecs")
TIMES = ("2026-03-01T11:00:00Z", "2026-02-01T00:00:00+01:00")


def _odd(chance: random.Random) -> object:
    """A value that no field expects: one that broke something somewhere, or characters of every kind."""
    if chance.random() < 0.5:
        return chance.choice(ODD)
    return "".join(
        chr(chance.randrange(1, chance.choice((0x80, 0x800, 0xD800)))) for _ in range(chance.randrange(20))
    )


def _value(field: Field, ids: list[str], chance: random.Random) -> object:
    """A value that fits *field*, mostly."""
    if field.name in {"ids", "message_id"}:
        known = [*ids, "unknown"]
        return chance.sample(known, chance.randint(1, 4)) if field.name == "ids" else chance.choice(known)
    likely = {"request_id": f"r{chance.randrange(1000)}", "account": "prod", "reason": "SOC-1"}
    if field.name in likely and chance.random() < 0.9:
        return likely[field.name]
    texts = field.allowed or (TIMES if field.type == "time" else TEXTS)
    if field.type == "strings":
        return chance.sample(texts, chance.randint(1, 2))
    if field.type == "boolean":
        return chance.random() < 0.5
    if field.type == "integer":
        return chance.randint(field.least, min(field.most, 5000))
    return chance.choice(texts)


def _request(ids: list[str], chance: random.Random) -> dict[str, Any]:
    """One request to any operation: as documented, but for about one odd value in twenty-five."""
    operation = chance.choice(OPERATIONS)

    def some(fields: tuple[Field, ...]) -> dict[str, Any]:
        return {
            field.name: _odd(chance) if chance.random() < 0.04 else _value(field, ids, chance)
            for field in fields
            if field.required or chance.random() < 0.5
        }

    path = operation.path
    for field in operation.path_fields:
        value = _odd(chance) if chance.random() < 0.3 else _value(field, ids, chance)
        path = path.replace(f"{{{field.name}}}", quote(_plain(value), safe="") or "x")
    query = {name: _plain(value) for name, value in some(operation.query).items()}
    if chance.random() < 0.1:
        query[chance.choice("abcxyz") * chance.randint(1, 5)] = "1"
    query.pop("wait", None)
    body = None if operation.body is None else some(operation.body)
    if body is not None and chance.random() < 0.1:
        body[_plain(_odd(chance))] = _odd(chance)
    return {"operation": operation, "path": path, "query": query, "body": body, "raw": chance.randrange(30)}


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()


async def _send(place: Acting, request: dict[str, Any]) -> httpx.Response:
    operation: Operation = request["operation"]
    headers = {"authorization": "Bearer soc-token-0123456789"}
    content: bytes | None = None
    if request["body"] is not None:
        headers["content-type"] = "application/json"
        content = json.dumps(request["body"]).encode()
        if request["raw"] == 0:
            content = content[: len(content) // 2]
        elif request["raw"] == 1:
            headers["content-type"] = "text/plain"
        elif request["raw"] == 2:
            content = b"[" * 5000
    elif request["raw"] == 3:
        headers = {}
    return await place.client.request(
        operation.method, request["path"], params=request["query"], headers=headers, content=content
    )


def _check(request: dict[str, Any], reply: httpx.Response, number: int) -> None:
    """The answer is one that the document describes."""
    operation: Operation = request["operation"]
    known = {*operation.answers, *statuses(operation)}
    if operation.path_fields:
        known |= {404, 405}  # an odd value in the path may be another path
    assert reply.status_code in known, (number, request, reply.text)
    assert reply.status_code < 500, (number, request, reply.text)
    media = reply.headers["content-type"]
    if reply.status_code >= 400:
        assert media == MEDIA
        _validate("Problem", reply.json())
        assert reply.json()["status"] == reply.status_code
    elif operation.media == "application/json" and reply.status_code in operation.answers:
        assert media == "application/json"
        page = reply.json()
        for rows in ("actions", "events", "messages"):
            if rows in page:
                del page[rows][5:]  # all of them are made alike
        _validate(operation.answers[reply.status_code], page)


def _validate(name: str, value: object) -> None:
    _validator(name).validate(value)


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    text = json.dumps(DOCUMENT["components"]["schemas"]).replace("#/components/schemas/", "#/$defs/")
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": _nullable(json.loads(text))})


def _nullable(schema: Any) -> Any:
    if isinstance(schema, dict):
        inner = {key: _nullable(value) for key, value in schema.items() if key != "nullable"}
        return {**inner, "type": [inner["type"], "null"]} if schema.get("nullable") is True else inner
    return [_nullable(item) for item in schema] if isinstance(schema, list) else schema


def _fuzz(directory: Path, requests: int) -> Counter[int]:
    """Send so many requests; how often each status was the answer."""
    statuses_seen: Counter[int] = Counter()

    async def story() -> None:
        simulator = Simulator(clock=wall_clock(asyncio.get_running_loop()))
        simulator.behaviour.quota = None
        async with acting(directory, simulator, callers=CALLERS, budget=1_000_000) as place:
            own = [place.held() for _ in range(3)] + [place.delivered() for _ in range(3)]
            foreign = [place.held(client_recipients=["x@other.example"]) for _ in range(3)]
            await asyncio.sleep(5)
            chance = random.Random(20261130)
            for number in range(requests):
                request = _request([*own, *foreign], chance)
                reply = await _send(place, request)
                _check(request, reply, number)
                statuses_seen[reply.status_code] += 1
            for action in await place.ledger.page(0, 100_000):
                await place.settled(action.id)
            for write in simulator.ledger.writes:
                for effect in write.effects:
                    assert effect.target not in foreign, effect
                    assert effect.detail.get("destination") in {None, "JunkEmail"}
                    assert not str(effect.detail.get("pattern", "")).endswith("corp.example")

    run(story(), grace=0.0005)
    return statuses_seen


@pytest.mark.timeout(600)
def test_ten_thousand_requests_get_documented_answers(tmp_path: Path) -> None:
    seen = _fuzz(tmp_path, 10_000)

    assert sum(seen.values()) == 10_000
    # Every kind of answer but those to an API or a journal in trouble, and to a playbook in a loop.
    assert {200, 202, 400, 401, 403, 404, 409, 415, 422} <= set(seen)


def test_paths_and_methods_that_do_not_exist_are_named(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            for method, path, status in (
                ("GET", "/", 404), ("GET", "/v1", 404), ("PUT", "/v1/caller", 405),
                ("HEAD", "/v1/caller", 405), ("POST", "/v1/messages", 405),
                ("GET", "/v1/messages/a%2Fb", 400),
                ("DELETE", "/v1/actions", 405),
                ("GET", "/v1/messages/move", 405),
                ("GET", "/v1/events?" + "&".join(f"a{number}=1" for number in range(200)), 400),
                ("GET", "/v1/messages?subject=%ff", 400),
            ):  # fmt: skip
                reply = await place.call(method, path)
                assert reply.status_code == status, (method, path)
                assert reply.headers["content-type"] == MEDIA
                if status == 405:
                    assert reply.headers["allow"]
            allowed = await place.call("GET", "/v1/messages/move")
            assert allowed.headers["allow"] == "POST"
            large = {"ids": ["x" * 300] * 1000, "reason": "y" * 300_000, "destination": "Inbox"}
            assert (await place.call("POST", "/v1/messages/move", large)).status_code == 413

    run(story(), grace=0.02)


@pytest.mark.parametrize("name", ["dry_run", "request_id", "account"])
def test_a_null_is_not_what_was_left_out(tmp_path: Path, name: str) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            body = {"ids": [place.held()], "reason": "SOC-1", name: None}

            reply = await place.call("POST", "/v1/messages/release?wait=20s", body)

            assert (reply.status_code, reply.json()["pointer"]) == (400, f"/{name}")
            assert list(place.simulator.ledger.writes) == []
            [event] = await place.audit()
            assert event["status"] == 400

    run(story(), grace=0.02)
