"""Whatever is sent: the answer is documented, nothing crashes, nothing outside the scope happens."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

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
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
    st.sampled_from(["x" * 2000, "..", "../..", "a/b", "%2e%2e", "\r\nX: 1", "\x00", "\ud800", "💥"]),
)  # fmt: skip


def _value(field: Field, ids: list[str]) -> st.SearchStrategy[Any]:
    """Values that fit *field*, mostly."""
    if field.name in {"ids", "message_id"}:
        known = st.sampled_from([*ids, "unknown"])
        return st.lists(known, min_size=1, max_size=4) if field.name == "ids" else known
    if field.allowed:
        one = st.sampled_from(field.allowed)
        return st.lists(one, min_size=1, max_size=2) if field.type == "strings" else one
    texts = st.sampled_from(["SOC-1", "evil.example", "203.0.113.9", "prod", "0", "a@corp.example", "ecs"])
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "boolean": st.booleans(),
        "integer": st.integers(field.least, min(field.most, 5000)),
        "time": st.sampled_from(["2026-03-01T11:00:00Z", "2026-02-01T00:00:00+01:00"]),
        "strings": st.lists(texts, min_size=1, max_size=2),
        "string": texts,
    }
    return kinds[field.type]


@st.composite
def _requests(draw: st.DrawFn, ids: list[str]) -> dict[str, Any]:
    operation = draw(st.sampled_from(OPERATIONS))

    def some(fields: tuple[Field, ...]) -> dict[str, Any]:
        chosen: dict[str, Any] = {}
        for field in fields:
            if field.required or draw(st.booleans()):
                odd = draw(st.integers(0, 9)) == 0
                chosen[field.name] = draw(ODD if odd else _value(field, ids))
        return chosen

    path = operation.path
    for field in operation.path_fields:
        given_value = draw(st.one_of(_value(field, ids), ODD))
        path = path.replace(f"{{{field.name}}}", quote(_plain(given_value), safe="") or "x")
    query = {name: _plain(value) for name, value in some(operation.query).items()}
    if draw(st.integers(0, 9)) == 0:
        query[draw(st.text("abcxyz", min_size=1, max_size=5))] = "1"
    query.pop("wait", None)
    body = None if operation.body is None else some(operation.body)
    if body is not None and draw(st.integers(0, 9)) == 0:
        body[draw(st.text(max_size=5))] = draw(ODD)
    raw = draw(st.integers(0, 30))
    return {"operation": operation, "path": path, "query": query, "body": body, "raw": raw}


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


def _check(operation: Operation, reply: httpx.Response) -> None:
    """The answer is one that the document describes."""
    known = {*operation.answers, *statuses(operation)}
    if operation.path_fields:
        known |= {404, 405}  # an odd value in the path may be another path
    assert reply.status_code in known, (operation.id, reply.status_code, reply.text)
    assert reply.status_code < 500, (operation.id, reply.text)
    media = reply.headers["content-type"]
    if reply.status_code >= 400:
        assert media == MEDIA
        _validate("Problem", reply.json())
        assert reply.json()["status"] == reply.status_code
    elif operation.media == "application/json" and reply.status_code in operation.answers:
        assert media == "application/json"
        _validate(operation.answers[reply.status_code], reply.json())


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


def _fuzz(directory: Path, examples: int) -> int:
    answered = 0

    async def story() -> None:
        nonlocal answered
        simulator = Simulator(clock=wall_clock(asyncio.get_running_loop()))
        simulator.behaviour.quota = None
        async with acting(directory, simulator, callers=CALLERS, budget=1_000_000) as place:
            own = [place.held() for _ in range(3)] + [place.delivered() for _ in range(3)]
            foreign = [place.held(client_recipients=["x@other.example"]) for _ in range(3)]
            await asyncio.sleep(5)
            requests: list[dict[str, Any]] = []

            @settings(
                max_examples=examples,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(_requests([*own, *foreign]))
            def collect(request: dict[str, Any]) -> None:
                requests.append(request)

            collect()
            for request in requests:
                reply = await _send(place, request)
                _check(request["operation"], reply)
                answered += 1
            for action in await place.ledger.page(0, 100_000):
                await place.settled(action.id)
            for write in simulator.ledger.writes:
                for effect in write.effects:
                    assert effect.target not in foreign, effect
                    assert effect.detail.get("destination") in {None, "JunkEmail"}
                    assert not str(effect.detail.get("pattern", "")).endswith("corp.example")

    run(story(), grace=0.0005)
    return answered


@pytest.mark.timeout(1200)
def test_ten_thousand_requests_get_documented_answers(tmp_path: Path) -> None:
    assert _fuzz(tmp_path, 10_000) >= 9_000


def test_paths_and_methods_that_do_not_exist_are_named(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            for method, path, status in (
                ("GET", "/", 404), ("GET", "/v1", 404), ("PUT", "/v1/caller", 405),
                ("HEAD", "/v1/caller", 405), ("POST", "/v1/messages", 405),
                ("GET", "/v1/messages/a%2Fb", 400),
                ("DELETE", "/v1/actions", 405),
            ):  # fmt: skip
                reply = await place.call(method, path)
                assert reply.status_code == status, (method, path)
                assert reply.headers["content-type"] == MEDIA
                if status == 405:
                    assert reply.headers["allow"]
            large = {"ids": ["x" * 300] * 1000, "reason": "y" * 300_000, "destination": "Inbox"}
            assert (await place.call("POST", "/v1/messages/move", large)).status_code == 413

    run(story(), grace=0.02)
