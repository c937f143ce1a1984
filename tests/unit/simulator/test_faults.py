"""Every fault is on the wire what it is called."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import time
from collections import Counter
from collections.abc import MutableMapping
from typing import Any

import orjson
import pytest

from connector.simulator import KINDS, Fault, Faults, Simulator
from connector.simulator.exchange import ApiReply
from connector.simulator.faults import EFFECTS, PAGES
from connector.simulator.transport_faults import TRANSPORT, deliver
from tests.unit.simulator.client import EVERYTHING, Client, Reply


def _meet(client: Client, simulator: Simulator, fault: Fault | str) -> Reply:
    simulator.behaviour.script([fault])
    return client.search(**EVERYTHING)


@pytest.mark.parametrize(
    ("fault", "status", "after"),
    [
        (Fault("rate_limited"), 429, "300"), (Fault("rate_limited", retry_after=4000), 429, "4000"),
        (Fault("rate_limited", retry_after=-1), 429, None), (Fault("server_error"), 500, None),
        (Fault("server_error", status=503, retry_after=9), 503, "9"),
        (Fault("refused", status=403, code=10000, text="Authentication error"), 403, None),
        (Fault("refused", status=410), 410, None), (Fault("failure"), 200, None),
    ],
)  # fmt: skip
def test_json_errors(
    client: Client, simulator: Simulator, fault: Fault, status: int, after: str | None
) -> None:
    reply = _meet(client, simulator, fault)

    assert (reply.status, reply.headers.get("retry-after")) == (status, after)
    assert reply.json["success"] is False
    assert reply.json["errors"]
    assert client.search().status == 200


@pytest.mark.parametrize(
    ("fault", "status", "word"),
    [
        (Fault("html_error"), 502, "Bad gateway"), (Fault("html_error", status=504), 504, "Gateway time-out"),
        (Fault("html_error", status=520), 520, "unknown error"), (Fault("edge_error"), 429, "Error 1015"),
        (Fault("edge_error", status=403, code=1020), 403, "Error 1020"), (Fault("not_json"), 200, "Sign in"),
    ],
)  # fmt: skip
def test_html_pages(client: Client, simulator: Simulator, fault: Fault, status: int, word: str) -> None:
    reply = _meet(client, simulator, fault)

    assert (reply.status, reply.headers["content-type"]) == (status, "text/html; charset=UTF-8")
    assert word in reply.body.decode()
    assert reply.headers["cf-ray"]


def test_a_redirect_leads_elsewhere(client: Client, simulator: Simulator) -> None:
    reply = _meet(client, simulator, Fault("redirect", location="http://foreign.example/x"))

    assert (reply.status, reply.headers["location"]) == (302, "http://foreign.example/x")


def test_odd_envelopes(client: Client, simulator: Simulator) -> None:
    assert _meet(client, simulator, "null_result").json["result"] is None
    assert set(_meet(client, simulator, "bare").json) == {"result", "result_info", "success"}
    assert set(_meet(client, simulator, "no_info").json) == {"errors", "messages", "result", "success"}
    wrong = _meet(client, simulator, "wrong_type")
    assert wrong.headers["content-type"].startswith("text/html")
    assert len(wrong.ids) == 300


def test_cut_json_is_complete_http_but_no_json(client: Client, simulator: Simulator) -> None:
    reply = _meet(client, simulator, "cut_json")

    assert int(reply.headers["content-length"]) == len(reply.body)
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|Invalid"):
        json.loads(reply.body)


@pytest.mark.parametrize("kind", ["invalid_utf8", "lone_surrogate", "huge_number"])
def test_bodies_that_strict_parsers_refuse(client: Client, simulator: Simulator, kind: str) -> None:
    reply = _meet(client, simulator, kind)

    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(reply.body)
    assert len(json.loads(reply.body.decode("utf-8", "replace"))["result"]) == 300


def test_an_oversized_body(client: Client, simulator: Simulator) -> None:
    reply = _meet(client, simulator, Fault("oversized", size=3_000_000))

    assert len(reply.body) > 3_000_000
    assert len(reply.ids) == 300


async def test_a_client_that_leaves_during_a_hang_is_no_error() -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        scope = {"extensions": {TRANSPORT: writer.transport}}
        await deliver(ApiReply(200, b""), Fault("hang"), {}, scope, receive, send)
        left.set()

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_: MutableMapping[str, Any]) -> None:
        pytest.fail("the client has disconnected")

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.close()
        async with asyncio.timeout(10):
            await left.wait()


@pytest.mark.parametrize("kind", ["reset", "cut"])
def test_broken_connections_are_reset_on_the_wire(client: Client, simulator: Simulator, kind: str) -> None:
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)) as met:
        _meet(client, simulator, kind)
    if kind == "reset":
        assert isinstance(met.value, ConnectionResetError)
    assert simulator.ledger.served() == {}
    assert client.search().status == 200


def test_slow_and_late_answers_are_whole(client: Client, simulator: Simulator) -> None:
    for kind in ("slow", "delay"):
        began = time.monotonic()
        assert len(_meet(client, simulator, Fault(kind, seconds=0.1)).ids) == 300
        assert time.monotonic() - began >= 0.1


def test_no_answer_at_all(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.script(["hang"])
    with pytest.raises(TimeoutError):
        client.send("/accounts/" + "a" * 32 + "/email-security/investigate", timeout=0.2)
    assert client.search().status == 200


def test_gzip_when_accepted(client: Client, simulator: Simulator) -> None:
    zipped = Client(client.base_url, {**client.headers, "Accept-Encoding": "deflate, gzip"})
    plain = client.search(**EVERYTHING)
    packed = zipped.search(**EVERYTHING)
    assert packed.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.body))["result"] == plain.json["result"]
    assert len(packed.body) < len(plain.body) / 3
    simulator.behaviour.gzip = 0
    stored = zipped.search(**EVERYTHING)
    assert len(gzip.decompress(stored.body)) == len(plain.body) < len(stored.body)
    simulator.behaviour.gzip = None
    assert "content-encoding" not in zipped.search(**EVERYTHING).headers
    simulator.behaviour.gzip = 1
    bad = _meet(zipped, simulator, "bad_gzip")
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(bad.body)


def test_a_script_is_met_in_order_by_the_requests_it_is_for(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.script(["server_error", None, Fault("refused", status=404)])
    simulator.behaviour.script([Fault("server_error", status=503)], on="record")
    record = simulator.world.add()

    assert client.record(record).status == 503
    assert [client.search().status for _ in range(4)] == [500, 200, 404, 200]
    assert client.record(record).status == 200
    assert simulator.behaviour.faults.left == 0


def test_faults_by_rate_are_the_same_for_the_same_seed() -> None:
    def met(seed: int) -> list[str | None]:
        faults = Faults(seed)
        taken = [faults.take("first", {"server_error": 0.2, Fault("reset"): 0.1}) for _ in range(500)]
        return [fault.kind if fault else None for fault in taken]

    assert met(1) == met(1) != met(2)
    count = Counter(met(1))
    assert 60 < count["server_error"] < 140
    assert 20 < count["reset"] < 80


def test_rates_touch_searches_only_by_default(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.rates = {"server_error": 1.0}
    record = simulator.world.add()
    assert (client.search().status, client.record(record).status) == (500, 200)
    simulator.behaviour.faults.rates_on = "any"
    assert client.record(record).status == 500


def test_a_request_may_ask_for_its_own_fault_and_switches(client: Client, simulator: Simulator) -> None:
    limited = client.simulate("rate_limited;retry_after=77").search()
    assert (limited.status, limited.headers["retry-after"]) == (429, "77")
    times = [
        one["scanned_at"]
        for one in client.simulate("order=oldest, per_page=9").search().json.get("result") or ()
    ]
    assert times == []
    ordered = client.simulate("order=oldest,default_per_page=9, small_page").search().json["result"]
    assert len(ordered) == 4
    assert [one["scanned_at"] for one in ordered] == sorted(one["scanned_at"] for one in ordered)
    wrong = client.simulate("order=sideways").search()
    assert wrong.status == 400
    assert "newest, oldest, unordered, shifting" in wrong.json["errors"][0]["message"]
    assert simulator.behaviour.order == "newest"


def test_a_fault_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown fault 'explode'; expected one of"):
        Fault("explode")


@pytest.mark.parametrize(
    "kind", sorted(KINDS.keys() - PAGES.keys() - EFFECTS.keys() - {"hang", "slow", "delay", "oversized"})
)
def test_the_ledger_counts_as_served_only_what_could_be_read(
    client: Client, simulator: Simulator, kind: str
) -> None:
    simulator.behaviour.script([kind])
    try:
        reply = client.search(**EVERYTHING)
        readable = b'"result":[{' in reply.body and reply.body.endswith(b"}") and kind != "bad_gzip"
    except (ConnectionError, http.client.HTTPException):
        readable = False

    assert len(simulator.ledger.served()) == (300 if readable else 0)
    assert simulator.ledger.requests[-1].fault == kind
