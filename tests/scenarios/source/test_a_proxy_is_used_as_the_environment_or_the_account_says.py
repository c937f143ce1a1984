"""HTTPS_PROXY and NO_PROXY of the environment, or the account's own proxy, which wins."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from connector.app.sources import open_sources
from connector.errors import Unavailable
from connector.model import Query
from connector.settings import load
from tests.scenarios.source.account import HOUR, TOKEN, account, in_turn, page, rows, run
from tests.scenarios.source.secure import Authority, tunnel
from tests.support.jumping_loop import wall_clock
from tests.support.scripted_http import scripted

API = "api.example"
SECRET = "canary-proxy"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def test_https_proxy_leads_there_and_sees_no_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)

    async def story() -> None:
        async with scripted(in_turn(page(rows(0, 1))), tls=authority.server(API)) as api:
            async with tunnel(api.port) as proxy:
                monkeypatch.setenv("HTTPS_PROXY", f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
                through = account(in_turn(page([])), tls=authority.trusted, origin=f"https://{API}")
                async with through as it:
                    assert await it.ids() == ["record-0"]
            (head,) = proxy.asked
            assert proxy.targets == [f"{API}:443"]
            assert base64.b64encode(f"user:{SECRET}".encode()).decode() in head
            assert TOKEN not in head
            assert api.asked[0].headers["authorization"] == f"Bearer {TOKEN}"

    run(story())


def test_no_proxy_makes_an_exception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)

    async def story() -> None:
        async with tunnel(1) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv("NO_PROXY", "localhost, 127.0.0.1")
            direct = account(in_turn(page(rows(0, 1))), served_with=authority.server(), tls=authority.trusted)
            async with direct as it:
                assert await it.ids() == ["record-0"]
            assert proxy.asked == []

    run(story())


CONFIGURATION = """\
accounts:
  first: {{account_id: "{first}", api_token: one, base_url: "{api}/client/v4", proxy: "{proxy_1}"}}
  second: {{account_id: "{second}", api_token: two, base_url: "{api}/client/v4", proxy: "{proxy_2}"}}
  third: {{account_id: "{third}", api_token: three, base_url: "{api}/client/v4"}}
searches:
  detections: {{every: 60s}}
outputs:
  siem: {{type: stdout}}
"""


def test_each_account_goes_its_own_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {"first": "1" * 32, "second": "2" * 32, "third": "3" * 32}

    async def story() -> None:
        async with (
            scripted(in_turn(page(rows(3, 1)))) as api,
            scripted(in_turn(page(rows(1, 1)))) as one,
            scripted(in_turn(page(rows(2, 1)))) as two,
        ):
            monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            file = tmp_path / "connector.yaml"
            file.write_text(CONFIGURATION.format(api=api.url, proxy_1=one.url, proxy_2=two.url, **ids))
            settings = load(file, {}).settings
            clock = wall_clock(asyncio.get_running_loop())
            async with open_sources(settings, None, observe=lambda _: None, clock=clock) as sources:
                found = {}
                for name, source in sources.items():
                    async for got in source.search(Query(), HOUR):
                        found[name] = [record.id for record in got.records]
            assert found == {"first": ["record-1"], "second": ["record-2"], "third": ["record-3"]}
            assert [len(server.asked) for server in (api, one, two)] == [1, 1, 1]
            assert one.asked[0].target.startswith(f"{api.url}/client/v4/accounts/{ids['first']}/")

    run(story())


def test_a_proxy_that_refuses_is_named_and_its_password_is_not(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"

    async def story() -> None:
        async with tunnel(1, refusal=refusal) as proxy:
            url = f"http://user:{SECRET}@127.0.0.1:{proxy.port}"
            through = account(in_turn(page([])), tls=authority.trusted, proxy=url, origin=f"https://{API}")
            async with through as it:
                _, error = await it.read_until_error()
                assert isinstance(error, Unavailable)
                assert all(text in str(error) for text in (f"{API}:443", "proxy", "407"))
                assert SECRET not in str(error) + repr(it.facts)

    run(story())
