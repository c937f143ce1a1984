"""The Logs Ingestion API and the four kinds of credentials, against a fake of both on real sockets."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from connector.errors import Hold, Refused, Retryable
from connector.outputs.common import TOO_LARGE
from connector.outputs.sentinel import entra
from connector.outputs.sentinel.output import SentinelOutput, SentinelSettings
from connector.testing.outputs import events
from tests.support.log_ingestion import (
    CLIENT,
    LARGEST,
    RULE,
    SECRET,
    STREAM,
    TENANT,
    LogIngestion,
    log_ingestion,
    settings,
)
from tests.support.scripted_http import Asked, Reply, json_reply, scripted

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)


def made(url: str, auth: dict[str, Any] | None = None, **more: Any) -> SentinelOutput:
    given = settings(url, **more)
    if auth is not None:
        given["auth"] = auth
    return SentinelOutput(SentinelSettings.model_validate(given), lambda: NOW)


@asynccontextmanager
async def sending(site: LogIngestion, **more: Any) -> AsyncIterator[SentinelOutput]:
    output = made(site.url, **more)
    try:
        await output.open()
        yield output
    finally:
        await output.close()


async def test_rows_go_to_the_stream_of_the_rule_as_a_compressed_array_with_a_time() -> None:
    async with log_ingestion() as site, sending(site) as output:
        await output.send(events(3))
        await output.send(events(1))

    assert site.calls[0].target == f"/dataCollectionRules/{RULE}/streams/{STREAM}?api-version=2023-01-01"
    assert site.calls[0].headers["content-type"] == "application/json"
    assert site.calls[0].headers["content-encoding"] == "gzip"
    assert [row["id"] for row in site.rows] == ["event-0-end", "event-1-end", "event-2-end", "event-0-end"]
    assert site.rows[0]["TimeGenerated"] == "2026-01-01T12:00:00.000Z"
    assert site.grants == [
        {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "scope": "https://monitor.azure.com//.default",
        }
    ]


async def test_the_time_of_a_row_that_has_one_stays() -> None:
    [event] = events(1)
    payloads = (b'{"a":1,"TimeGenerated":"2020-01-01T00:00:00Z"}', b'{"a":"\\"TimeGenerated\\""}', b"{}")
    async with log_ingestion() as site, sending(site) as output:
        await output.send([replace(event, payload=payload) for payload in payloads])

    assert [row["TimeGenerated"] for row in site.rows] == [
        "2020-01-01T00:00:00Z",
        "2026-01-01T12:00:00.000Z",
        "2026-01-01T12:00:00.000Z",
    ]


async def test_a_full_batch_and_the_largest_event_stay_below_the_limit_of_a_request() -> None:
    async with log_ingestion() as site, sending(site, batch={"bytes": "1MB"}) as output:
        longest = output.limits.event_bytes
        assert longest is not None
        await output.send(events(1, longest))
        receipt = await output.send([*events(1), *events(1, longest + 1, label="giant")])

    assert receipt.rejected == {1: TOO_LARGE}
    assert len(site.rows) == 2
    with pytest.raises(ValidationError, match="at most 1 MB"):
        made("https://x.example", batch={"bytes": LARGEST + 1})


async def test_a_mapping_that_writes_no_json_holds_the_output() -> None:
    [event] = events(1)
    async with log_ingestion() as site, sending(site) as output:
        with pytest.raises(Hold, match="requires a mapping that produces JSON"):
            await output.send([replace(event, payload=b"CEF:0|x")])


@pytest.mark.parametrize(
    ("reply", "error", "text"),
    [
        (Reply(403, b"denied"), Hold, "Monitoring Metrics Publisher.* takes up to 30 minutes"),
        (Reply(404), Hold, r"rule \(the immutable id\) and stream"),
        (Reply(400, b"bad"), Refused, "400"),
        (Reply(413), Refused, "413"),
        (Reply(429, headers={"retry-after": "11"}), Retryable, "429"),
        (Reply(503), Retryable, "503"),
        (Reply(200, b"<html>sign in to the guest network"), Hold, "no answer of Azure Monitor"),
    ],
)
async def test_what_an_answer_means(reply: Reply, error: type[Exception], text: str) -> None:
    async with log_ingestion(lambda _asked, _rows: reply) as site, sending(site) as output:
        with pytest.raises(error, match=text) as raised:
            await output.send(events(1))

    if isinstance(raised.value, Retryable) and reply.status == 429:
        assert raised.value.after == 11
        assert raised.value.busy
    if isinstance(raised.value, Refused):
        assert raised.value.too_large == (reply.status == 413)


async def test_a_token_that_was_revoked_is_replaced_once_and_then_the_output_holds() -> None:
    async with log_ingestion() as site, sending(site) as output:
        await output.send(events(1))
        site.revoked = {f"Bearer token-{number}-of-the-authority" for number in (1, 2)}
        with pytest.raises(Retryable, match="fetching a new one"):
            await output.send(events(1))
        with pytest.raises(Hold, match="does not accept the credentials"):
            await output.send(events(1))

    assert len(site.grants) == 2


async def test_a_refusal_of_the_authority_shows_no_secret() -> None:
    def answer(asked: Asked) -> Reply:
        return json_reply({"error": "invalid_client", "error_description": asked.body.decode()}, 401)

    async with scripted(answer) as server:
        output = made(server.url)
        with pytest.raises(Hold, match=r"invalid_client.*client_secret has not expired") as raised:
            await output.check()
        await output.close()

    assert "s3cret" not in str(raised.value)


# Certificates


def key_and_certificate(folder: Path, password: bytes | None = None) -> tuple[rsa.RSAPrivateKey, bytes, Path]:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "connector")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    path = folder / "app.pem"
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return key, certificate.public_bytes(serialization.Encoding.DER), path


def part(text: str) -> Any:
    return json.loads(unpadded(text))


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize("password", [None, "open sesame"])
async def test_a_certificate_signs_an_assertion_that_its_key_verifies(
    tmp_path: Path, password: str | None
) -> None:
    key, der, path = key_and_certificate(tmp_path, password.encode() if password else None)
    certificate = {"cert_file": str(path), **({"key_password": password} if password else {})}
    async with log_ingestion() as site:
        identity = {"tenant_id": TENANT, "client_id": CLIENT, "authority": site.url}
        output = made(site.url, {**identity, "certificate": certificate})
        await output.send(events(1))
        await output.close()

    [grant] = site.grants
    assert grant["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    header, claims, signature = grant["client_assertion"].split(".")
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    assert part(header) == {"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}
    said = part(claims)
    assert said["aud"] == f"{site.url}/{TENANT}/oauth2/v2.0/token"
    assert said["iss"] == said["sub"] == CLIENT
    assert said["nbf"] < NOW.timestamp() < said["exp"] <= NOW.timestamp() + 600
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    key.public_key().verify(unpadded(signature), f"{header}.{claims}".encode(), pss, hashes.SHA256())


async def test_a_certificate_that_cannot_sign_holds_with_its_file(tmp_path: Path) -> None:
    key_and_certificate(tmp_path, b"open sesame")
    other = tmp_path / "other.pem"
    elliptic = ec.generate_private_key(ec.SECP256R1())
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    strange = tmp_path / "strange.pem"
    strange.write_bytes(rsa.generate_private_key(65537, 2048).private_bytes(*plain))
    other.write_bytes(elliptic.private_bytes(*plain))
    app = str(tmp_path / "app.pem")
    cases: tuple[tuple[dict[str, str], str], ...] = (
        ({"cert_file": str(tmp_path / "none.pem")}, "cannot read"),
        ({"cert_file": str(other)}, "no PEM certificate"),
        ({"cert_file": app}, "the key is encrypted"),
        ({"cert_file": app, "key_password": "wrong"}, "key_password is wrong"),
        ({"cert_file": app, "key_file": str(other)}, "not an RSA key"),
        ({"cert_file": app, "key_file": str(strange)}, "does not belong"),
    )
    for certificate, text in cases:
        output = made(
            "http://127.0.0.1:9",
            {"tenant_id": TENANT, "client_id": CLIENT, "certificate": certificate},
        )
        with pytest.raises(Hold, match=text):
            await output.send(events(1))
        await output.close()


def test_a_certificate_without_the_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entra, "find_spec", lambda _: None)

    with pytest.raises(ValidationError, match=r"pip install 'cloudflare-email-connector\[sentinel\]'"):
        made(
            "https://x.example", {"tenant_id": TENANT, "client_id": CLIENT, "certificate": {"cert_file": "a"}}
        )


# Workload identity


async def test_the_federated_token_is_read_for_each_new_access_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("federated-1\n")
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    async with log_ingestion() as site:
        output = made(site.url, {"workload_identity": {}, "authority": site.url})
        await output.send(events(1))
        file.write_text("federated-2\n")
        site.revoked = {"Bearer token-1-of-the-authority"}
        with pytest.raises(Retryable):
            await output.send(events(1))
        await output.send(events(1))
        file.unlink()
        site.revoked = {"Bearer token-2-of-the-authority"}
        with pytest.raises(Retryable):
            await output.send(events(1))
        with pytest.raises(Hold, match="cannot read"):
            await output.send(events(1))
        await output.close()

    assert [grant["client_assertion"] for grant in site.grants] == ["federated-1", "federated-2"]


async def test_a_workload_identity_outside_of_its_platform_says_which_variables_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for auth, text in (
        ({"workload_identity": {}}, "AZURE_TENANT_ID"),
        (
            {"workload_identity": {}, "tenant_id": TENANT, "client_id": CLIENT},
            "AZURE_FEDERATED_TOKEN_FILE",
        ),
    ):
        output = made("http://127.0.0.1:9", auth)
        with pytest.raises(Hold, match=text):
            await output.send(events(1))


# Managed identity


class Metadata:
    """The metadata service of a machine, an app or Azure Arc, in front of an endpoint for rows."""

    def __init__(self, key: str = "") -> None:
        self.key = key
        self.key_file = Path()
        self.asked: list[Asked] = []
        self.rows = 0

    def __call__(self, asked: Asked) -> Reply:
        if asked.path.startswith("/dataCollectionRules"):
            self.rows += 1
            return Reply(204 if asked.headers["authorization"] == "Bearer managed" else 401)
        self.asked.append(asked)
        if self.key and asked.headers.get("authorization") != f"Basic {self.key}":
            return Reply(401, headers={"www-authenticate": f"Basic realm={self.key_file}"})
        return json_reply({"access_token": "managed", "expires_in": "86399", "token_type": "Bearer"})


@pytest.fixture(autouse=True)
def _no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IMDS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


async def test_a_machine_asks_its_metadata_service_and_never_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = Metadata()
    async with scripted(service) as server:
        monkeypatch.setattr(entra, "_METADATA", f"{server.url}/metadata/identity/oauth2/token")
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        output = made(server.url, {"managed_identity": {"client_id": CLIENT}})
        await output._tokens.get()
        await output.close()

    [asked] = service.asked
    assert asked.method == "GET"
    assert asked.headers["metadata"] == "true"
    assert asked.params == {
        "api-version": "2018-02-01",
        "resource": "https://monitor.azure.com/",
        "client_id": CLIENT,
    }


async def test_an_app_asks_its_identity_endpoint_with_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Metadata()
    async with scripted(service) as server:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header-secret")
        output = made(server.url, {"managed_identity": {}, "cloud": "us_government"})
        await output.send(events(1))
        await output.close()

    [asked] = service.asked
    assert asked.headers["x-identity-header"] == "header-secret"
    assert asked.params == {"api-version": "2019-08-01", "resource": "https://monitor.azure.us/"}
    assert service.rows == 1


async def test_a_machine_of_azure_arc_proves_that_it_may_read_the_agents_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Metadata("arc-key")
    service.key_file = tmp_path / "one.key"
    service.key_file.write_text("arc-key\n")
    monkeypatch.setattr(entra, "_ARC_DIRECTORY", tmp_path)
    async with scripted(service) as server:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.url}/metadata/identity/oauth2/token")
        monkeypatch.setenv("IMDS_ENDPOINT", server.url)
        output = made(server.url, {"managed_identity": {}})
        await output.send(events(1))
        await output.close()
        service.key_file = Path("/etc/passwd")
        other = made(server.url, {"managed_identity": {}})
        with pytest.raises(Hold, match="named no key file"):
            await other.send(events(1))
        await other.close()

    assert service.rows == 1


async def test_a_machine_without_an_identity_holds_and_a_busy_service_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replies = [json_reply({"error": "invalid_request", "error_description": "Identity not found"}, 400)]
    replies.append(Reply(429))
    async with scripted(lambda _: replies.pop(0)) as server:
        monkeypatch.setattr(entra, "_METADATA", f"{server.url}/token")
        output = made(server.url, {"managed_identity": {}})
        with pytest.raises(Hold, match=r"Identity not found.*has a managed identity"):
            await output.send(events(1))
        with pytest.raises(Retryable, match="429"):
            await output.send(events(1))
        await output.close()


# Settings


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"auth": {}}, "exactly one of"),
        ({"auth": {"client_secret": "s"}}, "require tenant_id and client_id"),
        ({"auth": {"client_secret": "s", "managed_identity": {}}}, "exactly one of"),
        ({"auth": {"managed_identity": {}, "tenant_id": TENANT}}, "tenant_id has no effect"),
        ({"url": "https://x.example/dataCollectionRules/a"}, "url is the endpoint alone"),
        ({"url": "http://x.example"}, "url must be https"),
        ({"url": "https://a.b-1.ingest.monitor.azure.us"}, "another cloud than auth.cloud"),
        ({"rule": "my-rule"}, "rule"),
        ({"stream": "CloudflareEmailSecurity_CL"}, "stream"),
        ({"auth": {"client_secret": "s", "tenant_id": "a/b", "client_id": CLIENT}}, "tenant_id"),
    ],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        SentinelSettings.model_validate({**settings("https://x.example"), **change})


@pytest.mark.parametrize(
    ("url", "auth"),
    [
        ("https://a.b-1.ingest.monitor.azure.us", {"cloud": "us_government"}),
        ("https://a.b-1.ingest.monitor.azure.cn", {"cloud": "china"}),
        ("https://a.b-1.ingest.monitor.azure.com", {}),
        ("https://a.b-1.ingest.monitor.azure.us", {"scope": "https://monitor.azure.us//.default"}),
        ("https://private-link.example", {"cloud": "china"}),
    ],
)
def test_an_endpoint_of_the_cloud_of_its_token_is_accepted(url: str, auth: dict[str, Any]) -> None:
    SentinelSettings.model_validate(settings(url) | {"auth": {"managed_identity": {}, **auth}})
