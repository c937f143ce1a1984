"""AWS Signature Version 4, for a request whose body is at hand.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key; *session_token* belongs to a temporary one, which ends at *expires*."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires: datetime | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """What must be shown nowhere."""
        token = (self.session_token,) if self.session_token else ()
        return (self.access_key_id, self.secret_access_key, *token)


def signed_headers(
    credentials: Credentials,
    *,
    method: str,
    host: str,
    path: str,
    query: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str],
    body_sha256: str,
    region: str,
    service: str,
    now: datetime,
) -> dict[str, str]:
    """Return *headers* with those that sign the request, ``Authorization`` among them; ``Host`` is left out.

    Args:
        credentials: of the caller.
        method: of HTTP.
        host: value of ``Host``: with the port where it is not the scheme's.
        path: encoded once, as it is sent.
        query: parameters, not encoded.
        headers: names in lower case; all of them are signed.
        body_sha256: hexadecimal digest of the body.
        region: such as ``eu-central-1``.
        service: such as ``s3``.
        now: the wall clock, aware.
    """
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    sent = {**headers, "x-amz-date": moment}
    if service == "s3":
        sent["x-amz-content-sha256"] = body_sha256
    if credentials.session_token:
        sent["x-amz-security-token"] = credentials.session_token
    canonical = {"host": host, **{name: " ".join(value.split()) for name, value in sent.items()}}
    names = ";".join(sorted(canonical))
    request = "\n".join([
        method,
        path,
        encoded_query(query),
        *(f"{name}:{canonical[name]}" for name in sorted(canonical)),
        "",
        names,
        body_sha256,
    ])  # fmt: skip
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    to_sign = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (moment[:8], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    sent["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    return sent


def encoded_query(query: Sequence[tuple[str, str]]) -> str:
    """*query* encoded and sorted, as it is signed and sent."""
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in pairs)
