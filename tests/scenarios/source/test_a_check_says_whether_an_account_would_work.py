"""Before anything runs, a person learns what is wrong with token, permission or clock."""

from __future__ import annotations

from datetime import timedelta

from connector.secret import Secret
from connector.source.credentials import KeyPair
from connector.source.probe import Level, ProbeResult
from tests.scenarios.source.account import ACCOUNT, SEARCH, account, failure, http_date, page, rows, run
from tests.support.jumping_loop import EPOCH
from tests.support.scripted_http import Asked, Reply, Script, json_reply

USER = "/client/v4/user/tokens/verify"
OWNED = f"/client/v4/accounts/{ACCOUNT}/tokens/verify"
ACTIVE = {"id": "1", "status": "active"}


def api(
    *,
    user: Reply | None = None,
    owned: Reply | None = None,
    search: Reply | None = None,
) -> Script:
    refused = failure(401, 1000, "Invalid API Token")
    replies = {USER: user or refused, OWNED: owned or refused, SEARCH: search or page(rows(0, 1))}
    return lambda asked: replies[asked.path]


def verified(**result: object) -> Reply:
    message = {"code": 10000, "message": "This API Token is valid and active"}
    return json_reply({"success": True, "errors": [], "messages": [message], "result": {**ACTIVE, **result}})


async def _verify(
    script: Script, credentials: KeyPair | None = None
) -> tuple[dict[str, ProbeResult], list[Asked]]:
    async with account(script, credentials=credentials) as it:
        findings = await it.source.verify()
        return {finding.item: finding for finding in findings}, it.server.asked


def test_a_good_user_token_is_three_times_ok() -> None:
    async def story() -> None:
        good = page(rows(0, 1), headers={"date": http_date(EPOCH)})
        found, asked = await _verify(api(user=verified(), search=good))
        assert {item: finding.level for item, finding in found.items()} == {
            "token": Level.OK,
            "permission": Level.OK,
            "clock": Level.OK,
        }
        assert asked[-1].params == {"detections_only": "false", "per_page": "1"}

    run(story())


def test_an_account_token_is_verified_at_the_account() -> None:
    async def story() -> None:
        found, asked = await _verify(api(owned=verified()))
        assert found["token"].level is Level.OK
        assert [request.path for request in asked] == [USER, OWNED, SEARCH]

    run(story())


def test_a_token_without_the_permission_is_named() -> None:
    async def story() -> None:
        denied = failure(403, 10000, "Authentication error", cf_ray="ray-1")
        found, _ = await _verify(api(user=verified(), search=denied))
        assert found["token"].level is Level.OK
        assert found["permission"].level is Level.FAILED
        assert "ray-1" in found["permission"].text
        assert "Cloud Email Security: Read" in found["permission"].hint

    run(story())


def test_a_wrong_token_fails_both() -> None:
    async def story() -> None:
        found, _ = await _verify(api(search=failure(401, 10000, "Authentication error")))
        assert found["token"].level is found["permission"].level is Level.FAILED

    run(story())


def test_a_token_that_cannot_look_at_itself_but_searches_is_a_warning() -> None:
    async def story() -> None:
        found, _ = await _verify(api())
        assert found["token"].level is Level.WARNING
        assert found["permission"].level is Level.OK

    run(story())


def test_the_end_of_a_token_is_reported_in_time() -> None:
    async def story() -> None:
        soon = (EPOCH + timedelta(days=3)).isoformat().replace("+00:00", "Z")
        found, _ = await _verify(api(user=verified(expires_on=soon)))
        assert found["token"].level is Level.WARNING
        assert "2026-03-04" in found["token"].text
        found, _ = await _verify(api(user=verified(expires_on="2027-01-01T00:00:00Z")))
        assert found["token"].level is Level.OK
        found, _ = await _verify(api(user=verified(status="disabled")))
        assert "disabled" in found["token"].text

    run(story())


def test_a_key_pair_is_judged_by_the_search_alone() -> None:
    async def story() -> None:
        found, asked = await _verify(api(), KeyPair("a@example.com", Secret("key")))
        assert set(found) == {"permission", "clock"}
        assert [request.path for request in asked] == [SEARCH]

    run(story())


def test_a_clock_that_is_wrong_is_reported_with_its_direction() -> None:
    async def story() -> None:
        later = page([], headers={"date": http_date(EPOCH + timedelta(minutes=2))})
        found, _ = await _verify(api(user=verified(), search=later))
        assert found["clock"].level is Level.WARNING
        assert "behind" in found["clock"].text

    run(story())


def test_a_deferred_answer_is_good_enough() -> None:
    async def story() -> None:
        found, _ = await _verify(api(user=verified(), search=page([], status=202)))
        assert found["permission"].level is Level.OK

    run(story())
