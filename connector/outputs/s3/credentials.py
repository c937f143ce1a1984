"""Where access keys come from: settings, a web identity (STS), or the instance metadata service (IMDSv2)."""

from __future__ import annotations

import asyncio
import html
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlencode

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from connector.errors import ConfigurationError, DeliveryError, Hold, Retryable
from connector.interfaces import Clock
from connector.net.http import HttpClient
from connector.net.transport import Response, TransportError
from connector.outputs.s3.signature import Credentials
from connector.outputs.shared.answer_text import excerpt
from connector.outputs.shared.http_client import delivery_error
from connector.outputs.shared.url import Url
from connector.secret import Secret

_RENEW_BEFORE = timedelta(minutes=5)
"""Temporary keys are renewed this long before they end: AWS has new ones for instances five minutes ahead."""

_LIFETIME = 3600
"""Seconds that keys of a web identity are asked for: what every role allows."""

_METADATA = "http://169.254.169.254"
_METADATA_TIMEOUT = 5.0
"""Seconds for one request to the metadata service: it answers within the host, or not at all."""

_METADATA_TOKEN_SECONDS = "300"  # noqa: S105, how long the session with the service lasts, no credential
_MAX_ANSWER = 256 << 10


class StaticSettings(BaseModel):
    """A long-lived access key. Both parts are read again when the output opens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_key_id: Secret
    secret_access_key: Secret
    session_token: Secret | None = Field(default=None, description="Session token of temporary keys.")


class WebIdentitySettings(BaseModel):
    """A role assumed with an OpenID Connect token, as Kubernetes provides it (IRSA)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role_arn: str | None = Field(
        default=None,
        pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/\S+$",
        description="ARN of the role, such as arn:aws:iam::123456789012:role/NAME; by default AWS_ROLE_ARN.",
    )
    token_file: Path | None = Field(
        default=None,
        description="File with the token; by default AWS_WEB_IDENTITY_TOKEN_FILE. Read for every renewal.",
    )
    session_name: str = Field(
        default="email-connector", pattern=r"^[\w+=,.@-]{2,64}$", description="Name in CloudTrail."
    )
    sts_endpoint: Url | None = Field(default=None, description="URL of STS; by default that of the region.")


class InstanceMetadataSettings(BaseModel):
    """The role of the EC2 instance. Version 2 of the service only; never by a proxy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: Url | None = Field(default=None, description=f"URL of the service; by default {_METADATA}.")


class S3AuthSettings(BaseModel):
    """Where the access key comes from. Nothing else is asked or searched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    static: StaticSettings | None = None
    web_identity: WebIdentitySettings | None = None
    instance_metadata: InstanceMetadataSettings | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> S3AuthSettings:
        given = (self.static, self.web_identity, self.instance_metadata)
        if sum(method is not None for method in given) != 1:
            raise ValueError("auth requires exactly one of static, web_identity and instance_metadata")
        return self


class CredentialSource(Protocol):
    """Provides access keys."""

    async def get(self) -> Credentials:
        """Keys that are valid now. Raises ``Hold`` or ``Retryable``."""
        ...

    def refused(self) -> bool:
        """Forget what ``get`` returned; return whether new keys may work where those did not."""
        ...

    async def open(self) -> None:
        """Read rotated secrets again."""
        ...

    async def close(self) -> None:
        """Release everything. Idempotent."""
        ...


class StaticSource:
    """The keys of the settings."""

    def __init__(self, settings: StaticSettings) -> None:
        self._settings = settings

    async def get(self) -> Credentials:
        """The keys as last read."""
        token = self._settings.session_token
        return Credentials(
            self._settings.access_key_id.reveal().strip(),
            self._settings.secret_access_key.reveal().strip(),
            token.reveal().strip() if token else None,
        )

    def refused(self) -> bool:
        """Nothing new is to be had without the operator."""
        return False

    async def open(self) -> None:
        """Read all parts again."""
        for secret in (
            self._settings.access_key_id,
            self._settings.secret_access_key,
            self._settings.session_token,
        ):
            if secret is not None:
                secret.refresh()

    async def close(self) -> None:
        """Nothing to release."""


class TemporarySource:
    """Keys that end, fetched anew before they do; one request at a time. Subclasses fetch.

    Args:
        clock: the wall clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys: Credentials | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> Credentials:
        """Valid keys. A renewal that fails is no trouble until the old ones end."""
        async with self._lock:
            keys, now = self._keys, self._clock()
            if keys is None or keys.expires is None or now >= keys.expires - _RENEW_BEFORE:
                try:
                    keys = self._keys = await self._fetch()
                except DeliveryError:
                    if keys is None or keys.expires is None or now >= keys.expires:
                        raise
            return keys

    def refused(self) -> bool:
        """Keys may end early; new ones are fetched with the next request."""
        self._keys = None
        return True

    async def open(self) -> None:
        """Nothing to read: each fetch reads what it needs."""

    async def close(self) -> None:
        """Nothing to release."""

    async def _fetch(self) -> Credentials:
        raise NotImplementedError


class WebIdentitySource(TemporarySource):
    """``AssumeRoleWithWebIdentity`` of STS, by POST: the token stands in no URL.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html

    Args:
        settings: role and token.
        region: whose STS to ask.
        client: sends requests.
        clock: the wall clock.
    """

    def __init__(self, settings: WebIdentitySettings, region: str, client: HttpClient, clock: Clock) -> None:
        super().__init__(clock)
        self._settings = settings
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        self._default = f"https://sts.{region}.{domain}/"
        self._client = client

    async def _fetch(self) -> Credentials:
        role = self._settings.role_arn or _variable("AWS_ROLE_ARN", "auth.web_identity.role_arn")
        file = self._settings.token_file or _variable(
            "AWS_WEB_IDENTITY_TOKEN_FILE", "auth.web_identity.token_file"
        )
        try:
            token = (await asyncio.to_thread(Path(file).read_text)).strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not text"
            raise Hold(f"the web identity token {file} cannot be read: {why}") from None
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": role,
            "RoleSessionName": self._settings.session_name,
            "DurationSeconds": str(_LIFETIME),
            "WebIdentityToken": token,
        }
        endpoint = self._settings.sts_endpoint
        url = endpoint.reveal() if endpoint else self._default
        answer = await _request(
            self._client,
            "POST",
            url,
            {"content-type": "application/x-www-form-urlencoded"},
            urlencode(form).encode(),
        )
        if not answer.ok:
            code = _tag(answer.body, "Code")
            said = excerpt(answer.body, [token, quote(token, safe="")])
            reason = f"STS answered {answer.status} for {role}: {code or said}"
            if answer.status >= 500 or answer.status == 429 or code == "IDPCommunicationError":  # noqa: PLR2004
                raise Retryable(reason)
            if code == "ExpiredTokenException":
                raise Retryable(f"{reason}; the token in {file} has ended, a new one is awaited")
            raise Hold(f"{reason}; check the role's trust policy and the token's audience")
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        return _keys({name: _tag(answer.body, name) for name in names}, "STS")


class InstanceMetadataSource(TemporarySource):
    """The role's keys from the instance metadata service, version 2 (a session token by PUT).

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html

    Args:
        settings: where the service is.
        clock: the wall clock.
    """

    def __init__(self, settings: InstanceMetadataSettings, clock: Clock) -> None:
        super().__init__(clock)
        self._base = (settings.endpoint.reveal() if settings.endpoint else _METADATA).rstrip("/")
        self._client: HttpClient | None = None

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _fetch(self) -> Credentials:
        if self._client is None:
            self._client = HttpClient(
                direct=True, timeout=_METADATA_TIMEOUT, max_body=_MAX_ANSWER, connections=1
            )
        token = await self._metadata(
            "PUT", "/latest/api/token", {"x-aws-ec2-metadata-token-ttl-seconds": _METADATA_TOKEN_SECONDS}
        )
        session = {"x-aws-ec2-metadata-token": token}
        path = "/latest/meta-data/iam/security-credentials/"
        role = (await self._metadata("GET", path, session)).split("\n")[0].strip()
        text = await self._metadata("GET", path + quote(role, safe=""), session)
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError:
            document = {}
        fields = document if isinstance(document, dict) else {}
        return _keys({**fields, "SessionToken": fields.get("Token")}, "the instance metadata service")

    async def _metadata(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        assert self._client is not None  # noqa: S101, _fetch makes it
        try:
            answer = await _request(self._client, method, self._base + path, headers, None)
        except Retryable as error:
            raise Retryable(f"the instance metadata service: {error.reason}") from None
        if answer.status == 404:  # noqa: PLR2004
            raise Hold("the instance has no role: attach an instance profile, or use another auth")
        if not answer.ok:
            reason = f"the instance metadata service answered {answer.status}"
            raise Retryable(reason) if answer.status >= 500 else Hold(reason)  # noqa: PLR2004
        return answer.body.decode("ascii", "replace").strip()


def source_of(auth: S3AuthSettings, region: str, client: HttpClient, clock: Clock) -> CredentialSource:
    """The source that *auth* names."""
    if auth.static is not None:
        return StaticSource(auth.static)
    if auth.web_identity is not None:
        return WebIdentitySource(auth.web_identity, region, client, clock)
    return InstanceMetadataSource(auth.instance_metadata or InstanceMetadataSettings(), clock)


async def _request(
    client: HttpClient, method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> Response:
    try:
        return await client.request(method, url, headers=headers, content=body)
    except (TransportError, ConfigurationError) as error:
        raise delivery_error(error) from None


def _variable(name: str, setting: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise Hold(f"neither {setting} nor the environment variable {name} is set")
    return value


def _tag(body: bytes, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", body.decode("utf-8", "replace"))
    return html.unescape(found[1]).strip() if found else ""


def _keys(fields: Mapping[str, object], who: str) -> Credentials:
    texts = [str(fields.get(name) or "") for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    try:
        expires = datetime.fromisoformat(str(fields.get("Expiration")))
    except ValueError:
        expires = None
    if not all(texts) or expires is None:
        raise Hold(f"{who} answered without keys")
    expires = expires if expires.tzinfo else expires.replace(tzinfo=UTC)
    return Credentials(texts[0], texts[1], texts[2], expires)
