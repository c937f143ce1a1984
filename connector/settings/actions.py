"""Settings of response actions: the listener, callers and what each may do.

The words that callers may use are repeated from ``connector.actions``, which is imported only where actions
are configured; a test keeps them equal.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from connector.quantities import Duration
from connector.secret import Secret
from connector.settings.accounts import is_loopback
from connector.settings.problems import invalid
from connector.settings.process import Address, ServerTls, Token, split_address

Permission: TypeAlias = Literal[
    "search", "get", "preview", "raw", "events", "move", "release", "submit", "block", "approve"
]
Destination: TypeAlias = Literal[
    "Inbox", "JunkEmail", "DeletedItems", "RecoverableItemsDeletions", "RecoverableItemsPurges"
]
PatternType: TypeAlias = Literal["EMAIL", "DOMAIN", "IP"]
Acting: TypeAlias = Literal["move", "release", "submit", "block", "unblock"]
Approval: TypeAlias = Literal["none", "second_caller", "operator"]

_Glob = Annotated[str, StringConstraints(min_length=1, max_length=320, pattern=r"^[^\s]+$")]
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
        return self


class CallerSettings(BaseModel):
    """Somebody who may call, such as a SOAR platform, and its scope."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    token: Token = Field(description="Bearer token of this caller.")
    may: tuple[Permission, ...] = Field(min_length=1, description="What it may do.")
    accounts: Literal["all"] | tuple[str, ...] = Field(
        default="all", description="Names of accounts, or all."
    )
    destinations: tuple[Destination, ...] = Field(
        default=_SAFE, description="Folders it may move messages to; without the hard delete by default."
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
        description="Who has to approve its actions: nobody, another caller with the permission approve, "
        "or an operator at the command line.",
    )
    approval_for: tuple[Acting, ...] = Field(default=_ACTING, description="Actions that need the approval.")


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
            others = (one.may for other, one in self.callers.items() if other != name)
            if caller.approval == "second_caller" and not any("approve" in may for may in others):
                what = f"nobody can approve the actions of {name}"
                raise invalid(what, hint="give another caller approve", key="callers")
        return self

    def secrets(self) -> tuple[Secret, ...]:
        """Every token."""
        return tuple(caller.token for caller in self.callers.values())
