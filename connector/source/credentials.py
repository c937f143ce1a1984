"""API credentials: an API token, or an email address with the Global API key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from connector.secret import Secret
from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class ApiToken:
    """An API token, owned by a user or by the account."""

    secret: Secret

    def headers(self) -> Mapping[str, str]:
        """Request headers that authenticate."""
        return {"authorization": f"Bearer {self.secret.reveal()}"}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A user's email address and Global API key."""

    email: str
    secret: Secret

    def headers(self) -> Mapping[str, str]:
        """Request headers that authenticate."""
        return {"x-auth-email": self.email, "x-auth-key": self.secret.reveal()}


Credentials: TypeAlias = ApiToken | KeyPair
