"""Each kind of failure has one class, and a text with Cloudflare's words, its ray and what to do."""

from __future__ import annotations

import pytest

from connector.errors import BadQuery, Denied, SourceError, Unavailable
from connector.facts import SearchAborted
from connector.secret import Secret
from connector.source.credentials import ApiToken, KeyPair
from tests.scenarios.source.account import TOKEN, account, failure, in_turn, page, run
from tests.support.scripted_http import Asked, Reply, json_reply

RAY = "8e1f0a2b3c4d5e6f-FRA"
ROUTE = "Could not route to /client/v4/accounts/x, perhaps your object identifier is invalid?"


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "hint"),
    [
        (401, 10000, "Authentication error", Denied, "Cloud Email Security: Read"),
        (403, 10000, "Authentication error", Denied, "Cloud Email Security: Read"),
        (403, 10001, "Unable to authenticate request", Denied, "Cloud Email Security: Read"),
        (403, 9999, "something new", Denied, "Cloud Email Security: Read"),
        (400, 6003, "Invalid request headers", Denied, "malformed"),
        (400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers", Denied, "proxy"),
        (400, 7003, ROUTE, BadQuery, "account_id"),
        (404, 7003, ROUTE, BadQuery, "account_id"),
        (400, 1001, "sender: invalid", BadQuery, "filters"),
        (422, 1001, "per_page too large", BadQuery, "filters"),
        (405, 10405, "Method not allowed", BadQuery, "base_url"),
        (410, 1000, "gone", BadQuery, "newer version"),
        (400, 10100, "More than 1200 requests", Unavailable, "1200 requests"),
        (451, 1000, "legal", BadQuery, ""),
    ],
)
def test_the_class_and_the_hint_follow_from_status_and_code(
    status: int, code: int, message: str, kind: type[SourceError], hint: str
) -> None:
    async def story() -> None:
        async with account(in_turn(failure(status, code, message, cf_ray=RAY))) as it:
            _, error = await it.read_until_error()
            assert type(error) is kind
            assert (error.status, error.code, error.ray) == (status, code, RAY)
            text = str(error)
            assert all(part in text for part in (message, str(code), RAY, hint, f"HTTP {status}"))
            assert len(it.searches) == 1
            assert it.seen(SearchAborted)[0].reason == kind.kind

    run(story())


def test_the_chain_of_an_error_is_reported_and_its_end_gives_the_hint() -> None:
    chained = {
        "success": False,
        "errors": [
            {
                "code": 6003,
                "message": "Invalid request headers",
                "error_chain": [{"code": 6111, "message": "Invalid format for Authorization header"}],
            }
        ],
    }

    async def story() -> None:
        async with account(in_turn(json_reply(chained, 400))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Denied)
            assert "Invalid format for Authorization header (6111)" in str(error)

    run(story())


def test_the_part_of_the_request_that_an_error_points_at_is_reported() -> None:
    complaint = {"code": 1001, "message": "invalid value", "source": {"pointer": "/per_page"}}

    async def story() -> None:
        async with account(in_turn(json_reply({"success": False, "errors": [complaint]}, 400))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, BadQuery)
            assert "invalid value (1001), at /per_page" in str(error)

    run(story())


def test_the_status_comes_before_the_code() -> None:
    async def story() -> None:
        async with account(in_turn(failure(200, 10000, "Something went wrong"))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert "Cloud Email Security: Read" in str(error)

    run(story())


@pytest.mark.parametrize("content", ["text/html; charset=UTF-8", "application/json"])
def test_a_403_of_html_is_the_edge_and_not_the_token(content: str) -> None:
    html = b"<html><title>Access denied | example</title><h1>Error <span>1020</span></h1></html>"

    async def story() -> None:
        async with account(in_turn(Reply(403, html, {"content-type": content, "cf-ray": RAY}))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert error.code == 1020
            assert all(part in str(error) for part in ("Access denied", "the token is not the cause", RAY))
            assert len(it.searches) == 1

    run(story())


def test_a_key_pair_signs_in_with_its_own_headers() -> None:
    async def story() -> None:
        pair = KeyPair("soc@example.com", Secret("canary-key"))
        async with account(in_turn(page([])), credentials=pair) as it:
            await it.ids()
            headers = it.searches[0].headers
        assert (headers["x-auth-email"], headers["x-auth-key"]) == ("soc@example.com", "canary-key")
        assert "authorization" not in headers

    run(story())


def test_a_credential_that_the_other_side_repeats_is_masked() -> None:
    def echo(asked: Asked) -> Reply:
        return failure(400, 1000, f"bad header {asked.headers['authorization']}\r\nforged: line")

    async def story() -> None:
        async with account(echo) as it:
            _, error = await it.read_until_error()
            assert "bad header Bearer" in str(error)
            assert TOKEN not in str(error) + repr(error) + repr(it.facts)
            assert "\n" not in str(error)

    run(story())


def test_a_credential_that_is_no_header_is_denied_without_being_shown() -> None:
    async def story() -> None:
        async with account(in_turn(page([])), credentials=ApiToken(Secret(f"{TOKEN}\nx"))) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Denied)
            assert TOKEN not in str(error)
            assert it.server.asked == []

    run(story())


def test_a_rotated_token_is_used_after_a_refresh() -> None:
    async def story() -> None:
        token = ApiToken(Secret("old", reread=lambda: "new"))
        async with account(in_turn(failure(401, 10000, "no"), page([])), credentials=token) as it:
            await it.read_until_error()
            assert it.source.refresh()
            await it.ids()
            assert [asked.headers["authorization"] for asked in it.searches] == ["Bearer old", "Bearer new"]

    run(story())
