"""What waits too long is given up and says so; who asks much keeps nobody else from acting or being heard."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from connector.actions.action import Outcome, State
from connector.actions.executor import Executor
from connector.actions.options import ActionOptions
from connector.app.actions import _ANSWER_SECONDS, Commands
from connector.errors import ConnectorError, JournalUnavailable
from connector.facts import ActionSent, Fact, OpenActionsCounted
from connector.simulator import Fault, Simulator
from connector.testing.journal_harness import commit_of
from tests.support.acting import acting, states
from tests.support.jumping_loop import run, wall_clock

GRACE = 0.02
REASON = {"reason": "SOC-1"}


@pytest.mark.parametrize("kind", ["move", "release"])
def test_a_request_does_not_leave_when_a_rate_limit_of_an_hour_is_over(tmp_path: Path, kind: str) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            place.simulator.behaviour.script([Fault("rate_limited", retry_after=3000)])
            message = place.held() if kind == "release" else place.delivered()
            assert (await place.call("GET", "/v1/messages")).status_code == 503
            body: dict[str, Any] = {"ids": [message], **REASON}
            if kind == "move":
                body["destination"] = "JunkEmail"

            asked = await place.call("POST", f"/v1/messages/{kind}", body)
            action = await place.settled(asked.json()["id"])

            assert action.state is State.FAILED
            assert list(place.simulator.ledger.writes) == []

    run(story(), grace=GRACE)


def test_what_was_left_when_the_connector_ended_is_not_done_hours_later(tmp_path: Path) -> None:
    async def story() -> None:
        simulator = Simulator(clock=wall_clock(asyncio.get_running_loop()))
        options = ActionOptions(chunk=1)

        def second(fact: Fact, seen: list[Fact] = []) -> bool:  # noqa: B006, it counts
            seen += [fact] if isinstance(fact, ActionSent) else []
            return len(seen) > 1

        async with acting(tmp_path, simulator, options=options, killed_at=second) as place:
            messages = [place.held() for _ in range(3)]
            asked = await place.call("POST", "/v1/messages/release", {"ids": messages, **REASON})
            await asyncio.sleep(5)
        await asyncio.sleep(5 * 3600)
        async with acting(tmp_path, simulator, options=options) as place:
            action = await place.settled(asked.json()["id"])

            assert [one.state for one in action.targets] == [
                Outcome.SUCCEEDED, Outcome.FAILED, Outcome.FAILED,
            ]  # fmt: skip
            assert "not running for too long" in action.targets[2].detail
            assert action.state is State.PARTIAL
            assert simulator.ledger.effects("release") == {messages[0]: 1}

    run(story(), grace=GRACE)


def test_an_action_that_takes_long_but_goes_on_is_not_given_up(tmp_path: Path) -> None:
    async def story() -> None:
        callers = "{soc: {token: soc-token-0123456789, may: [release], ids_per_call: 1000}}"
        async with acting(tmp_path, callers=callers, budget=60) as place:
            # Two chunks of fifty, then a limit when more than a quarter of an hour has passed.
            late = [None, None, Fault("rate_limited", retry_after=30)]
            place.simulator.behaviour.script(late, on="write")
            body = {"ids": [place.held() for _ in range(150)], **REASON}
            began = place.clock()

            reply = await place.call("POST", "/v1/messages/release", body)
            action = await place.settled(reply.json()["id"])

            assert (place.clock() - began).total_seconds() > 900
            assert action.state is State.SUCCEEDED, {one.detail for one in action.targets}

    run(story(), grace=0.001)


def test_a_message_just_released_is_not_released_again_although_its_record_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            held, path = place.held(), "/v1/messages/release?wait=20s"
            body = {"ids": [held], **REASON}
            first = (await place.call("POST", path, body)).json()
            place.simulator.world.revise(held, lambda _, at: {"is_quarantined": True}, place.clock())
            second = (await place.call("POST", path, body)).json()
            await asyncio.sleep(1900)
            third = (await place.call("POST", path, body)).json()

            assert [one["state"] for one in (first, second, third)] == ["succeeded", "failed", "succeeded"]
            assert first["id"] in states(second)[0][1]
            assert place.simulator.ledger.effects("release") == {held: 2}

    run(story(), grace=GRACE)


def test_a_loop_of_searches_does_not_keep_actions_waiting(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path, budget=60) as place:
            message = place.delivered()
            body = {"ids": [message], "destination": "JunkEmail", **REASON}
            searches = [asyncio.create_task(place.call("GET", "/v1/messages")) for _ in range(40)]
            await asyncio.sleep(0.1)
            began = place.clock()

            moved = await place.call("POST", "/v1/messages/move?wait=30s", body)

            assert moved.json()["state"] == "succeeded"
            # The next two turns: behind the searches it would be a minute and more.
            assert (place.clock() - began).total_seconds() < 15
            assert {reply.status_code for reply in await asyncio.gather(*searches)} == {200, 503}

    run(story(), grace=GRACE)


def test_an_api_that_hangs_is_not_waited_for_longer_than_a_connection_lives(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            held = place.held()
            for part in ("", "/raw", "/preview"):
                place.simulator.behaviour.script([Fault("hang", seconds=600)] * 9, on="record")
                began = asyncio.get_running_loop().time()
                reply = await place.call("GET", f"/v1/messages/{held}{part}")

                assert (reply.status_code, reply.json()["code"]) in {
                    (503, "api_slow"),
                    (503, "api_unavailable"),
                }
                assert asyncio.get_running_loop().time() - began < 40

    run(story(), grace=GRACE)


def test_a_flood_of_wrong_tokens_hides_nothing_of_what_callers_try(tmp_path: Path) -> None:
    async def story() -> None:
        callers = "{soc: {token: soc-token-0123456789, may: [search]}}"
        async with acting(tmp_path, callers=callers) as place:
            for _ in range(100):
                await place.call("GET", "/v1/actions", by="")
            await place.call("POST", "/v1/messages/release", {})
            await place.call("POST", "/v1/messages/none", {})

            told = [(event["caller"], event["status"]) for event in await place.audit()]
            assert told == [("unknown", 401)] * 60 + [("soc", 403)]

    run(story(), grace=GRACE)


def test_a_refused_command_is_audited_as_a_refused_call_is(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            body = {"ids": [place.delivered()], "destination": "JunkEmail", **REASON}
            moved = (await place.call("POST", "/v1/messages/move?wait=20s", body)).json()
            commands = Commands(place.service)

            for request in (
                {"do": "approve", "id": moved["id"]},
                {"do": "request", "kind": "release", "body": {"ids": ["a"], "reason": "SOC-2", "id": "b"}},
                {"do": "request", "kind": "unblock", "body": {"block_id": "none", "reason": "SOC-3"}},
                {"do": "show", "id": "none"},
            ):
                with pytest.raises(ConnectorError):
                    await commands.handle({**request, "user": "eva"})

            told = [event for event in await place.audit() if event["state"] == "refused"]
            assert [(one["caller"], one["status"], one["operation"]) for one in told] == [
                ("operator:eva", 409, "action approve"), ("operator:eva", 400, "action release"),
                ("operator:eva", 404, "action unblock"),
            ]  # fmt: skip
            assert (told[0]["ids"], told[1]["reason"]) == ([moved["id"]], "SOC-2")
            assert (told[2]["ids"], told[2]["reason"]) == ([], "SOC-3")

    run(story(), grace=GRACE)


def test_an_unblocking_is_the_same_request_although_the_block_was_renewed(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            block = {"pattern": "evil.example", "pattern_type": "DOMAIN", "expires_in": 600, **REASON}
            made = (await place.call("POST", "/v1/senders/block?wait=20s", block)).json()
            path = f"/v1/senders/block/{made['block_id']}?reason=SOC-2&request_id=r1&dry_run=true&wait=20s"

            first = await place.call("DELETE", path)
            await place.call("POST", "/v1/senders/block?wait=20s", {**block, "expires_in": 1200})
            again = await place.call("DELETE", path)

            assert (first.status_code, again.status_code) == (200, 200)
            assert first.json()["id"] == again.json()["id"]

    run(story(), grace=GRACE)


def test_a_journal_that_cannot_be_reached_is_no_error_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unavailable(*_: object, **__: object) -> None:
        raise JournalUnavailable("the database cannot be reached")

    async def story() -> None:
        async with acting(tmp_path) as place:
            for name in ("store_action", "append_audit"):
                monkeypatch.setattr(place.journal, name, unavailable)

            reply = await place.call("POST", "/v1/messages/release", {"ids": [place.held()], **REASON})

            assert (reply.status_code, reply.json()["code"]) == (503, "journal_unavailable")
            assert int(reply.headers["retry-after"]) > 0

    run(story(), grace=GRACE)


def test_only_who_performs_actions_counts_them(tmp_path: Path) -> None:
    async def story() -> None:
        callers = "{soc: {token: soc-token-0123456789, may: [release], approval: operator}}"
        async with acting(tmp_path, callers=callers) as place:
            reply = await place.call("POST", "/v1/messages/release", {"ids": [place.held()], **REASON})
            action = await place.ledger.get(reply.json()["id"])
            assert action is not None
            facts: list[Fact] = []
            other = Executor(place.ledger, {}, facts.append, ActionOptions())

            other.schedule(action)
            assert facts == []
            performing = asyncio.create_task(other.run())
            await asyncio.sleep(1)
            assert facts[-1] == OpenActionsCounted(1, 0, 0)
            performing.cancel()
            await asyncio.gather(performing, return_exceptions=True)
            assert facts[-1] == OpenActionsCounted(0, 0, 0)

            # While another one performs, the operator decides; that one learns of it.
            await place.service.cancel(place.callers["soc"], action.id)
            performing = asyncio.create_task(other.run())
            await asyncio.sleep(1)
            assert facts[-1] == OpenActionsCounted(0, 0, 0)
            performing.cancel()
            await asyncio.gather(performing, return_exceptions=True)

    run(story(), grace=GRACE)


def test_a_refused_release_is_told_in_the_words_of_the_right_form(tmp_path: Path) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            place.simulator.behaviour.release_era = "object"
            place.simulator.behaviour.script([Fault("refused", status=400)], on="write")

            body = {"ids": [place.held()], **REASON}
            reply = (await place.call("POST", "/v1/messages/release?wait=20s", body)).json()

            assert reply["state"] == "failed"
            assert "expected an object" not in states(reply)[0][1]

    run(story(), grace=GRACE)


async def _for_ever(*_: object, **__: object) -> Any:
    await asyncio.Event().wait()


_ID = "0" * 32
_CALLS: list[tuple[str, str, Any, str]] = [
    ("POST", "/v1/messages/move", {"ids": ["x"], "destination": "JunkEmail", **REASON}, "soc"),
    ("POST", "/v1/messages/move", {"ids": ["x"]}, "soc"),
    ("POST", f"/v1/actions/{_ID}/cancel", None, "soc"),
    ("GET", f"/v1/actions/{_ID}?wait=30s", None, "soc"),
    ("GET", "/v1/actions", None, "soc"),
    ("GET", "/v1/events?wait=30s", None, "soc"),
    ("GET", "/v1/caller", None, "nobody"),
]


@pytest.mark.parametrize("call", _CALLS, ids=lambda call: f"{call[0]} {call[1]} {call[3]}")
def test_a_journal_that_is_away_is_answered_before_the_connection_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: tuple[str, str, Any, str]
) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            with monkeypatch.context() as patch:
                for name in ("action", "action_for", "actions", "append_audit", "outline", "store_action"):
                    patch.setattr(place.journal, name, _for_ever)
                method, path, body, by = call

                async with asyncio.timeout(_ANSWER_SECONDS):
                    reply = await place.call(method, path, body, by=by)

            expected = 401 if by == "nobody" else 400 if body and "reason" not in body else 503
            assert reply.status_code == expected
            if expected == 503:
                assert (reply.json()["code"], reply.headers["retry-after"]) == ("journal_unavailable", "10")
            await asyncio.sleep(60)
            assert list(await place.ledger.page(0, 10)) == []

    run(story(), grace=GRACE)


def test_a_pull_that_looks_past_much_answers_with_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with acting(tmp_path) as place:
            for number in range(30):
                await place.journal.commit(commit_of(f"m{number}"))
            read = place.journal.read

            async def slow(*arguments: Any) -> Any:
                await asyncio.sleep(2)
                return await read(*arguments)

            monkeypatch.setattr(place.journal, "read", slow)
            after, pulls = 0, 0
            while after < 30:
                reply = await place.call("GET", f"/v1/events?search=rare&after={after}")
                assert reply.status_code == 200, reply.text
                assert reply.json()["next"] > after
                after, pulls = reply.json()["next"], pulls + 1

            assert reply.json()["skipped"] == 0
            assert pulls > 1

    run(story(), grace=GRACE)


def test_what_was_stored_though_the_answer_came_too_late_is_done_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        async with acting(tmp_path, callers=_TWO_CALLERS) as place:
            held = place.held()
            body = {"ids": [held], "request_id": "r1", **REASON}
            store = place.journal.store_action

            async def slow(*arguments: Any, **named: Any) -> Any:
                monkeypatch.setattr(place.journal, "store_action", store)
                await store(*arguments, **named)
                await _for_ever()

            async def cut(path: str, by: str, body: Any = None) -> None:
                monkeypatch.setattr(place.journal, "store_action", slow)
                assert (await place.call("POST", path, body, by=by)).status_code == 503

            await cut("/v1/messages/release", "asks", body)
            reply = await place.call("POST", "/v1/messages/release", body, by="asks")
            assert reply.json()["state"] == "awaiting_approval"
            await cut(f"/v1/actions/{reply.json()['id']}/approve", "lead")
            action = await place.settled(reply.json()["id"])

            assert action.state is State.SUCCEEDED
            assert place.simulator.ledger.effects("release") == {held: 1}

    run(story(), grace=GRACE)


_TWO_CALLERS = """
    asks: {token: asks-token-0123456789, may: [release], approval: second_caller}
    lead: {token: lead-token-0123456789, may: [release, approve]}
"""
