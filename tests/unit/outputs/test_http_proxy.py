"""Outputs behind a proxy: how it is reached, whose certificates count, and what its refusal means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from connector.errors import Hold, Retryable
from connector.net import http
from connector.outputs.http.output import HttpSettings
from connector.testing.outputs import events
from tests.support.scripted_http import Reply, scripted
from tests.unit.net.test_tls_options import server_context


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[trustme.CA]:
    """The only authority of the system."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "system.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    http._default_context.cache_clear()
    yield ca
    http._default_context.cache_clear()


def output(url: str, **options: Any) -> Any:
    settings = HttpSettings.model_validate({"url": url, "timeout": "5s", **options})
    return settings.build("siem", lambda _: None)


async def test_options_for_the_collector_are_not_for_the_proxy(tmp_path: Path, authority: trustme.CA) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "collector.pem"))
    tls = {"ca_file": str(tmp_path / "collector.pem"), "server_name": "siem.example"}
    async with scripted(lambda _: Reply(), tls=server_context(authority, "127.0.0.1")) as proxy:
        collector = output("https://siem.example", proxy=f"https://127.0.0.1:{proxy.port}", tls=tls)
        said = await collector.check()
        await collector.close()

    assert said.startswith("reached the proxy for https://siem.example")


async def test_events_pass_a_proxy_that_a_system_authority_signed(authority: trustme.CA) -> None:
    async with scripted(lambda _: Reply(204), tls=server_context(authority, "127.0.0.1")) as proxy:
        collector = output("http://siem.example", proxy=f"https://127.0.0.1:{proxy.port}")
        await collector.send(events(2))
        await collector.close()

    assert proxy.asked[0].target == "http://siem.example/"


async def test_the_port_of_a_proxy_is_that_of_its_scheme() -> None:
    collector = output("https://siem.example", proxy="https://127.0.0.1")
    with pytest.raises(Retryable, match=r"127\.0\.0\.1:443"):
        await collector.check()
    await collector.close()


@pytest.mark.parametrize(("status", "kind"), [(407, Hold), (502, Retryable)])
async def test_a_proxy_that_asks_for_credentials_holds(status: int, kind: type[Exception]) -> None:
    async with scripted(lambda _: Reply(status)) as proxy:
        collector = output("https://siem.example", proxy=f"http://user:canary-old@127.0.0.1:{proxy.port}")
        route = rf"siem\.example:443 through the proxy 127\.0\.0\.1:{proxy.port} \(proxy setting\)"
        with pytest.raises(kind, match=rf"{route}: the proxy refused to connect \({status}") as raised:
            await collector.send(events(1))
        await collector.close()

    assert "canary" not in str(raised.value)
