"""Settings of response actions: the listener, callers and what each may do.

Permissions, kinds and approvals are repeated from ``connector.actions``, which is imported only where actions
are configured; a test keeps them equal.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from connector.api_values import Destination, PatternType
from connector.net.loopback import is_loopback
from connector.quantity_fields import Duration
from connector.secret import Secret
from connector.settings.problems import invalid
from connector.settings.process import Address, ServerTls, Token, split_address

Permission: TypeAlias = Literal[
    "search", "get", "preview", "raw", "events", "move", "release", "submit", "block", "approve"
]
Acting: TypeAlias = Literal["move", "release", "submit", "block", "unblock"]
Approval: TypeAlias = Literal["none", "second_caller", "operator"]

_Glob = Annotated[str, StringConstraints(min_length=1, max_length=320, pattern=r"^[^\s]+$")]
_CANNOT_MATCH = re.compile(r"[^*?\[@]*|@[^*?\[@]*")
"""A glob of recipients that is a domain without a local part: no address equals it."""
_ONLY_NETWORK = re.compile(r"[0-9.]+|[^@]*[:/][^@]*")
"""What can be meant as an address or network of IP alone: no domain or address of email looks like it."""
_Name = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]*$", max_length=64)]
_ACTING: tuple[Acting, ...] = ("move", "release", "submit", "block", "unblock")
_SAFE: tuple[Destination, ...] = ("Inbox", "JunkEmail", "DeletedItems", "RecoverableItemsDeletions")
WRITING = frozenset({"move", "release", "submit", "block"})
"""Permissions that need an account's ``write_token``."""


class BlockSettings(BaseModel):
    """Which senders a caller may block."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    types: tuple[PatternType, ...] = Field(
        default=("EMAIL", "DOMAIN", "IP"), min_length=1, description="Kinds of patterns."
    )
    never: tuple[_Glob, ...] = Field(
        default=(),
        max_length=1000,
        description="Addresses, domains (with everything below), networks or globs that are never blocked.",
    )
    expires_max: Duration | None = Field(
        default=None,
        ge=timedelta(minutes=1),
        le=timedelta(days=366),
        description="Longest time a sender stays blocked; null: for ever is allowed.",
    )
    regex: bool = Field(default=False, description="Whether patterns may be regular expressions.")

    @model_validator(mode="after")
    def _checkable(self) -> BlockSettings:
        if self.regex and self.never:
            raise invalid(
                "regex cannot be combined with never",
                hint="what a regular expression matches cannot be checked",
                key="regex",
            )
        for rule in self.never:
            if _ONLY_NETWORK.fullmatch(rule) and not _is_network(rule):
                raise invalid(
                    "an entry is neither an IP address nor a network, and would protect nothing",
                    hint="write networks as 192.0.2.0/24 or 2001:db8::/32",
                    key="never",
                )
        return self


class CallerSettings(BaseModel):
    """Somebody who may call, such as a SOAR platform, and its scope."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    token: Token = Field(description="Bearer token of this caller.")
    may: tuple[Permission, ...] = Field(min_length=1, description="What it may do.")
    accounts: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default="all", description="Names of accounts, or all."
    )
    destinations: tuple[Destination, ...] = Field(
        default=_SAFE,
        min_length=1,
        description="Folders it may move messages to; without the hard delete by default.",
    )
    recipients: tuple[_Glob, ...] = Field(
        default=("*",),
        min_length=1,
        max_length=1000,
        description="Globs; it sees and acts on messages whose recipients all match one.",
    )
    block: BlockSettings = Field(default=BlockSettings(), description="Senders it may block.")
    ids_per_call: int = Field(default=100, ge=1, le=1000, description="Maximum messages per request.")
    per_hour: int = Field(default=500, ge=1, le=100_000, description="Maximum actions per hour.")
    approval: Approval = Field(
        default="none",
        description="Who must approve its actions: no one, another caller with the permission approve, "
        "or an operator at the command line.",
    )
    approval_for: tuple[Acting, ...] = Field(
        default=_ACTING, min_length=1, description="Actions that need the approval."
    )

    @model_validator(mode="after")
    def _has_effect(self) -> CallerSettings:
        given, may = self.model_fields_set, set(self.may)
        useless = {
            "destinations": ("move" not in may, "may does not contain move"),
            "block": ("block" not in may, "may does not contain block"),
            "approval_for": (self.approval == "none", "approval is none"),
        }
        for key, (is_useless, why) in useless.items():
            if key in given and is_useless:
                raise invalid(f"has no effect: {why}", hint=f"remove {key}", key=key)
        if self.approval != "none" and not self.approved():
            raise invalid(
                "nothing that this caller may do needs the approval",
                hint="add an action of may to approval_for, or remove approval",
                key="approval",
            )
        if any(_CANNOT_MATCH.fullmatch(glob) for glob in self.recipients):
            raise invalid(
                "an entry matches no address",
                hint="write *@corp.example for everyone of a domain",
                key="recipients",
            )
        return self

    def approved(self) -> frozenset[str]:
        """The permissions whose use needs an approval."""
        kinds = {"block" if kind == "unblock" else kind for kind in self.approval_for}
        return frozenset() if self.approval == "none" else frozenset(kinds & set(self.may))

    def may_approve(self, other: CallerSettings, permission: str) -> bool:
        """Whether it can approve what *other* does by *permission*, on one account at least."""
        shared = "all" in (self.accounts, other.accounts) or bool(set(self.accounts) & set(other.accounts))
        return shared and {"approve", permission} <= set(self.may)


class ActionBudgetSettings(BaseModel):
    """How much of an account's request budget its actions may use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int = Field(default=120, ge=1, le=1_000_000, description="Maximum API requests per window.")
    window: Duration = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=1),
        le=timedelta(hours=1),
        description="Length of the window.",
    )


class ActionSettings(BaseModel):
    """Response actions for SOAR platforms; off unless configured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: Address | None = Field(
        default="127.0.0.1:9465",
        description="host:port of the HTTP API; port 0 picks a free port; null: only the command line.",
    )
    tls: ServerTls | None = Field(
        default=None, description="Serve HTTPS with this certificate; required beyond loopback."
    )
    callers: dict[
        Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]*$", max_length=64)], CallerSettings
    ] = Field(default_factory=dict, description="Who may call, by name.")
    budget: ActionBudgetSettings = Field(
        default=ActionBudgetSettings(),
        description="API requests that actions may make per account; they also count against the account's "
        "budget, ahead of collection.",
    )
    approval_expires: Duration = Field(
        default=timedelta(hours=24),
        ge=timedelta(minutes=1),
        le=timedelta(days=30),
        description="How long an action waits for approval.",
    )
    keep: Duration = Field(
        default=timedelta(days=90),
        ge=timedelta(hours=24),
        le=timedelta(days=3650),
        description="How long ended actions and their request ids are remembered.",
    )

    @model_validator(mode="after")
    def _protected(self) -> ActionSettings:
        if self.listen is None:
            return self
        host, _ = split_address(self.listen)
        if self.tls is None and not is_loopback(host):
            raise invalid(
                "tls is required: tokens would travel in clear text",
                hint="set actions.tls, or listen on 127.0.0.1 behind a proxy with TLS",
                key="listen",
            )
        if not self.callers:
            raise invalid("nobody may call", hint="add callers, or set listen: null", key="callers")
        return self

    @model_validator(mode="after")
    def _approvable(self) -> ActionSettings:
        for name, caller in self.callers.items():
            if caller.approval != "second_caller":
                continue
            others = [one for other, one in self.callers.items() if other != name]
            for permission in sorted(caller.approved()):
                if not any(one.may_approve(caller, permission) for one in others):
                    what = f"nobody can approve {permission} of {name}"
                    hint = f"give another caller of the same account approve and {permission}"
                    raise invalid(what, hint=hint, key="callers")
        return self

    def secrets(self) -> tuple[Secret, ...]:
        """Every token."""
        return tuple(caller.token for caller in self.callers.values())


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
