"""With ``server: {token, tls}`` the status is served over HTTPS, to those who have the token."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from cryptography import x509

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
ACTIONS = """
actions:
  listen: "127.0.0.1:0"
  tls: {cert_file: endpoint.pem}
  callers: {soc: {token: "${env:ENDPOINT_TOKEN}", may: [search]}}
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


def presented(url: str, context: ssl.SSLContext) -> int:
    """The serial number of the certificate that a new connection gets."""
    target = urlsplit(url)
    with (
        socket.create_connection((str(target.hostname), int(target.port or 0)), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=target.hostname) as secured,
    ):
        certificate = secured.getpeercert()
    assert certificate is not None
    return int(str(certificate["serialNumber"]), 16)


def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    """For the endpoint and for actions; one that cannot be used leaves the former in place."""
    authority, environ = trustme.CA(), environment(TOKEN=TOKEN, ENDPOINT_TOKEN=ENDPOINT_TOKEN)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    def renew() -> int:
        issued = authority.issue_cert("127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "endpoint.pem"))
        return x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()).serial_number

    renew()
    with running(Simulator()) as base_url:
        config = CONFIG.format(account=ACCOUNT, base_url=base_url) + ACTIONS
        (tmp_path / "connector.yaml").write_text(config)
        with daemon(tmp_path, environ) as connector:
            until(lambda: "actions_started" in "".join(connector.logs), "the API of actions")
            [actions] = [
                one["url"] for one in map(json.loads, connector.logs) if one["event"] == "actions_started"
            ]
            serial = renew()
            assert command("reload", environ=environ, cwd=tmp_path)[0] == 0
            assert [presented(url, trusting) for url in (connector.url, actions)] == [serial, serial]
            (tmp_path / "endpoint.pem").write_text("no certificate")
            assert command("reload", environ=environ, cwd=tmp_path)[0] == 0
            assert [presented(url, trusting) for url in (connector.url, actions)] == [serial, serial]
            assert connector.terminate() == 0
    lines = [line for line in map(json.loads, connector.logs) if line["event"].startswith("certificate_")]
    assert [(line["event"], line["setting"]) for line in lines] == [
        ("certificate_renewed", "server.tls"), ("certificate_renewed", "actions.tls"),
        ("certificate_refused", "server.tls"), ("certificate_refused", "actions.tls"),
    ]  # fmt: skip


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
