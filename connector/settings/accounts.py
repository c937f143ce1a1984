"""Settings of one Cloudflare account: id, credentials, base URL, request budget, proxy and TLS."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import SplitResult

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from connector.net.host_names import is_host_name
from connector.net.loopback import is_loopback
from connector.net.tls import TlsOptions
from connector.quantity_fields import Duration
from connector.secret import Secret, urlsplit_uncached
from connector.settings.problems import invalid

BASE_URL = "https://api.cloudflare.com/client/v4"
_SENDABLE = re.compile(r"[\x21-\x7e]+")


def _account_id(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{32}", text):
        raise invalid(
            "must be 32 hex digits",
            hint="see the dashboard URL or the account overview page",
        )
    return text.lower()


def _email(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+@[\x21-\x7e]+", text):
        raise invalid("expected an email address", hint="the owner of the Global API key")
    return text


def _credential(secret: Secret) -> Secret:
    # Sent as a header: a line break would end it, a space means that "Bearer" was copied along.
    if not _SENDABLE.fullmatch(secret.reveal()):
        raise invalid(
            "the credential contains a space, a line break or a non-ASCII character",
            hint="paste the value only, without Bearer and without quotes",
        )
    return secret


def _base_url(text: str) -> str:
    url = split_url(text)
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise invalid("the base URL must not contain credentials, a query or a fragment")
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise invalid(
            "expected https",
            hint="http is allowed only to this host, or credentials would travel in clear text",
        )
    if url.scheme not in {"http", "https"}:
        raise invalid("expected an https URL", hint=f"such as {BASE_URL}")
    return text.rstrip("/")


def _proxy(secret: Secret) -> Secret:
    if split_url(secret.reveal()).scheme not in {"http", "https"}:
        raise invalid("expected the URL of an HTTP proxy", hint="such as http://proxy.example:3128")
    return secret


def split_url(text: str) -> SplitResult:
    """Split a URL; raises for a missing host or an invalid port."""
    try:
        url = urlsplit_uncached(text)
        host = url.hostname or ""
        usable = host and is_host_name(host) and url.port != 0 and _SENDABLE.fullmatch(text)
    except ValueError:
        usable = None
    if not usable:
        raise invalid("expected a URL with scheme and host", hint=f"such as {BASE_URL}")
    return url


Credential = Annotated[Secret, AfterValidator(_credential)]
Proxy = Annotated[Secret, AfterValidator(_proxy)]


class BudgetSettings(BaseModel):
    """How much of the API's request limit the connector may use."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    requests: int = Field(
        default=600,
        ge=1,
        le=1_000_000,
        description="Maximum requests per window. Cloudflare allows 1200 per 5 minutes and credential, "
        "dashboard use included.",
    )
    window: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="Length of the window.",
    )


class Account(BaseModel):
    """One Cloudflare account. It needs an ``api_token``, or ``email`` and ``api_key``."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    account_id: Annotated[str, AfterValidator(_account_id)] = Field(
        description="The account's id: 32 hexadecimal digits."
    )
    api_token: Credential | None = Field(
        default=None, description="API token with the permission Cloud Email Security: Read."
    )
    email: Annotated[str, AfterValidator(_email)] | None = Field(
        default=None, description="Email address of the user whose Global API key is used."
    )
    api_key: Credential | None = Field(
        default=None, description="Global API key of that user; prefer a token."
    )
    write_token: Credential | None = Field(
        default=None,
        description="API token with the permission Cloud Email Security: Write, for response actions only.",
    )
    base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        default=BASE_URL, description="Base URL of the API, including /client/v4; https unless loopback."
    )
    budget: BudgetSettings = Field(
        default=BudgetSettings(), description="Request budget of this account's credential."
    )
    proxy: Proxy | None = Field(
        default=None,
        description="URL of an HTTP proxy; by default HTTPS_PROXY and NO_PROXY apply.",
    )
    tls: TlsOptions = Field(default=TlsOptions(), description="TLS settings for connections to the API.")

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> Account:
        if self.api_token is not None:
            for key, value in (("email", self.email), ("api_key", self.api_key)):
                if value is not None:
                    raise invalid(
                        "two sign-in methods are set", hint="keep api_token, or email and api_key", key=key
                    )
        elif self.email is None and self.api_key is None:
            raise invalid("credentials are missing", hint="set api_token, or email and api_key")
        elif self.api_key is None:
            raise invalid("api_key is missing", hint="email and api_key belong together")
        elif self.email is None:
            raise invalid("email is missing", hint="email and api_key belong together")
        return self
