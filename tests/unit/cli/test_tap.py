"""``tap`` shows what an output sends, while it sends it, and never slows it down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector.app.control.server import NoDaemon, ask, follow, serve_control
from connector.app.control.tap import Taps
from connector.errors import ConnectorError
from connector.model import Event, Receipt
from tests.unit.delivery.fakes import plain, revision

Watch = AsyncGenerator[object, None]


def events(*payloads: bytes) -> list[Event]:
    return [replace(plain(revision("a")), payload=payload) for payload in payloads]


def configured(*outputs: str) -> Taps:
    taps = Taps()
    taps.configure(outputs)
    return taps


async def answer_of(watch: Watch) -> dict[str, Any]:
    answer = await anext(watch)
    assert isinstance(answer, dict)
    return answer


async def watching(taps: Taps) -> tuple[Watch, asyncio.Task[dict[str, Any]]]:
    """A viewer of ``siem`` that waits for its first events."""
    watch = taps.watch({"output": "siem"})
    assert await anext(watch) == {"events": [], "left_out": 0, "here": True}
    waiting = asyncio.ensure_future(answer_of(watch))
    await asyncio.sleep(0)
    return watch, waiting


async def test_accepted_and_refused_events_are_shown_but_not_those_to_be_sent_again() -> None:
    taps = configured("siem")
    _watch, waiting = await watching(taps)

    taps.sent("siem", events(b"a", b"b", b"c"), Receipt({1: "too old"}, frozenset({2})))

    shown = [(event["outcome"], event["reason"], event["payload"]) for event in (await waiting)["events"]]
    assert shown == [("accepted", "", "a"), ("refused", "too old", "b")]


async def test_a_slow_terminal_loses_events_by_count_and_delivery_does_not_wait() -> None:
    taps = configured("siem")
    watch, waiting = await watching(taps)

    for _ in range(30):
        taps.sent("siem", events(*[b"x"] * 100), Receipt())

    first = await waiting
    assert (len(first["events"]), first["left_out"]) == (100, 2000)
    assert [len((await answer_of(watch))["events"]) for _ in range(9)] == [100] * 9


async def test_the_buffer_is_bounded_in_bytes_too() -> None:
    taps = configured("siem")
    _watch, waiting = await watching(taps)

    taps.sent("siem", events(*[b"x" * (1 << 20)] * 6), Receipt())

    answer = await waiting
    assert (len(answer["events"]), answer["left_out"]) == (4, 2)


async def test_an_output_that_a_reload_removes_ends_its_viewers() -> None:
    taps = configured("siem", "pager")
    _watch, waiting = await watching(taps)

    taps.configure(["pager"])

    with pytest.raises(ConnectorError, match="no output is named 'siem'; known: pager"):
        await waiting


async def test_a_ninth_terminal_is_refused_until_one_leaves() -> None:
    taps = configured("siem")
    viewers = [await watching(taps) for _ in range(8)]

    _ninth, refused = await watching(taps)
    with pytest.raises(ConnectorError, match="8 terminals watch already"):
        await refused
    taps.sent("siem", events(b"a"), Receipt())
    await asyncio.gather(*(waiting for _, waiting in viewers))
    await viewers[0][0].aclose()
    _again, waiting = await watching(taps)
    taps.sent("siem", events(b"b"), Receipt())

    assert [event["payload"] for event in (await waiting)["events"]] == ["b"]


async def test_the_socket_streams_and_forgets_a_client_that_leaves(tmp_path: Path) -> None:
    taps = configured("siem")

    async with asyncio.timeout(20), serve_control(tmp_path, {}, {"tap": taps.watch}):
        for _ in range(12):  # more than may watch at once
            results = follow(tmp_path, "tap", output="siem")
            assert await anext(results) == {"events": [], "left_out": 0, "here": True}
            shown: list[object] = []
            while not shown:
                taps.sent("siem", events(b"a"), Receipt())
                await asyncio.sleep(0.01)
                answer = await anext(results)
                assert isinstance(answer, dict)
                shown = answer["events"]
            await results.aclose()
            await asyncio.sleep(0.05)


async def test_a_wrong_name_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    async with serve_control(tmp_path, {}, {"tap": configured("siem").watch}):
        with pytest.raises(ConnectorError, match=r"no output is named 'seim'; did you mean siem\?"):
            await anext(follow(tmp_path, "tap", output="seim"))
        with pytest.raises(ConnectorError, match="unknown command"):
            await ask(tmp_path, "tip")
    with pytest.raises(NoDaemon):
        await anext(follow(tmp_path, "tap", output="siem"))
