"""Output ``s3``: settings and class; stores each batch as objects, each exactly once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote

from pydantic import Field, model_validator

from connector.errors import ConfigurationError, Hold, Refused, Retryable
from connector.interfaces import Clock, Observe
from connector.model import BatchName, Event, Limits, Receipt
from connector.net.clock import utc_now
from connector.net.http import HttpClient
from connector.net.tls import TlsOptions
from connector.net.transport import Response, TransportError
from connector.outputs.common import OutputSettings
from connector.outputs.s3.answers import CREDENTIALS_ENDED, code_of, error_of
from connector.outputs.s3.credentials import CredentialSource, S3AuthSettings, source_of
from connector.outputs.s3.objects import StoredObject, ndjson
from connector.outputs.s3.parquet import SecurityLakeSettings, security_lake
from connector.outputs.s3.signature import Credentials, encoded_query, signed_headers
from connector.outputs.shared.http_client import delivery_error
from connector.outputs.shared.url import Url
from connector.secret import Secret

_LIMITS = Limits(events=100_000, bytes=2 << 20, linger=300.0)
"""One object in five minutes, or 2 MiB of events. Two batches are in memory, with their records: each
MiB takes about 7 MB, and a daemon should stay below 120 MB while it catches up."""

_MAX_ANSWER = 1 << 20
_PRECONDITION_FAILED = 412
_FORBIDDEN = 403
_EMPTY = hashlib.sha256(b"").hexdigest()


class S3Settings(OutputSettings):
    """Stores batches as objects in Amazon S3 or a compatible store."""

    type: Literal["s3"] = "s3"
    format: Literal["ndjson", "parquet"] = Field(
        default="ndjson",
        description="ndjson: gzip, one event per line. parquet: for Amazon Security Lake, with a mapping of "
        "format ocsf.",
    )
    security_lake: SecurityLakeSettings | None = Field(
        default=None, description="Where Security Lake expects the objects; required with format: parquet."
    )
    bucket: str = Field(
        pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
        description="The bucket: 3 to 63 lower-case letters, digits, dots and hyphens.",
    )
    region: str = Field(
        pattern=r"^[a-z0-9-]{2,40}$",
        description="Region of the bucket, such as eu-central-1; auto for Cloudflare R2.",
    )
    prefix: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9_.=-]+/)*$",
        max_length=512,
        description="Beginning of every key: letters, digits and _.=- in parts that each end with a slash.",
    )
    endpoint: Url | None = Field(default=None, description="URL of a compatible store; by default AWS.")
    path_style: bool | None = Field(
        default=None,
        description="Put the bucket in the path instead of the host name; by default with endpoint, and for "
        "names with a dot.",
    )
    auth: S3AuthSettings = Field(description="Where the access key comes from.")
    if_none_match: bool = Field(
        default=True,
        description="Never overwrite an object (If-None-Match). Set to false for a store that does not know "
        "it: a repetition then overwrites the object with the same batch.",
    )
    server_side_encryption: Literal["AES256", "aws:kms"] | None = Field(
        default=None, description="Encryption to ask for; by default that of the bucket."
    )
    kms_key_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_:/-]+$",
        max_length=2048,
        description="KMS key for aws:kms; by default the one of the bucket.",
    )
    tls: TlsOptions | None = Field(default=None, description="TLS options.")
    proxy: Secret | None = Field(
        default=None, description="URL of an HTTP proxy; by default HTTPS_PROXY and NO_PROXY apply."
    )

    @model_validator(mode="after")
    def _layout_is_whole(self) -> S3Settings:
        lake = self.security_lake
        if (self.format == "parquet") != (lake is not None):
            raise ValueError("format: parquet and security_lake belong together; set both or none")
        if lake is None:
            return self
        if self.prefix:
            raise ValueError("prefix has no effect with security_lake: keys begin with ext/; remove prefix")
        for setting, wanted, source in (
            ("actions", self.actions, lake.actions_source),
            ("heartbeat", self.heartbeat is not None, lake.heartbeat_source),
        ):
            if wanted != (source is not None):
                raise ValueError(
                    f"{setting} and security_lake.{setting}_source belong together; set both or none: "
                    "Security Lake requires a source of its own for each class"
                )
        return self

    @property
    def required_format(self) -> str | None:
        """Parquet has the columns of OCSF."""
        return "ocsf" if self.format == "parquet" else None

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> S3Settings:
        if self.kms_key_id is not None and self.server_side_encryption != "aws:kms":
            raise ValueError("kms_key_id has no effect without server_side_encryption: aws:kms")
        if self.endpoint is not None and (self.endpoint.parts.path.strip("/") or self.endpoint.parts.query):
            raise ValueError(
                "endpoint must have no path or query: bucket and prefix have settings of their own"
            )
        if self.tls is not None and self.endpoint is not None and not self.endpoint.secure:
            raise ValueError("tls has no effect with an http endpoint; use https")
        return self

    def build(self, name: str, observe: Observe) -> S3Output:  # noqa: ARG002, it has no facts of its own
        """Build the output."""
        return S3Output(self, utc_now)


class S3Output:
    """Accepted means: the object is stored. A batch that is sent again is stored once.

    Args:
        settings: of the output.
        clock: the wall clock, for signatures.
    """

    def __init__(self, settings: S3Settings, clock: Clock) -> None:
        limits = settings.batch.applied(_LIMITS)
        self._limits = Limits(limits.events, limits.bytes, None, 1, limits.linger)
        self._settings = settings
        self._clock = clock
        lake = settings.security_lake
        self._make = ndjson(settings.prefix) if lake is None else security_lake(lake, settings.region)
        self._base, self._host, self._path = _place(settings)
        self._where = f"{self._base}, bucket {settings.bucket},"
        self._client: HttpClient | None = None
        self._source: CredentialSource | None = None

    @property
    def limits(self) -> Limits:
        """Limits of one batch."""
        return self._limits

    async def open(self) -> None:
        """Read rotated secrets again and get an access key."""
        _, source = self._opened()
        if self._settings.proxy is not None and self._settings.proxy.refresh() and self._client:
            self._client.renew()
        await source.open()
        await source.get()

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Store what is no part of the journal; its content names it."""
        digest = hashlib.sha256()
        for event in events:
            digest.update(event.payload + b"\n")
        formed = max(event.revision.collected for event in events)
        return await self.send_batch(BatchName(digest.hexdigest()[:32], formed), events)

    async def send_batch(self, batch: BatchName, events: Sequence[Event]) -> Receipt:
        """Store *events* as the objects of *batch*; one that exists already was stored by an earlier try."""
        made = await asyncio.to_thread(self._make, batch, events)
        duplicates = 0
        for number, stored in enumerate(made.objects):
            try:
                is_new = await self._put(stored)
            except Refused as error:
                if number == 0:
                    raise
                raise Hold(
                    f"{error.reason}; {number} of {len(made.objects)} objects of the batch are stored, so it "
                    "cannot be cut: allow larger objects there"
                ) from None
            duplicates += 0 if is_new else len(stored.events)
        return Receipt(rejected=made.rejected, duplicates=duplicates)

    async def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        source, self._source = self._source, None
        if source is not None:
            await source.close()
        if client is not None:
            await client.close()

    async def check(self) -> str:
        """Ask the store about the bucket; nothing is stored."""
        prefix = "ext/" if self._settings.security_lake else self._settings.prefix
        query = (("list-type", "2"), ("max-keys", "1"), ("prefix", prefix))
        answer, keys = await self._request("GET", "", query=query)
        about = f"{self._base} knows the access key; the bucket {self._settings.bucket}"
        if answer.ok and b"<ListBucketResult" in answer.body:
            return f"{about} exists; whether objects may be written shows with the first batch"
        if answer.status == _FORBIDDEN and code_of(answer) == "AccessDenied":
            return f"{about} cannot be listed, which is not needed"
        raise self._error(answer, keys)

    async def _put(self, stored: StoredObject) -> bool:
        """Store an object; return whether it was not there before."""
        settings = self._settings
        headers = {"content-type": stored.content_type}
        if settings.if_none_match:
            headers["if-none-match"] = "*"
        if settings.server_side_encryption is not None:
            headers["x-amz-server-side-encryption"] = settings.server_side_encryption
        if settings.kms_key_id is not None:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = settings.kms_key_id
        answer, keys = await self._request("PUT", f"/{stored.key}", headers=headers, body=stored.body)
        if answer.ok and ("etag" in answer.headers or not answer.body.strip()):
            return True
        if answer.status == _PRECONDITION_FAILED and settings.if_none_match:
            return False
        raise self._error(answer, keys)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[Response, Credentials]:
        client, source = self._opened()
        keys = await source.get()
        encoded = quote(self._path + path, safe="/-_.~") or "/"
        signed = signed_headers(
            keys,
            method=method,
            host=self._host,
            path=encoded,
            query=query,
            headers=headers or {},
            body_sha256=_EMPTY if body is None else await asyncio.to_thread(_sha256, body),
            region=self._settings.region,
            service="s3",
            now=self._clock(),
        )
        url = f"{self._base}{encoded}" + (f"?{encoded_query(query)}" if query else "")
        try:
            return await client.request(method, url, headers=signed, content=body), keys
        except TransportError as error:
            raise delivery_error(error) from None

    def _error(self, answer: Response, keys: Credentials) -> Exception:
        error = error_of(answer, self._where, keys.texts, self._clock)
        if code_of(answer) in CREDENTIALS_ENDED and self._source is not None and self._source.refused():
            return Retryable(error.reason)
        return error

    def _opened(self) -> tuple[HttpClient, CredentialSource]:
        if self._client is None or self._source is None:
            settings = self._settings
            try:
                self._client = HttpClient(
                    tls=settings.tls,
                    proxy=settings.proxy,
                    timeout=settings.timeout.total_seconds(),
                    max_body=_MAX_ANSWER,
                    connections=2,
                )
            except ConfigurationError as error:
                raise delivery_error(error) from None
            self._source = source_of(settings.auth, settings.region, self._client, self._clock)
        return self._client, self._source


def _place(settings: S3Settings) -> tuple[str, str, str]:
    """URL of the store without a path, value of ``Host``, and the beginning of every path."""
    region, bucket = settings.region, settings.bucket
    if settings.endpoint is None:
        domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        scheme, host = "https", f"s3.{region}.{domain}"
    else:
        parts = settings.endpoint.parts
        scheme, host = parts.scheme, parts.netloc.lower()
        default = ":443" if scheme == "https" else ":80"
        host = host.removesuffix(default)
    in_path = settings.path_style
    if in_path is None:
        in_path = settings.endpoint is not None or "." in bucket
    if in_path:
        return f"{scheme}://{host}", host, f"/{bucket}"
    return f"{scheme}://{bucket}.{host}", f"{bucket}.{host}", ""


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
