"""A gateway before the API may want a client certificate: it is shown, renewed, and missed with advice."""

from __future__ import annotations

from pathlib import Path

from connector.errors import Unavailable
from connector.net.tls import TlsOptions
from tests.scenarios.source.account import account, in_turn, page, rows, run
from tests.scenarios.source.secure import Authority


def test_the_walk_succeeds_with_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = TlsOptions(ca_file=authority.file, cert_file=authority.client())

    async def story() -> None:
        served = authority.server(clients=True)
        async with account(in_turn(page(rows(0, 1))), served_with=served, tls=options) as it:
            assert await it.ids() == ["record-0"]

    run(story())


def test_without_it_nothing_is_read_and_nothing_is_lost(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def story() -> None:
        served = authority.server(clients=True)
        async with account(in_turn(page([])), served_with=served, tls=authority.trusted) as it:
            read, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            assert (read, it.server.asked) == ([], [])
            assert f"127.0.0.1:{it.server.port}" in str(error)

    run(story())


def test_one_that_was_renewed_in_its_file_is_used_after_the_next_failure(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    authority, stranger = Authority(tmp_path), Authority(tmp_path / "old")
    shown = stranger.client()
    options = TlsOptions(ca_file=authority.file, cert_file=shown)

    async def story() -> None:
        served = authority.server(clients=True)
        async with account(in_turn(page(rows(0, 1))), served_with=served, tls=options) as it:
            _, error = await it.read_until_error()
            assert isinstance(error, Unavailable)
            shown.write_bytes(authority.client().read_bytes())
            assert await it.ids() == ["record-0"]

    run(story())
