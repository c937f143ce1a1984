"""Authentication and authorization: both schemes, with the errors Cloudflare returns for each mistake."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from connector.simulator import envelope
from connector.simulator.behaviour import Behaviour
from connector.simulator.exchange import ApiReply

_ACCOUNT: Final = re.compile(r"[0-9a-f]{32}")
_BEARER: Final = re.compile(r"[Bb]earer ([!-~]+)")
_PRINTABLE: Final = re.compile(r"[!-~]+")
_OF_ACCOUNT: Final = "cfat_"


@dataclass(slots=True)
class Access:
    """Accepted credentials. Every attribute can be changed at any time, for example to rotate a token.

    Args:
        tokens: accepted API tokens; ``None``: any.
        keys: accepted API keys by email address; ``None``: any.
        accounts: known accounts; ``None``: any of 32 hexadecimal digits.
        permitted: whether the credentials have the permission Cloud Email Security: Read.
        audit_tokens: tokens with the permission Account Settings: Read, which audit logs need; ``None``: all.
        read_tokens: tokens with that permission only; all others may also write.
    """

    tokens: Collection[str] | None = None
    keys: Mapping[str, str] | None = None
    accounts: Collection[str] | None = None
    permitted: bool = True
    audit_tokens: Collection[str] | None = None
    read_tokens: Collection[str] = ()

    def refusal(self, headers: Mapping[str, str], behaviour: Behaviour) -> ApiReply | None:
        """Return the error for the credentials in *headers*, or ``None`` when they are accepted."""
        wrong = envelope.failure(behaviour.wrong_credentials, envelope.DENIED)
        if "x-auth-key" in headers or "x-auth-email" in headers:
            return self._key_refusal(headers, behaviour, wrong)
        if "authorization" not in headers:
            return envelope.failure(behaviour.missing_credentials, envelope.MISSING)
        token = bearer(headers)
        if token is None:
            return envelope.failure(400, envelope.BAD_BEARER)
        return None if self.tokens is None or token in self.tokens else wrong

    def _key_refusal(
        self, headers: Mapping[str, str], behaviour: Behaviour, wrong: ApiReply
    ) -> ApiReply | None:
        key, email = headers.get("x-auth-key", ""), headers.get("x-auth-email", "")
        if not key or not email:
            return envelope.failure(behaviour.missing_credentials, envelope.MISSING)
        if not _PRINTABLE.fullmatch(key):
            return envelope.failure(400, envelope.BAD_KEY)
        return None if self.keys is None or self.keys.get(email) == key else wrong

    def account_refusal(
        self, account: str, path: str, behaviour: Behaviour, *, of_product: bool = True
    ) -> ApiReply | None:
        """Return the error for an account id that is malformed or does not belong to the credential.

        *of_product*: whether the path belongs to Email Security, which needs its permission.
        """
        if not _ACCOUNT.fullmatch(account):
            return envelope.failure(404, envelope.could_not_route(path), envelope.NO_ROUTE)
        known = self.accounts is None or account in self.accounts
        return (
            None
            if known and (self.permitted or not of_product)
            else envelope.failure(behaviour.wrong_credentials, envelope.DENIED)
        )

    def write_refusal(self, headers: Mapping[str, str], behaviour: Behaviour) -> ApiReply | None:
        """Return the error for a credential that may read but not write."""
        if bearer(headers) not in self.read_tokens:
            return None
        return envelope.failure(behaviour.wrong_credentials, envelope.DENIED)

    def audit_refusal(self, headers: Mapping[str, str], behaviour: Behaviour) -> ApiReply | None:
        """Return the error for a credential that may not read audit logs."""
        if self.audit_tokens is None or bearer(headers) in self.audit_tokens:
            return None
        return envelope.failure(behaviour.wrong_credentials, envelope.DENIED)

    def verify(self, headers: Mapping[str, str], account: str | None) -> ApiReply:
        """Answer whether the token is valid; an account-owned token is known to its account only."""
        token = bearer(headers)
        if token is None:
            return envelope.failure(400, envelope.BAD_BEARER)
        if account is not None and not _ACCOUNT.fullmatch(account):
            return envelope.failure(404, envelope.could_not_route("/accounts/" + account), envelope.NO_ROUTE)
        unknown = self.tokens is not None and token not in self.tokens
        if unknown or (account is None and token.startswith(_OF_ACCOUNT)):
            return envelope.failure(401, envelope.BAD_TOKEN)
        valid = {"code": 10000, "message": "This API Token is valid and active", "type": None}
        return envelope.success({"id": "ed17574386854bf78a67040be0a770b0", "status": "active"}, valid)


def bearer(headers: Mapping[str, str]) -> str | None:
    """Return the token of a well-formed ``Authorization`` header."""
    match = _BEARER.fullmatch(headers.get("authorization", ""))
    return match[1] if match else None


def credential(headers: Mapping[str, str]) -> str:
    """Return what the quota counts by: the token, or the email address of the key."""
    return headers.get("x-auth-email") or headers.get("authorization") or ""
