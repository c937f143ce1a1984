"""An action that meets an error that nothing foresaw is tried again later and stops no other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from connector.actions.action import State
from connector.facts import ActionPostponed
from connector.source.actions import CloudflareActions
from tests.support.acting import acting
from tests.support.jumping_loop import run


def test_an_unexpected_error_stops_no_other_action(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = CloudflareActions.release
    broken = [True]

    async def failing(self: CloudflareActions, ids: Any) -> Any:
        if broken[0]:
            raise ZeroDivisionError
        return await release(self, ids)

    monkeypatch.setattr(CloudflareActions, "release", failing)

    async def story() -> None:
        async with acting(tmp_path) as place:
            held, free = place.held(), place.delivered()
            bad = await place.call("POST", "/v1/messages/release?wait=1s", {"ids": [held], "reason": "SOC-1"})
            body = {"ids": [free], "destination": "JunkEmail", "reason": "SOC-1"}
            good = await place.call("POST", "/v1/messages/move?wait=20s", body)
            broken[0] = False
            await asyncio.sleep(1)

            assert good.json()["state"] == "succeeded"
            assert [one.reason for one in place.facts if isinstance(one, ActionPostponed)] == [
                "unexpected ZeroDivisionError"
            ]
            # Whether anything was sent is not known then, so that it is looked up and not sent again.
            action = await place.settled(bad.json()["id"])
            assert action.state is State.FAILED
            assert place.simulator.ledger.effects("release") == {}

    run(story(), grace=0.02)
