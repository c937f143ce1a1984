"""``check`` says which way each host is reached, and names entries of NO_PROXY that mean nothing."""

from __future__ import annotations

from pathlib import Path

from connector.app.routes import build_routes
from connector.ops.check import network_routes
from connector.settings import load

CONFIGURATION = """\
accounts: {{prod: {{account_id: {account}, api_token: "canary-token"}}}}
searches: {{all: {{}}}}
outputs:
  near: {{type: http, url: "http://10.1.2.3:8080/in/canary-path", mapping: ecs}}
  far: {{type: splunk_hec, url: "https://hec.example:8088", token: "canary-hec"}}
  own: {{type: http, url: "https://x.example/", proxy: "http://user:canary-own@own.example:81", mapping: ecs}}
state: {{directory: state}}
"""


def results(tmp_path: Path, **environ: str) -> list[tuple[str, str]]:
    path = tmp_path / "connector.yaml"
    path.write_text(CONFIGURATION.format(account="0" * 32))
    loaded = load(path, {})
    routes = build_routes(loaded, lambda _: None, {})
    return [(result.item, result.text) for result in network_routes(loaded.settings, routes, environ)]


def test_every_host_is_named_with_its_way(tmp_path: Path) -> None:
    found = results(
        tmp_path,
        HTTPS_PROXY="http://user:canary-proxy@proxy.example:3128",
        HTTP_PROXY="http://proxy.example:3128",
        NO_PROXY="10.0.0.0/8,fd00::/8,[::1],10.0.0.0/99",
    )

    assert found == [
        ("proxy", "NO_PROXY: ignored the entry '10.0.0.0/99'"),
        ("proxy api.cloudflare.com", "reached through the proxy proxy.example:3128 (HTTPS_PROXY)"),
        ("proxy 10.1.2.3:8080", "reached directly (NO_PROXY)"),
        ("proxy hec.example:8088", "reached through the proxy proxy.example:3128 (HTTPS_PROXY)"),
        ("proxy x.example", "reached through the proxy own.example:81 (proxy setting)"),
    ]
    assert "canary" not in str(found)
