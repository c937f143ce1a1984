"""A private authority in ``tls.ca_file`` is believed, and it alone; a name can be expected instead."""

from __future__ import annotations

from pathlib import Path

from connector.net.tls import TlsOptions
from tests.scenarios.source.account import TOKEN, account, in_turn, page, rows, run
from tests.scenarios.source.secure import Authority


def test_a_walk_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def story() -> None:
        replies = in_turn(page(rows(0, 2), next="a"), page(rows(2, 1)))
        async with account(replies, served_with=authority.server(), tls=authority.trusted) as it:
            assert await it.ids() == ["record-0", "record-1", "record-2"]
            assert it.searches[1].headers["authorization"] == f"Bearer {TOKEN}"
            assert it.server.connections == 1

    run(story())


def test_an_inspecting_proxy_under_another_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = TlsOptions(ca_file=authority.file, server_name="inspector.example")

    async def story() -> None:
        served = authority.server("inspector.example")
        async with account(in_turn(page(rows(0, 1))), served_with=served, tls=options) as it:
            assert await it.ids() == ["record-0"]

    run(story())
