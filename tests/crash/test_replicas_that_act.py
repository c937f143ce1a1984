"""Two replicas take requests, one performs them: whatever ends, the other goes on; nothing is done twice."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connector.simulator import Fault
from tests.crash.acting_site import Place, Replica, place_with
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.process import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("replicas")]

_TAKEOVER = 90.0
"""Seconds within which another replica performs actions; 20 on a machine with time."""


def performer(server: PostgresServer, place: Place) -> Replica:
    """The replica that performs actions, as soon as one does."""
    found: list[Replica] = []

    def look() -> bool:
        rows = server.execute(
            "SELECT r.process FROM acting.leases l JOIN acting.replicas r ON r.replica = l.holder "
            "WHERE l.name = 'actions' AND l.expires > clock_timestamp()"
        )
        processes = [row[0] for row in rows]
        found[:] = [one for one in place.replicas if one.is_alive and one.pid in processes]
        return bool(found)

    until(look, "somebody who performs actions", patience=_TAKEOVER)
    return found[0]


def test_what_one_replica_accepted_another_goes_on_with(tmp_path: Path) -> None:
    with postgres_server() as server, place_with(tmp_path, 2, server) as place:
        for one in place.replicas:
            one.start()
        for one in place.replicas:
            one.insist("GET", "/v1/caller")
        acts = performer(server, place)
        [other] = [one for one in place.replicas if one is not acts]

        _answers_are_the_same_everywhere(place, acts, other)
        _approvals_may_come_to_the_other(place, acts, other)
        _limits_are_shared(place, acts, other)

        # Frozen, it loses its lease: the other performs, and what it wakes up to is not its own any more.
        os.kill(acts.pid, signal.SIGSTOP)
        place.want("frozen")
        place.ask_for_all(other, 4)
        until(lambda: performer(server, place) is other, "a takeover", patience=_TAKEOVER)
        os.kill(acts.pid, signal.SIGCONT)
        place.settle(other)

        # Killed in the middle of a release: the other finds out that it happened.
        acts, other = other, acts
        place.simulator.behaviour.script([Fault("hang", seconds=600)], on="write")
        place.want("killed")
        release = place.requests[-4]
        [message] = release.body["ids"]
        assert acts.insist("POST", release.path, release.body)[0] == 202
        until(lambda: place.simulator.ledger.effects("release")[message] == 1, "the release")
        acts.end()
        place.settle(other)
        told = other.insist("POST", release.path, release.body)[1]
        assert (told["state"], told["results"][0]["detail"]) == ("succeeded", "seen in the record")

        assert other.end(signal.SIGTERM) == 0, other.tail
        states = place.judge()
    assert set(states) == {"succeeded"}, states


def _answers_are_the_same_everywhere(place: Place, acts: Replica, other: Replica) -> None:
    place.want("first")
    for request in place.requests:
        began = time.monotonic()
        status, action = other.insist("POST", f"{request.path}?wait=30s", request.body)
        assert (status, action["state"]) == (200, "succeeded"), action
        assert time.monotonic() - began < 30, "the end was not noticed before the wait was over"
        assert acts.insist("POST", request.path, request.body) == (200, action)
        place.remember(request.body["request_id"], action)
    place.want("at_once")
    with ThreadPoolExecutor(2) as pool:
        for request in place.requests[-4:]:
            replies = pool.map(
                lambda one, asked=request: one.insist("POST", asked.path, asked.body), (acts, other)
            )
            for _, action in replies:
                place.remember(request.body["request_id"], action)
    other_body = {**place.requests[0].body, "reason": "another"}
    assert acts.insist("POST", place.requests[0].path, other_body)[0] == 409


def _approvals_may_come_to_the_other(place: Place, acts: Replica, other: Replica) -> None:
    for asked, approves in ((acts, other), (other, acts)):
        body = {"ids": [place.held()], "reason": "SOC-4711"}
        status, action = asked.insist("POST", "/v1/messages/release", body, by="asks")
        assert (status, action["state"]) == (202, "awaiting_approval")
        path = f"/v1/actions/{action['id']}/approve?wait=30s"
        status, action = approves.insist("POST", path, by="lead")
        assert (status, action["state"], action["approved_by"]) == (200, "succeeded", "lead")
        assert asked.insist("GET", f"/v1/actions/{action['id']}", by="asks")[1]["state"] == "succeeded"


def _limits_are_shared(place: Place, acts: Replica, other: Replica) -> None:
    body = {"ids": [place.delivered()], "destination": "JunkEmail", "reason": "SOC-4711"}
    answers = [
        one.insist("POST", "/v1/messages/move", body, by="few") for _ in range(4) for one in (acts, other)
    ]

    assert [status for status, _ in answers] == [202] * 5 + [429] * 3
