"""Whether an account would work: the token, its permission, the clock; for people, before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from connector.errors import SourceError
from connector.model import Priority
from connector.source.request import Ask, Reply, Requester

_ATTEMPTS = 2
_SOON = timedelta(days=14)
_SKEW = 5.0
_PERMISSION = "Cloud Email Security: Read"


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. *item*: token, permission or clock; *hint*: what to do."""

    item: str
    level: Level
    text: str
    hint: str = ""


async def verify(requester: Requester, base: str, search: str, *, is_token: bool) -> tuple[Finding, ...]:
    """Look at the credential, ask for one record, compare the clocks."""
    findings = list(await _token(requester, base)) if is_token else []
    permission = await _permission(requester, search)
    if permission.level is Level.OK:
        # Some tokens may search but not look at themselves; what matters works.
        findings = [_milder(finding) for finding in findings]
        findings.append(permission)
        findings.append(_clock(requester))
    else:
        findings.append(permission)
    return tuple(findings)


async def _token(requester: Requester, base: str) -> tuple[Finding, ...]:
    """A token belongs to a user or to the account; each kind is verified at its own address."""
    first: SourceError | None = None
    for path in ("/user/tokens/verify", f"/accounts/{requester.account}/tokens/verify"):
        ask = Ask("token", base + path, accept=frozenset({200}), attempts=_ATTEMPTS)
        try:
            reply = await requester.ask(ask, Priority.LIVE)
        except SourceError as error:
            first = first or error
        else:
            return _state(reply, requester.server.now())
    return (Finding("token", Level.FAILED, first.reason if first else "", first.hint if first else ""),)


def _state(reply: Reply, now: datetime) -> tuple[Finding, ...]:
    result = reply.envelope.result
    state = result if isinstance(result, dict) else {}
    status = str(state.get("status", "active"))
    if status != "active":
        return (Finding("token", Level.FAILED, f"the token is {status[:40]}", "make a new token"),)
    ends = _moment(state.get("expires_on"))
    if ends is None:
        return (Finding("token", Level.OK, "the token is valid and active"),)
    told = f"the token is valid until {ends:%Y-%m-%d %H:%M} UTC"
    if ends - now < _SOON:
        return (Finding("token", Level.WARNING, told, "replace it before it ends: collection stops then"),)
    return (Finding("token", Level.OK, told),)


async def _permission(requester: Requester, search: str) -> Finding:
    ask = Ask(
        "search",
        search,
        (("detections_only", "false"), ("per_page", "1")),
        listed=True,
        attempts=_ATTEMPTS,
    )
    try:
        reply = await requester.ask(ask, Priority.LIVE)
    except SourceError as error:
        return Finding("permission", Level.FAILED, _without_hint(error), error.hint)
    rows = len(reply.envelope.rows or [])
    told = "mail of the last 30 days was found" if rows else "no mail of the last 30 days was found"
    if reply.status == 202:  # noqa: PLR2004
        told = "the API takes longer than usual to answer"
    return Finding("permission", Level.OK, f"the search answers; {told}")


def _clock(requester: Requester) -> Finding:
    skew = requester.server.skew
    direction = "behind" if skew > 0 else "ahead"
    if not requester.server.known:
        return Finding("clock", Level.WARNING, "the API did not tell its time")
    if abs(skew) < _SKEW:
        return Finding("clock", Level.OK, "the local clock agrees with the API's")
    return Finding(
        "clock",
        Level.WARNING,
        f"the local clock is {abs(skew):.0f} s {direction}",
        "synchronise it; the connector goes by the earlier of both",
    )


def _milder(finding: Finding) -> Finding:
    if finding.level is Level.FAILED:
        return Finding(finding.item, Level.WARNING, f"{finding.text}; yet the search answers", finding.hint)
    return finding


def _without_hint(error: SourceError) -> str:
    return str(error).removesuffix(f"; {error.hint}") if error.hint else str(error)


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
