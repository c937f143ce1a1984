"""The users' words for one Cloudflare account: who it is, how to sign in, how much to ask."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from connector.net.tls import TlsOptions
from connector.quantities import Duration
from connector.secret import Secret
from connector.settings.problems import invalid

BASE_URL = "https://api.cloudflare.com/client/v4"
_SENDABLE = re.compile(r"[\x21-\x7e]+")


def _account_id(text: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{32}", text):
        raise invalid(
            "an account id of 32 hexadecimal digits is needed",
            hint="it stands in the dashboard's address and on the account's overview page",
        )
    return text.lower()


def _email(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+@[\x21-\x7e]+", text):
        raise invalid("an email address is needed", hint="the one that the Global API key belongs to")
    return text


def _credential(secret: Secret) -> Secret:
    # It becomes a header: a line break would end it, a space means that "Bearer" was copied along.
    if not _SENDABLE.fullmatch(secret.reveal()):
        raise invalid(
            "the credential holds a space, a line break or a character that is not ASCII",
            hint="paste it alone, without Bearer and without quotes",
        )
    return secret


def _base_url(text: str) -> str:
    url = split_url(text)
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise invalid("the base URL takes no credentials, no query and no fragment")
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        raise invalid(
            "https is needed", hint="http is allowed to this machine only: credentials would be readable"
        )
    if url.scheme not in {"http", "https"}:
        raise invalid("an https URL is needed", hint=f"such as {BASE_URL}")
    return text.rstrip("/")


def _proxy(secret: Secret) -> Secret:
    if split_url(secret.reveal()).scheme not in {"http", "https"}:
        raise invalid("the URL of an HTTP proxy is needed", hint="such as http://proxy.example:3128")
    return secret


def split_url(text: str) -> SplitResult:
    """Take a URL apart; raises for one without host, or with a port that is none."""
    try:
        url = urlsplit(text)
        usable = bool(url.hostname) and url.port != 0 and _SENDABLE.fullmatch(text)
    except ValueError:
        usable = None
    if not usable:
        raise invalid("a URL with scheme and host is needed", hint=f"such as {BASE_URL}")
    return url


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


Credential = Annotated[Secret, AfterValidator(_credential)]
Proxy = Annotated[Secret, AfterValidator(_proxy)]


class Budget(BaseModel):
    """How much of the API's request limit the connector may use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int = Field(
        default=600,
        ge=1,
        le=1_000_000,
        description="Most requests within the window. Cloudflare allows 1200 per 5 minutes and credential, "
        "the dashboard included.",
    )
    window: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="The time that the requests are counted over.",
    )


class Account(BaseModel):
    """One Cloudflare account. It needs an ``api_token``, or ``email`` and ``api_key``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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
        default=None, description="Global API key of that user; a token is the better choice."
    )
    base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        default=BASE_URL, description="Where the API answers, /client/v4 included; https unless loopback."
    )
    budget: Budget = Field(default=Budget(), description="Request budget of this account's credential.")
    proxy: Proxy | None = Field(
        default=None,
        description="URL of an HTTP proxy; by default the variables HTTPS_PROXY and NO_PROXY decide.",
    )
    tls: TlsOptions = Field(default=TlsOptions(), description="How to check the API's certificate.")

    @model_validator(mode="after")
    def _one_way_to_sign_in(self) -> Account:
        if self.api_token is not None:
            for key, value in (("email", self.email), ("api_key", self.api_key)):
                if value is not None:
                    raise invalid(
                        "there are two ways to sign in", hint="keep api_token, or email and api_key", key=key
                    )
        elif self.email is None and self.api_key is None:
            raise invalid("credentials are missing", hint="set api_token, or email and api_key")
        elif self.api_key is None:
            raise invalid("api_key is missing", hint="email and api_key belong together")
        elif self.email is None:
            raise invalid("email is missing", hint="email and api_key belong together")
        return self
