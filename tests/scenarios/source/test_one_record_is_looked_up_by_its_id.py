"""A record by its id: as it is now, or gone, and never gone by mistake."""

from __future__ import annotations

import pytest

from connector.errors import BadQuery, Denied, SourceError, Unavailable
from connector.model import Priority
from tests.scenarios.source.account import SEARCH, account, failure, in_turn, page, run
from tests.support.scripted_http import Reply, json_reply

ID = "4Wx1Qp7mK2z9sNH-2026-11-18T09:41:07-2a539d65"


def found(body: object) -> Reply:
    return json_reply({"success": True, "errors": [], "messages": [], "result": body})


def test_the_record_comes_as_it_is() -> None:
    async def story() -> None:
        async with account(in_turn(found({"id": ID, "is_quarantined": False}))) as it:
            record = await it.source.get(ID, Priority.REVISIT)
            assert record is not None
            assert (record.id, record.body["is_quarantined"]) == (ID, False)
            assert it.server.asked[0].path == f"{SEARCH}/{ID}"

    run(story())


def test_an_id_cannot_lead_to_another_address() -> None:
    async def story() -> None:
        async with account(in_turn(found({"id": "x"}))) as it:
            await it.source.get("../../x?y=1#z", Priority.REVISIT)
            assert it.server.asked[0].target == f"{SEARCH}/..%2F..%2Fx%3Fy%3D1%23z"

    run(story())


def test_what_the_api_no_longer_knows_is_none() -> None:
    async def story() -> None:
        async with account(in_turn(failure(404, 1002, "message not found"))) as it:
            assert await it.source.get(ID, Priority.REVISIT) is None

    run(story())


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (failure(404, 7003, "Could not route"), BadQuery),
        (Reply(404, b"<html>not here</html>", {"content-type": "text/html"}), BadQuery),
        (failure(403, 10000, "Authentication error"), Denied),
        (failure(410, 1000, "ended"), BadQuery),
        (failure(500), Unavailable),
        (found(None), Unavailable),
        (found([]), Unavailable),
        (page([], status=202), SourceError),
    ],
)
def test_nothing_else_is_mistaken_for_gone(reply: Reply, kind: type[SourceError]) -> None:
    async def story() -> None:
        async with account(in_turn(reply)) as it:
            with pytest.raises(kind):
                await it.source.get(ID, Priority.REVISIT)

    run(story())


def test_a_record_that_came_without_an_id_is_not_asked_for() -> None:
    async def story() -> None:
        async with account(in_turn(failure(404, 1002, "not found"))) as it:
            with pytest.raises(BadQuery, match="no id of its own"):
                await it.source.get("sha256:abc", Priority.REVISIT)
            assert it.server.asked == []

    run(story())
