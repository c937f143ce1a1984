"""Access tokens of Microsoft Entra ID, by client secret, certificate, workload or managed identity.

Sources: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow (requests with a
secret, an assertion, a federated token), .../certificate-credentials (the assertion), and
learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token (metadata
service).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote, quote_plus, urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from connector.errors import Hold
from connector.interfaces import Clock
from connector.net.tls import TlsOptions
from connector.net.transport import Response
from connector.outputs.shared.http_client import HttpSender, HttpSettingsBase
from connector.outputs.shared.tokens import Grant
from connector.outputs.shared.url import Url
from connector.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

Cloud = Literal["public", "us_government", "china"]

_AUTHORITIES: Mapping[Cloud, str] = {
    "public": "https://login.microsoftonline.com",
    "us_government": "https://login.microsoftonline.us",
    "china": "https://login.partner.microsoftonline.cn",
}
_SCOPES: Mapping[Cloud, str] = {
    "public": "https://monitor.azure.com//.default",
    "us_government": "https://monitor.azure.us//.default",
    "china": "https://monitor.azure.cn//.default",
}
"""The second slash belongs to them: the resource is ``https://monitor.azure.com/``."""

_METADATA = "http://169.254.169.254/metadata/identity/oauth2/token"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTED = 600
"""Seconds that an assertion is valid; the documentation asks for five to ten minutes."""
_SKEW = 60
"""Seconds that an assertion is valid before it was made, should this clock be fast."""

Guid = Annotated[str, StringConstraints(pattern="^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")]
"""The id of a tenant or client, as the portal shows it."""

Tenant = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.-]{0,253}$")]
"""A tenant's id, or one of its domains."""


class CertificateSettings(BaseModel):
    """A certificate that is registered for the app, with its private key, as PEM."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    cert_file: Path = Field(description="PEM file of the certificate; it may contain the key too.")
    key_file: Path | None = Field(
        default=None, description="PEM file of the RSA key, if cert_file does not contain it."
    )
    key_password: Secret | None = Field(default=None, description="Password of the key.")

    @model_validator(mode="after")
    def _can_sign(self) -> CertificateSettings:
        if find_spec("cryptography") is None:
            raise ValueError(
                "signing with a certificate requires the package cryptography: "
                "pip install 'cloudflare-email-connector[sentinel]'"
            )
        return self


class WorkloadIdentitySettings(BaseModel):
    """A token of the platform (Kubernetes), which Entra ID trusts; by default from the variables AZURE_*."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    token_file: Path | None = Field(
        default=None, description="File with the federated token; by default AZURE_FEDERATED_TOKEN_FILE."
    )


class ManagedIdentitySettings(BaseModel):
    """The identity that Azure gives a machine, container or app."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    client_id: Guid | None = Field(default=None, description="Client id of a user-assigned identity.")


class EntraSettings(BaseModel):
    """Who this is for Microsoft Entra ID: exactly one of four kinds of credentials."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    tenant_id: Tenant | None = Field(
        default=None, description="Tenant; for a workload identity by default AZURE_TENANT_ID."
    )
    client_id: Guid | None = Field(
        default=None,
        description="Application (client) id; for a workload identity by default AZURE_CLIENT_ID.",
    )
    client_secret: Secret | None = Field(default=None, description="A client secret of the app.")
    certificate: CertificateSettings | None = None
    workload_identity: WorkloadIdentitySettings | None = None
    managed_identity: ManagedIdentitySettings | None = None
    cloud: Cloud = Field(default="public", description="Azure cloud: sets authority and scope.")
    authority: Url | None = Field(default=None, description="Token authority; by default that of the cloud.")
    scope: str | None = Field(
        default=None, pattern="^.+/\\.default$", description="Scope; by default that of the cloud."
    )
    tls: TlsOptions | None = Field(
        default=None, description="TLS options for the authority; the output's tls is for the endpoint."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> EntraSettings:
        kinds = (self.client_secret, self.certificate, self.workload_identity, self.managed_identity)
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError(
                "auth requires exactly one of client_secret, certificate, workload_identity and "
                "managed_identity"
            )
        if self.managed_identity is not None:
            useless = {"tenant_id", "client_id", "authority", "tls"} & self.model_fields_set
            if useless:
                raise ValueError(f"{min(useless)} has no effect with managed_identity")
        elif self.workload_identity is None and (self.tenant_id is None or self.client_id is None):
            raise ValueError("client_secret and certificate require tenant_id and client_id")
        return self

    @property
    def wanted(self) -> str:
        """The scope to ask for."""
        return self.scope or _SCOPES[self.cloud]

    def fits(self, host: str) -> bool:
        """Whether a token may be for the endpoint *host*; an endpoint of another cloud would refuse it."""
        clouds = [cloud for cloud in _SCOPES if host.endswith(f".{urlsplit(_SCOPES[cloud]).hostname}")]
        return self.scope is not None or self.cloud in (clouds or [self.cloud])

    def grant(self, wire: HttpSettingsBase, clock: Clock) -> Grant:
        """The grant for these credentials; *wire* has the proxy and timeout."""
        if self.managed_identity is not None:
            return ManagedIdentity(self.managed_identity, self.wanted, wire, clock)
        return AppRegistration(self, wire, clock)

    def secrets(self) -> Iterable[Secret]:
        """All credentials that are part of the configuration."""
        if self.client_secret is not None:
            yield self.client_secret
        if self.certificate is not None and self.certificate.key_password is not None:
            yield self.certificate.key_password


class AppRegistration:
    """The client credentials grant: a secret, or an assertion by a certificate or federated token."""

    def __init__(self, settings: EntraSettings, wire: HttpSettingsBase, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        # Azure's webhook for workload identities sets these, for whatever runs in the pod.
        self._tenant = settings.tenant_id or os.environ.get("AZURE_TENANT_ID", "")
        self._client = settings.client_id or os.environ.get("AZURE_CLIENT_ID", "")
        authority = settings.authority or Url(_AUTHORITIES[settings.cloud])
        base = authority.reveal().rstrip("/")
        self._endpoint = f"{base}/{quote(self._tenant, safe='')}/oauth2/v2.0/token"
        own = wire.model_copy(update={"tls": settings.tls})
        self.sender = HttpSender(own, Url(self._endpoint), tuple(settings.secrets()), clock, connections=1)
        self._assertion = ""

    @property
    def hint(self) -> str:
        """What to check when Entra ID refuses."""
        if self._settings.certificate is not None:
            return "check tenant_id, client_id and that this certificate is registered for the app"
        if self._settings.workload_identity is not None:
            return "check AZURE_TENANT_ID, AZURE_CLIENT_ID and the federated credential of the app"
        return "check tenant_id, client_id, and that client_secret has not expired"

    def credentials(self) -> str:
        """The client secret; assertions are made anew for each request."""
        return self._settings.client_secret.reveal() if self._settings.client_secret else ""

    def traces(self) -> Iterable[str]:
        """The secret or assertion as the request holds it."""
        for text in (self.credentials(), self._assertion):
            if text:
                yield from (text, quote(text, safe=""), quote_plus(text))

    async def request(self) -> Response:
        """Ask Entra ID for a token."""
        if not self._tenant or not self._client:
            raise Hold(
                "workload_identity requires AZURE_TENANT_ID and AZURE_CLIENT_ID, or tenant_id and client_id"
            )
        form = {
            "grant_type": "client_credentials",
            "client_id": self._client,
            "scope": self._settings.wanted,
        }
        if self._settings.client_secret is not None:
            form["client_secret"] = self.credentials()
        else:
            self._assertion = await asyncio.to_thread(self._assert)
            form |= {"client_assertion_type": _ASSERTION, "client_assertion": self._assertion}
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        return await self.sender.post(urlencode(form).encode(), headers)

    def _assert(self) -> str:
        if self._settings.certificate is not None:
            now = int(self._clock().timestamp())
            return signed_assertion(self._settings.certificate, self._client, self._endpoint, now)
        identity = self._settings.workload_identity
        path = identity.token_file if identity else None
        path = path or Path(os.environ.get("AZURE_FEDERATED_TOKEN_FILE", ""))
        if path == Path():
            raise Hold("workload_identity requires AZURE_FEDERATED_TOKEN_FILE, or token_file")
        # Read each time: the platform replaces the token about every hour.
        token = _read(path, "token_file").decode("ascii", "replace").strip()
        if not token:
            raise Hold(f"workload_identity: {path} is empty")
        return token


def signed_assertion(settings: CertificateSettings, client: str, audience: str, now: int) -> str:
    """A JWT by which the app *client* proves to *audience* that it has the key of its certificate.

    Raises ``Hold`` if a file is unusable. *now*: Unix seconds.
    """
    from cryptography import x509  # noqa: PLC0415, an extra that only certificates need
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415

    pem = _read(settings.cert_file, "cert_file")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise Hold(f"certificate: {settings.cert_file} contains no PEM certificate") from None
    key = _private_key(settings, pem)
    thumbprint = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest()
    if certificate.public_key() != key.public_key():
        raise Hold(f"certificate: the key does not belong to the certificate in {settings.cert_file}")
    header = {"alg": "PS256", "typ": "JWT", "x5t#S256": _base64url(thumbprint)}
    claims = {
        "aud": audience,
        "iss": client,
        "sub": client,
        "jti": secrets.token_hex(16),
        "iat": now,
        "nbf": now - _SKEW,
        "exp": now + _ASSERTED,
    }
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
    return f"{signed}.{_base64url(key.sign(signed.encode(), pss, hashes.SHA256()))}"


def _private_key(settings: CertificateSettings, pem: bytes) -> RSAPrivateKey:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    path = settings.key_file or settings.cert_file
    password = settings.key_password.reveal().encode() if settings.key_password else None
    try:
        key = load_pem_private_key(_read(path, "key_file") if settings.key_file else pem, password)
    except TypeError:
        problem = "key_password is set, but the key is not encrypted" if password else "the key is encrypted"
        raise Hold(f"certificate: {path}: {problem}; correct key_password") from None
    except ValueError:
        raise Hold(f"certificate: {path} contains no PEM key, or key_password is wrong") from None
    if not isinstance(key, RSAPrivateKey):
        raise Hold(f"certificate: the key in {path} is not an RSA key; Entra ID accepts no other")
    return key


_ARC_KEY = re.compile(r"(?i)^basic realm=(.+)$")
_ARC_DIRECTORY = Path("/var/opt/azcmagent/tokens")
_ARC_LONGEST = 4096
"""The agent's documented bounds of the key file, which it names over plain HTTP: nothing else is read."""


class ManagedIdentity:
    """Tokens from the machine's metadata service, or where ``IDENTITY_ENDPOINT`` says.

    App Service and Container Apps set ``IDENTITY_ENDPOINT`` and ``IDENTITY_HEADER``; Azure Arc sets
    ``IDENTITY_ENDPOINT`` and ``IMDS_ENDPOINT``. The service never is behind a proxy.
    """

    def __init__(
        self, settings: ManagedIdentitySettings, scope: str, wire: HttpSettingsBase, clock: Clock
    ) -> None:
        self._client = settings.client_id
        self._resource = scope.removesuffix("/.default")
        self._header = os.environ.get("IDENTITY_HEADER", "")
        endpoint = os.environ.get("IDENTITY_ENDPOINT", "")
        self._is_arc = bool(endpoint) and not self._header and "IMDS_ENDPOINT" in os.environ
        self._is_app = bool(endpoint) and bool(self._header)
        url = Url(endpoint if self._is_arc or self._is_app else _METADATA)
        own = wire.model_copy(update={"tls": None, "proxy": None})
        self.sender = HttpSender(own, url, (), clock, connections=1, direct=True)
        self._url = url.reveal()

    @property
    def hint(self) -> str:
        """What to check when the service refuses."""
        which = f"with client id {self._client}" if self._client else "assigned to it"
        return f"check that this machine, container or app has a managed identity {which}"

    def credentials(self) -> str:
        """None that this program knows."""
        return ""

    def traces(self) -> Iterable[str]:
        """The header that App Service requires."""
        return (self._header,) if self._header else ()

    async def request(self) -> Response:
        """Ask the service for a token."""
        version = "2019-08-01" if self._is_app else "2020-06-01" if self._is_arc else "2018-02-01"
        query = {"api-version": version, "resource": self._resource}
        query |= {"client_id": self._client} if self._client else {}
        url = f"{self._url}?{urlencode(query)}"
        if self._is_app:
            return await self.sender.request("GET", {"x-identity-header": self._header}, url=url)
        answer = await self.sender.request("GET", {"metadata": "true"}, url=url)
        if self._is_arc and answer.status == _UNAUTHORIZED:
            key = await asyncio.to_thread(_arc_key, answer.headers.get("www-authenticate", ""))
            headers = {"metadata": "true", "authorization": f"Basic {key}"}
            return await self.sender.request("GET", headers, url=url)
        return answer


_UNAUTHORIZED = 401


def _arc_key(challenge: str) -> str:
    """What Azure Arc's agent wrote into the file that it names: proof that this process may read it."""
    named = _ARC_KEY.match(challenge)
    path = Path(named[1]) if named else Path()
    if path.parent != _ARC_DIRECTORY or path.suffix != ".key":
        raise Hold(f"managed_identity: the agent of Azure Arc named no key file in {_ARC_DIRECTORY}")
    key = _read(path, "managed_identity")
    if len(key) > _ARC_LONGEST:
        raise Hold(f"managed_identity: {path} is too large for a key of Azure Arc")
    return key.decode("ascii", "replace").strip()


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Hold(f"{what}: cannot read {path}: {error.strerror}") from None


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
