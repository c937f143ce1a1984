"""Authentication of HTTP requests: Authorization and other headers, HMAC signatures over the body."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from connector.outputs.http.oauth import OAuth2Settings
from connector.secret import Secret

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# The HTTP client writes these itself; a second value would break the request.
_RESERVED = {"host", "content-length", "content-encoding", "transfer-encoding", "connection", "te", "upgrade"}


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is not a valid header name")
    if name.lower() in _RESERVED:
        raise ValueError(f"the connector sets the header {name} itself")
    return name


HeaderName = Annotated[str, AfterValidator(_header_name)]
"""The name of a header that a configuration may set."""


class BasicSettings(BaseModel):
    """User and password."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    username: str = Field(min_length=1, pattern="^[^:]+$", description="User name, without a colon.")
    password: Secret


class HeaderSettings(BaseModel):
    """A header that carries a key."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    name: HeaderName
    value: Secret


class SigningSettings(BaseModel):
    """HMAC-SHA256 over ``<Unix seconds>.<body as sent>``, in hexadecimal."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    secret: Secret
    header: HeaderName = Field(default="X-Signature", description="Header with sha256=<signature>.")
    time_header: HeaderName = Field(
        default="X-Signature-Time", description="Header with the time in Unix seconds."
    )

    def headers(self, body: bytes, now: datetime) -> dict[str, str]:
        """Return the headers that sign *body*."""
        time = str(int(now.timestamp()))
        signed = hmac.new(self.secret.reveal().encode(), f"{time}.".encode() + body, hashlib.sha256)
        return {self.time_header: time, self.header: f"sha256={signed.hexdigest()}"}


class AuthSettings(BaseModel):
    """One method of authentication."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    bearer: Secret | None = Field(default=None, description="Token for Authorization: Bearer.")
    basic: BasicSettings | None = None
    header: HeaderSettings | None = None
    oauth2: OAuth2Settings | None = Field(
        default=None, description="Access tokens by the OAuth 2.0 client credentials grant."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> AuthSettings:
        if sum(method is not None for method in (self.bearer, self.basic, self.header, self.oauth2)) != 1:
            raise ValueError("auth requires exactly one of bearer, basic, header and oauth2")
        return self

    def headers(self) -> dict[str, str]:
        """Return the headers to send; none for OAuth 2.0, whose tokens come from ``TokenSource``."""
        if self.bearer is not None:
            return {"Authorization": f"Bearer {self.bearer.reveal()}"}
        if self.basic is not None:
            pair = f"{self.basic.username}:{self.basic.password.reveal()}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return {self.header.name: self.header.value.reveal()} if self.header else {}

    def secrets(self) -> Iterator[Secret]:
        """All credentials."""
        if self.bearer is not None:
            yield self.bearer
        if self.basic is not None:
            yield self.basic.password
        if self.header is not None:
            yield self.header.value
        if self.oauth2 is not None:
            yield self.oauth2.client_secret


def header_secrets(headers: Mapping[str, str]) -> Iterator[str]:
    """Texts of *headers* that must not be shown: whole values, and the part after a scheme such as Bearer."""
    for value in headers.values():
        yield value
        yield value.rpartition(" ")[2]
