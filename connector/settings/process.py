"""The users' words for the process itself: its state, its endpoint, its log, its mappings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from connector.quantities import Duration
from connector.secret import Secret
from connector.settings.problems import invalid

_KEY_LENGTH = 16
_PORTS = 65_535


def split_address(text: str) -> tuple[str, int]:
    """Take ``host:port`` or ``[::1]:port`` apart; raises for anything else."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    sound = colon and host and not set(host) & set("[]/ @") and (bracketed == (":" in host))
    if (
        not sound
        or not (port.isascii() and port.isdigit())
        or len(port) > len(str(_PORTS))
        or int(port) > _PORTS
    ):
        raise invalid(
            "host:port is needed, such as 127.0.0.1:9464 or [::1]:9464", hint="null switches the endpoint off"
        )
    return host, int(port)


def _address(text: str) -> str:
    split_address(text)
    return text


class State(BaseModel):
    """Where the journal lives and how long it keeps what is delivered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: Path = Field(
        default=Path("/var/lib/email-connector"),
        description="Directory of the journal; made if missing. By default the platform's state directory.",
    )
    retain: Duration = Field(
        default=timedelta(hours=24),
        ge=timedelta(0),
        le=timedelta(days=366),
        description="How long revisions stay after delivery, so that an output can be rewound.",
    )


class Server(BaseModel):
    """The read-only endpoint: metrics, health, status."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: Annotated[str, AfterValidator(_address)] | None = Field(
        default="127.0.0.1:9464",
        description="host:port to listen on; port 0 takes a free one; null switches the endpoint off.",
    )


class Log(BaseModel):
    """What is said on standard error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least level that is shown."
    )
    format: Literal["auto", "json", "text"] = Field(
        default="auto", description="auto writes text to a terminal and JSON elsewhere."
    )


def _strong(secret: Secret) -> Secret:
    if len(secret.reveal()) < _KEY_LENGTH:
        raise invalid(
            f"a key of at least {_KEY_LENGTH} characters is needed",
            hint="openssl rand -hex 32 makes a good one",
        )
    return secret


class Redaction(BaseModel):
    """What the hashes of redacted fields are made with."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    key: Annotated[Secret, AfterValidator(_strong)] | None = Field(
        default=None,
        description="Key of the hashes that stand in for values; another key, other hashes.",
    )


class Mappings(BaseModel):
    """Where mappings come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: Path | None = Field(
        default=None, description="Directory of own mappings; a file there shadows the one of the same name."
    )
