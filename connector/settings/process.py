"""Settings of the process: state directory, HTTP endpoint, log, mappings, redaction key."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from connector.quantity_fields import Duration
from connector.secret import Secret
from connector.settings.problems import invalid

_KEY_LENGTH = 16
"""Characters. 16 random hex digits are 64 bits: beyond guessing over a network."""

_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")
_PORTS = 65_535
"""Highest TCP port."""


def split_address(text: str) -> tuple[str, int]:
    """Split ``host:port`` or ``[::1]:port``; raises for anything else."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    valid = colon and host and not set(host) & set("[]/ @") and (bracketed == (":" in host))
    if (
        not valid
        or not (port.isascii() and port.isdigit())
        or len(port) > len(str(_PORTS))
        or int(port) > _PORTS
    ):
        raise invalid(
            "expected host:port, such as 127.0.0.1:9464 or [::1]:9464", hint="null disables the endpoint"
        )
    return host, int(port)


def _address(text: str) -> str:
    split_address(text)
    return text


Address = Annotated[str, AfterValidator(_address)]


def _database_url(secret: Secret) -> Secret:
    try:
        url = urlsplit(secret.reveal())
        valid = url.scheme in {"postgresql", "postgres"} and len(url.path) > 1
    except ValueError:
        valid = False
    if not valid:
        raise invalid("expected a URL such as postgresql://user@host:5432/database")
    return secret


class PostgresTls(BaseModel):
    """TLS of the connection to PostgreSQL."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["disable", "require", "verify-ca", "verify-full"] | None = Field(
        default=None,
        description="libpq's sslmode. Default: verify-full; for a socket or a loopback address: prefer.",
    )
    ca_file: Path | None = Field(
        default=None, description="PEM file of the trusted authorities; null: those of the system."
    )
    cert_file: Path | None = Field(default=None, description="PEM file with the client certificate.")
    key_file: Path | None = Field(default=None, description="PEM file with the client's private key.")

    @model_validator(mode="after")
    def _has_effect(self) -> PostgresTls:
        if (self.cert_file is None) != (self.key_file is None):
            key, missing = ("key_file", "cert_file") if self.cert_file is None else ("cert_file", "key_file")
            raise invalid(f"has no effect without {missing}", hint=f"set {missing} too", key=key)
        for key in ("ca_file", "cert_file"):
            if self.mode == "disable" and getattr(self, key) is not None:
                raise invalid("has no effect with mode: disable", hint="remove one of the two", key=key)
        return self


class PostgresSettings(BaseModel):
    """The journal in a PostgreSQL database, which several replicas of the connector may share."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[Secret, AfterValidator(_database_url)] = Field(
        description="postgresql:// URL; several hosts separated by commas are tried in turn."
    )
    password: Secret | None = Field(default=None, description="Password, if it is not part of the URL.")
    schema_name: str = Field(
        default="email_connector",
        alias="schema",
        pattern=r"^[a-z_][a-z0-9_]{0,40}$",
        description="Schema of the journal, created if missing; one per connector that shares a server.",
    )
    tls: PostgresTls = Field(default=PostgresTls(), description="TLS of the connection.")

    @model_validator(mode="after")
    def _once(self) -> PostgresSettings:
        url = urlsplit(self.url.reveal())
        parameters = parse_qs(url.query)
        if self.password is not None and (url.password or "password" in parameters):
            raise invalid("the URL has a password, too", hint="keep one of the two", key="password")
        if self.tls.mode is not None and "sslmode" in parameters:
            raise invalid("the URL sets sslmode, too", hint="keep one of the two", key="tls")
        return self


class StateSettings(BaseModel):
    """Where the journal is stored and how long it keeps delivered revisions."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    directory: Path = Field(
        default=Path("/var/lib/email-connector"),
        description="Directory of the journal, created if missing. Default: the platform's state directory.",
    )
    postgres: PostgresSettings | None = Field(
        default=None,
        description="The journal in PostgreSQL; the directory then holds the control socket only.",
    )
    retain: Duration = Field(
        default=timedelta(hours=24),
        ge=timedelta(0),
        le=timedelta(days=366),
        description="How long revisions are kept after delivery, so that outputs can be rewound.",
    )
    emitted_for: Duration = Field(
        default=timedelta(days=90),
        ge=timedelta(days=1),
        le=timedelta(days=3660),
        description="How long an output with emit: first remembers the records it sent; at least as long as "
        "an audit reaches back.",
    )


def _token(secret: Secret) -> Secret:
    if not _HEADER_VALUE.fullmatch(secret.reveal()) or len(secret.reveal()) < _KEY_LENGTH:
        raise invalid(
            f"expected at least {_KEY_LENGTH} printable ASCII characters without spaces",
            hint="generate one with: openssl rand -hex 32",
        )
    return secret


Token = Annotated[Secret, AfterValidator(_token)]


class ServerTls(BaseModel):
    """Certificate of the HTTP endpoint."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    cert_file: Path = Field(description="PEM file with the certificate chain.")
    key_file: Path | None = Field(
        default=None, description="PEM file with the private key, if cert_file does not contain it."
    )
    key_password: Secret | None = Field(default=None, description="Password of the private key.")
    client_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authorities whose client certificates are required; null: not required.",
    )
    minimum: Literal["1.2", "1.3"] = Field(default="1.2", description="Oldest TLS version accepted.")


class ServerSettings(BaseModel):
    """The read-only HTTP endpoint: metrics, health, status."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    listen: Address | None = Field(
        default="127.0.0.1:9464",
        description="host:port to listen on; port 0 picks a free port; null disables the endpoint.",
    )
    token: Token | None = Field(
        default=None,
        description="Token that readers of the endpoint must send; null: no authentication.",
    )
    tls: ServerTls | None = Field(default=None, description="Serve HTTPS with this certificate; null: HTTP.")


class LogSettings(BaseModel):
    """Logging to standard error."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Minimum level.")
    format: Literal["auto", "json", "text"] = Field(
        default="auto", description="auto writes text to a terminal and JSON elsewhere."
    )
    summary: Annotated[Duration, Field(ge=timedelta(seconds=10))] | None = Field(
        default=timedelta(minutes=15),
        description="How often one line sums up what was collected and delivered; null for never.",
    )


def _strong(secret: Secret) -> Secret:
    if len(secret.reveal()) < _KEY_LENGTH:
        raise invalid(
            f"expected a key of at least {_KEY_LENGTH} characters",
            hint="generate one with: openssl rand -hex 32",
        )
    return secret


class RedactionSettings(BaseModel):
    """Key for hashing redacted fields."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    key: Annotated[Secret, AfterValidator(_strong)] | None = Field(
        default=None,
        description="Key for the hashes that replace values; a different key gives different hashes.",
    )


class MappingsSettings(BaseModel):
    """Where mappings come from."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    directory: Path | None = Field(
        default=None,
        description="Directory of custom mappings; a file there overrides the built-in one of the same name.",
    )
