"""Whatever happens to connection, API or process: nothing is done twice, and the truth is found."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connector.actions.action import ENDED, State
from connector.facts import ActionAnswered, ActionLookedUp, ActionSent, ActionStateChanged, Fact, kinds
from connector.simulator import Fault, Simulator
from tests.support.acting import acting, states
from tests.support.jumping_loop import run, wall_clock

pytestmark = pytest.mark.slow

GRACE = 0.02
AFTER_EFFECT: tuple[Fault, ...] = (
    Fault("error_after_effect"), Fault("error_after_effect", status=504), Fault("reset"), Fault("cut"),
    Fault("hang", seconds=600), Fault("cut_json"), Fault("missing_rows"),
    Fault("late_effect", seconds=90),
)  # fmt: skip
BEFORE_EFFECT: tuple[Fault, ...] = (
    Fault("server_error"), Fault("html_error", status=502), Fault("redirect"), Fault("failure"),
    Fault("not_json"),
)  # fmt: skip
NOT_DONE: tuple[Fault, ...] = (
    Fault("rate_limited", retry_after=20), Fault("refused", status=403), Fault("refused", status=404),
    Fault("partial_rows"), Fault("not_accepted"),
)  # fmt: skip


def _name(fault: Fault) -> str:
    return f"{fault.kind} {fault.status or ''}".strip()


@pytest.mark.parametrize("fault", AFTER_EFFECT, ids=_name)
def test_a_release_without_an_answer_is_looked_up_and_not_sent_again(tmp_path: Path, fault: Fault) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            held = place.held()
            place.simulator.behaviour.script([fault], on="write")

            reply = await place.call("POST", "/v1/messages/release", {"ids": [held], "reason": "SOC-1"})
            action = await place.settled(reply.json()["id"])

            assert action.state is State.SUCCEEDED
            assert place.simulator.ledger.effects("release") == {held: 1}
            assert len(place.simulator.ledger.writes) == 1
            told = [event["state"] for event in await place.audit()]
            assert told == ["accepted", "running", "unknown", "succeeded"]

    run(story(), grace=GRACE)


@pytest.mark.parametrize("fault", BEFORE_EFFECT, ids=_name)
def test_a_release_that_left_no_trace_has_failed_in_the_end(tmp_path: Path, fault: Fault) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            held = place.held()
            place.simulator.behaviour.script([fault], on="write")

            reply = await place.call("POST", "/v1/messages/release", {"ids": [held], "reason": "SOC-1"})
            action = await place.settled(reply.json()["id"])

            assert action.state is State.FAILED
            assert "was not repeated" in action.targets[0].detail
            assert place.simulator.ledger.effects("release") == {}
            assert len(place.simulator.ledger.writes) == 1

    run(story(), grace=GRACE)


def test_what_certainly_was_not_sent_is_sent_later(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            held = place.held()
            place.simulator.behaviour.script([Fault("rate_limited", retry_after=30)], on="write")

            reply = await place.call("POST", "/v1/messages/release", {"ids": [held], "reason": "SOC-1"})
            action = await place.settled(reply.json()["id"])

            assert action.state is State.SUCCEEDED
            assert place.simulator.ledger.effects("release") == {held: 1}
            assert [write.request.status for write in place.simulator.ledger.writes] == [429, 200]

    run(story(), grace=GRACE)


@pytest.mark.parametrize("fault", [*AFTER_EFFECT[:5], *BEFORE_EFFECT], ids=_name)
def test_a_move_is_repeated_until_it_is_answered(tmp_path: Path, fault: Fault) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            message = place.delivered()
            place.simulator.behaviour.script([fault], on="write")
            body = {"ids": [message], "destination": "JunkEmail", "reason": "SOC-1"}

            reply = await place.call("POST", "/v1/messages/move", body)
            action = await place.settled(reply.json()["id"])

            assert action.state is State.SUCCEEDED
            assert place.simulator.ledger.effects("move")[message] >= 1

    run(story(), grace=GRACE)


@pytest.mark.parametrize("fault", [*AFTER_EFFECT, *BEFORE_EFFECT[:1]], ids=_name)
@pytest.mark.parametrize("submission_ids", ["message", "submission"])
def test_a_submission_without_an_answer_is_found_among_the_submissions(
    tmp_path: Path, fault: Fault, submission_ids: Any
) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            place.simulator.behaviour.submission_ids = submission_ids
            held = place.held()
            place.simulator.behaviour.script([fault], on="write")
            body = {"type": "reclassification", "expected_disposition": "SPAM", "ids": [held], **REASON}

            reply = await place.call("POST", "/v1/submissions", body)
            action = await place.settled(reply.json()["id"])

            done = place.simulator.ledger.effects("submission")[held]
            assert (action.state is State.SUCCEEDED, done) in {(True, 1), (False, 0)}
            assert len(place.simulator.ledger.writes) == 1

    run(story(), grace=GRACE)


def test_a_second_release_waits_until_the_first_is_known(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            held = place.held()
            place.simulator.behaviour.script([Fault("late_effect", seconds=60)], on="write")
            body = {"ids": [held], "reason": "SOC-1"}

            first = await place.call("POST", "/v1/messages/release?wait=1s", body)
            second = (await place.call("POST", "/v1/messages/release?wait=20s", body)).json()
            action = await place.settled(first.json()["id"])

            assert second["state"] == "failed"
            assert "is not known yet" in states(second)[0][1]
            assert action.state is State.SUCCEEDED
            assert place.simulator.ledger.effects("release") == {held: 1}

    run(story(), grace=GRACE)


@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "another process"])
def test_a_message_just_released_is_not_released_again_whatever_its_record_says(
    tmp_path: Path, *, restarted: bool
) -> None:
    async def story() -> None:
        simulator = Simulator(clock=_shared_clock())
        async with AsyncExitStack() as stack:
            place = await stack.enter_async_context(acting(tmp_path, simulator))
            held = place.held()
            body = {"ids": [held], "reason": "SOC-1"}
            first = (await place.call("POST", "/v1/messages/release?wait=20s", body)).json()
            assert first["state"] == "succeeded"
            simulator.world.change(held, is_quarantined=True)  # the record lags behind
            if restarted:
                await stack.aclose()
                place = await stack.enter_async_context(acting(tmp_path, simulator))

            second = (await place.call("POST", "/v1/messages/release?wait=20s", body)).json()

            assert second["state"] == "failed"
            assert states(second)[0][1] == f"action {first['id']} has just released the message"
            assert simulator.ledger.effects("release") == {held: 1}

            await asyncio.sleep(31 * 60)
            third = (await place.call("POST", "/v1/messages/release?wait=20s", body)).json()

            assert third["state"] == "succeeded"
            assert simulator.ledger.effects("release") == {held: 2}
            told = [event["state"] for event in await place.audit() if event.get("action_id") == first["id"]]
            assert told == ["accepted", "running", "succeeded"]

    run(story(), grace=GRACE)


def test_the_api_that_stays_away_ends_an_action_without_a_trace_as_failed(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            held = place.held()
            place.simulator.behaviour.script([Fault("rate_limited", retry_after=600)] * 5, on="write")

            reply = await place.call("POST", "/v1/messages/release", {"ids": [held], "reason": "SOC-1"})
            action = await place.settled(reply.json()["id"])

            assert action.state is State.FAILED
            assert action.targets[0].detail.startswith("not done")
            assert place.simulator.ledger.effects("release") == {}

    run(story(), grace=GRACE)


REASON = {"reason": "SOC-1"}
KILLS: tuple[Callable[[Fact], bool], ...] = (
    lambda fact: isinstance(fact, ActionSent),
    lambda fact: isinstance(fact, ActionAnswered),
    lambda fact: isinstance(fact, ActionStateChanged) and fact.state == "running",
    lambda fact: isinstance(fact, ActionStateChanged) and fact.state == "succeeded",
    lambda fact: isinstance(fact, ActionStateChanged) and fact.state == "unknown",
    lambda fact: isinstance(fact, ActionLookedUp),
)
"""Between what is durable and what is done, at every step of an action."""


def test_every_fact_of_an_action_is_a_place_to_be_killed_at() -> None:
    own = {kind.__name__ for kind in kinds() if kind.__module__ == "connector.facts.actions"}
    elsewhere = {"ActionsStarted", "CallRefused", "OpenActionsCounted", "ActionPostponed"}

    assert own - elsewhere == {"ActionSent", "ActionAnswered", "ActionStateChanged", "ActionLookedUp"}


_REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["move", "release", "submit", "block"]),
        st.integers(0, 3),  # the message, so that several actions meet
        st.sampled_from(["r1", "r2", "r3", "r4"]),  # the request id, so that requests repeat
    ),
    min_size=1,
    max_size=6,
)
_FAULTS = st.lists(
    st.one_of(st.none(), st.sampled_from((*AFTER_EFFECT, *BEFORE_EFFECT, *NOT_DONE))), max_size=6
)
_CRASHES = st.lists(st.tuples(st.integers(0, len(KILLS) - 1), st.integers(1, 3)), max_size=3)


@settings(
    max_examples=60,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(requests=_REQUESTS, faults=_FAULTS, crashes=_CRASHES)
def test_any_interleaving_of_faults_kills_and_repeated_requests(
    tmp_path_factory: pytest.TempPathFactory,
    requests: list[tuple[str, int, str]],
    faults: list[Fault | None],
    crashes: list[tuple[int, int]],
) -> None:
    _interleaved(tmp_path_factory.mktemp("run"), requests, faults, crashes)


@pytest.mark.parametrize("kill", range(len(KILLS)))
def test_a_kill_at_each_step(tmp_path: Path, kill: int) -> None:
    fault = Fault("error_after_effect") if kill >= 4 else None

    requests = [("release", 0, "r1"), ("submit", 1, "r2"), ("move", 2, "r3")]
    _interleaved(tmp_path, requests, [fault], [(kill, 1)])


def _interleaved(  # noqa: C901, the loop that everything else here serves
    directory: Path,
    requests: list[tuple[str, int, str]],
    faults: list[Fault | None],
    crashes: list[tuple[int, int]],
) -> None:
    """Make *requests* while *faults* strike; after each of *crashes* all that is open is made again."""

    async def story() -> None:
        simulator = Simulator(clock=_shared_clock())
        simulator.behaviour.script(faults, on="write")
        messages: list[str] = []
        known: dict[str, str] = {}
        for crash in [*crashes, None]:
            async with acting(directory, simulator, killed_at=_fuse(crash)) as place:
                if not messages:
                    messages += [place.held() if n % 2 == 0 else place.delivered() for n in range(4)]
                for kind, number, request_id in requests:
                    path, body = _request(kind, messages[number], request_id)
                    try:
                        reply = await place.call("POST", f"{path}?wait=30s", body)
                    except BaseException:
                        if not place.crashes:
                            raise
                        break
                    assert reply.status_code in {200, 202, 409}, reply.text
                    if reply.status_code != 409:
                        assert known.setdefault(request_id, reply.json()["id"]) == reply.json()["id"]
                    if place.crashes:
                        break
                if crash is None:
                    assert not place.crashes
                    for action_id in known.values():
                        await place.settled(action_id)
                    await _judge(place, simulator)

    run(story(), grace=0.005)


async def _judge(place: Any, simulator: Simulator) -> None:
    actions = await place.ledger.page(0, 1000)
    audit = await place.audit()
    effects = simulator.ledger.effects
    done = {"release": effects("release"), "submit": effects("submission")}
    asked: dict[str, Counter[str]] = {"release": Counter(), "submit": Counter()}
    succeeded: dict[str, Counter[str]] = {"release": Counter(), "submit": Counter()}
    for action in actions:
        assert action.state in ENDED, action
        told = [event["state"] for event in audit if event.get("action_id") == action.id]
        assert told[0] == "accepted"
        assert told[-1] == action.state
        assert len(told) == action.transitions
        for target in action.targets:
            if action.kind in asked:
                asked[action.kind][target.id] += 1
                succeeded[action.kind][target.id] += target.state == "succeeded"
    for kind, counts in done.items():
        for message, times in counts.items():
            assert times <= asked[kind][message], f"{kind} of {message} was done more often than asked"
            # Who moved a released message back into quarantine? Nobody: a second release must be refused.
            assert kind == "submit" or times <= 1
        assert succeeded[kind] == counts, f"{kind}: what is told is not what was done"


def _request(kind: str, message: str, request_id: str) -> tuple[str, dict[str, Any]]:
    common = {"reason": "SOC-1", "request_id": request_id}
    if kind == "move":
        return "/v1/messages/move", {"ids": [message], "destination": "JunkEmail", **common}
    if kind == "release":
        return "/v1/messages/release", {"ids": [message], **common}
    if kind == "submit":
        ask = {"type": "reclassification", "expected_disposition": "NONE", "ids": [message]}
        return "/v1/submissions", {**ask, **common}
    return "/v1/senders/block", {"pattern": f"{message[-8:]}.example", "pattern_type": "DOMAIN", **common}


def _fuse(crash: tuple[int, int] | None) -> Callable[[Fact], bool]:
    if crash is None:
        return lambda _: False
    kill, left = KILLS[crash[0]], [crash[1]]

    def burns(fact: Fact) -> bool:
        left[0] -= kill(fact)
        return left[0] <= 0

    return burns


def _shared_clock() -> Callable[[], Any]:
    return wall_clock(asyncio.get_running_loop())


def test_a_submission_is_found_in_the_list_where_the_action_log_says_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            held = place.held()
            place.simulator.behaviour.script([Fault("error_after_effect")], on="write")
            place.simulator.behaviour.script([Fault("server_error")] * 40, on="action_log")
            body = {"type": "reclassification", "expected_disposition": "SPAM", "ids": [held], **REASON}

            reply = await place.call("POST", "/v1/submissions", body)
            action = await place.settled(reply.json()["id"])

            assert action.state is State.SUCCEEDED
            assert action.targets[0].detail.startswith("seen as submission")

    run(story(), grace=GRACE)
