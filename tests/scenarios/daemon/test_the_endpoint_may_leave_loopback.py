"""With ``server: {token, tls}`` the status is served over HTTPS, to those who have the token."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import trustme

from connector.simulator import Simulator, running
from tests.support.process import ACCOUNT, TOKEN, command, daemon, environment, until

CONFIG = """
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{base_url}"}}
searches:
  everything: {{every: 1s, start: 1h, filters: {{detections_only: false}}}}
outputs:
  console: {{type: stdout, mapping: raw}}
state: {{directory: state}}
server:
  listen: "127.0.0.1:0"
  token: "${{env:ENDPOINT_TOKEN}}"
  tls: {{cert_file: endpoint.pem}}
"""
ENDPOINT_TOKEN = "canary-of-the-endpoint-0123456789"


@pytest.fixture
def trusting(tmp_path: Path) -> ssl.SSLContext:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "endpoint.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def test_status_over_https_with_a_token(tmp_path: Path, trusting: ssl.SSLContext) -> None:
    environ = environment(TOKEN=TOKEN, ENDPOINT_TOKEN=ENDPOINT_TOKEN)

    def get(url: str, token: str = "") -> tuple[int, bytes]:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
        try:
            with urllib.request.urlopen(request, timeout=10, context=trusting) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    with running(Simulator(backlog=20)) as base_url:
        config = CONFIG.format(account=ACCOUNT, base_url=base_url)
        (tmp_path / "connector.yaml").write_text(config)
        with daemon(tmp_path, environ) as connector:
            url = connector.url
            assert url.startswith("https://127.0.0.1:")
            until(lambda: get(url + "/readyz")[0] == 200, "readiness without the token")
            assert get(url + "/healthz")[0] == 200
            assert get(url + "/metrics")[0] == 401
            assert get(url + "/api/status", ENDPOINT_TOKEN[:-1])[0] == 401
            code, body = get(url + "/api/status", ENDPOINT_TOKEN)
            assert (code, json.loads(body)["ready"]) == (200, True)
            _, table, _ = command("status", environ=environ, cwd=tmp_path)
            assert "everything" in table, "the command needs neither token nor certificate"
            assert connector.terminate() == 0
    shown = "".join(connector.logs).encode() + body + table.encode()
    assert ENDPOINT_TOKEN.encode() not in shown


def test_a_certificate_that_cannot_be_used_is_named_before_anything_starts(
    tmp_path: Path, trusting: ssl.SSLContext
) -> None:
    (tmp_path / "endpoint.pem").write_text("no certificate")
    (tmp_path / "connector.yaml").write_text(CONFIG.format(account=ACCOUNT, base_url="http://127.0.0.1:9"))

    environ = environment(TOKEN=TOKEN, ENDPOINT_TOKEN=ENDPOINT_TOKEN)
    for arguments in (("check", "--offline"), ("run",)):
        code, _, errors = command(*arguments, environ=environ, cwd=tmp_path)
        assert code == 2, arguments
        assert "server.tls" in errors
    assert not (tmp_path / "state").exists()
