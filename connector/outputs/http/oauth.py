"""OAuth 2.0 client credentials grant (RFC 6749, section 4.4): the grant of the http output."""

from __future__ import annotations

import base64
from typing import Literal
from urllib.parse import quote, quote_plus, urlencode

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connector.interfaces import Clock
from connector.net.tls import TlsOptions
from connector.net.transport import Response
from connector.outputs.shared.http_client import HttpSender, HttpSettingsBase
from connector.outputs.shared.url import Url
from connector.secret import Secret


class OAuth2Settings(BaseModel):
    """Where to get access tokens, and with which credentials."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    token_url: Url = Field(description="The token endpoint.")
    client_id: str = Field(min_length=1)
    client_secret: Secret
    scope: str | None = Field(default=None, min_length=1, description="Scopes, separated by spaces.")
    audience: str | None = Field(
        default=None, min_length=1, description="Audience, if the server requires one."
    )
    client_auth: Literal["body", "header"] = Field(
        default="body", description="Send the client's credentials in the body, or in a Basic header."
    )
    tls: TlsOptions | None = Field(
        default=None, description="TLS options for the token endpoint; the output's tls is for the collector."
    )

    @model_validator(mode="after")
    def _tls_has_effect(self) -> OAuth2Settings:
        if self.tls is not None and not self.token_url.secure:
            raise ValueError("tls has no effect with an http token_url; use https")
        return self


class ClientCredentials:
    """The grant of *settings*.

    Args:
        settings: where to get tokens.
        wire: the output's settings; proxy and timeout apply here too.
        clock: the wall clock.
    """

    hint = "check token_url, client_id, client_secret and scope"

    def __init__(self, settings: OAuth2Settings, wire: HttpSettingsBase, clock: Clock) -> None:
        self._settings = settings
        own = wire.model_copy(update={"tls": settings.tls})
        self.sender = HttpSender(own, settings.token_url, [settings.client_secret], clock, connections=1)

    def credentials(self) -> str:
        """The client secret."""
        return self._settings.client_secret.reveal()

    def traces(self) -> tuple[str, ...]:
        """The secret in every form that a request holds."""
        secret = self.credentials()
        return secret, quote(secret, safe=""), quote_plus(secret), self._pair

    async def request(self) -> Response:
        """Ask for a token."""
        settings = self._settings
        form = {"grant_type": "client_credentials"}
        form |= {"scope": settings.scope} if settings.scope else {}
        form |= {"audience": settings.audience} if settings.audience else {}
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if settings.client_auth == "header":
            headers["authorization"] = f"Basic {self._pair}"
        else:
            form |= {"client_id": settings.client_id, "client_secret": self.credentials()}
        return await self.sender.post(urlencode(form).encode(), headers)

    @property
    def _pair(self) -> str:
        # Both are form-encoded before they are joined: RFC 6749, section 2.3.1.
        pair = ":".join(quote(part, safe="") for part in (self._settings.client_id, self.credentials()))
        return base64.b64encode(pair.encode()).decode()
