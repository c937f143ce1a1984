"""Probes one account for ``check``: token, permission and clock, before anything is collected."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from connector.errors import SourceError
from connector.model import Priority, SearchSource
from connector.source.catalog import ENDPOINTS
from connector.source.error_mapping import CREDENTIAL_HINT
from connector.source.request import ApiRequest, ApiResponse, Requester
from connector.values import dataclass

_ATTEMPTS = 2
"""Tries of one request: somebody waits for the result of ``check``."""

_EXPIRES_SOON = timedelta(days=14)
"""A token that expires within two weeks is a warning: time to renew it in working hours."""

_LISTED = timedelta(hours=24)
"""How far back a list beside the search of messages is asked for an entry."""

_TOLERATED_SKEW = 5.0
"""Seconds that the clocks may differ, as for windows (``source.client``)."""


class Level(StrEnum):
    """Severity of a probe result."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Result of one probe.

    *item*: token, permission or clock; *hint*: what to do; *source*: whose permission it is.
    """

    item: str
    level: Level
    text: str
    hint: str = ""
    source: SearchSource | None = None


async def verify(
    requester: Requester, base: str, search: str, *, sources: Collection[SearchSource], is_token: bool
) -> tuple[ProbeResult, ...]:
    """Verify the credential, request one record of each of *sources*, compare the clocks."""
    findings = list(await _token(requester, base)) if is_token else []
    permissions = [
        await _permission(requester, search)
        if source is SearchSource.INVESTIGATE
        else await _list_permission(requester, base, source)
        for source in SearchSource
        if source in sources
    ]
    if any(permission.level is Level.OK for permission in permissions):
        # Some tokens may search but not verify themselves: searching is what matters.
        findings = [_as_warning(finding) for finding in findings]
        permissions.append(_clock(requester))
    return (*findings, *permissions)


async def _token(requester: Requester, base: str) -> tuple[ProbeResult, ...]:
    """A token belongs to a user or to the account; each kind has its own verify endpoint."""
    first: SourceError | None = None
    for path in ("/user/tokens/verify", f"/accounts/{requester.account}/tokens/verify"):
        ask = ApiRequest("token", base + path, accept=frozenset({200}), attempts=_ATTEMPTS)
        try:
            reply = await requester.ask(ask, Priority.LIVE)
        except SourceError as error:
            first = first or error
        else:
            return _state(reply, requester.server.now())
    return (ProbeResult("token", Level.FAILED, first.reason if first else "", first.hint if first else ""),)


def _state(reply: ApiResponse, now: datetime) -> tuple[ProbeResult, ...]:
    result = reply.envelope.result
    state = result if isinstance(result, dict) else {}
    status = str(state.get("status", "active"))
    if status != "active":
        return (ProbeResult("token", Level.FAILED, f"the token is {status[:40]}", "create a new token"),)
    ends = _parse_time(state.get("expires_on"))
    if ends is None:
        return (ProbeResult("token", Level.OK, "the token is valid and active"),)
    text = f"the token is valid until {ends:%Y-%m-%d %H:%M} UTC"
    if ends - now < _EXPIRES_SOON:
        return (
            ProbeResult("token", Level.WARNING, text, "replace it before it expires: collection stops then"),
        )
    return (ProbeResult("token", Level.OK, text),)


async def _permission(requester: Requester, search: str) -> ProbeResult:
    ask = ApiRequest(
        "search",
        search,
        (("detections_only", "false"), ("per_page", "1")),
        expects_list=True,
        attempts=_ATTEMPTS,
    )
    try:
        reply = await requester.ask(ask, Priority.LIVE)
    except SourceError as error:
        return ProbeResult(
            "permission", Level.FAILED, _without_hint(error), error.hint, SearchSource.INVESTIGATE
        )
    rows = reply.envelope.row_count
    text = "messages of the last 30 days exist" if rows else "no messages in the last 30 days"
    if reply.status == 202:  # noqa: PLR2004
        text = "the API takes longer than usual to respond"
    return ProbeResult("permission", Level.OK, f"the search works; {text}")


async def _list_permission(requester: Requester, base: str, source: SearchSource) -> ProbeResult:
    """Whether the credential may read a list beside the search of messages."""
    item, endpoint, now = f"permission {source}", ENDPOINTS[source], requester.server.now()
    ask = ApiRequest(
        str(source),
        endpoint.url(base, requester.account),
        endpoint.parameters({}, now - _LISTED, now, 1),
        accept=frozenset({200}),
        expects_list=True,
        attempts=_ATTEMPTS,
    )
    try:
        reply = await requester.ask(ask, Priority.LIVE)
    except SourceError as error:
        hint = error.hint
        if hint == CREDENTIAL_HINT:
            hint = f"grant the token {endpoint.permission} for this account; source: {source} needs it"
        return ProbeResult(item, Level.FAILED, _without_hint(error), hint, source)
    found = "there are entries" if reply.envelope.row_count else "no entries"
    text = f"{endpoint.permission} is granted; {found} in the last 24 hours"
    return ProbeResult(item, Level.OK, text, source=source)


def _clock(requester: Requester) -> ProbeResult:
    skew = requester.server.skew
    direction = "behind" if skew > 0 else "ahead"
    if not requester.server.known:
        return ProbeResult("clock", Level.WARNING, "the API sent no time")
    if abs(skew) < _TOLERATED_SKEW:
        return ProbeResult("clock", Level.OK, "the local clock agrees with the API")
    return ProbeResult(
        "clock",
        Level.WARNING,
        f"the local clock is {abs(skew):.0f} s {direction}",
        "synchronize it; the connector uses the earlier of both",
    )


def _as_warning(finding: ProbeResult) -> ProbeResult:
    if finding.level is Level.FAILED:
        return ProbeResult(
            finding.item, Level.WARNING, f"{finding.text}; the search works nevertheless", finding.hint
        )
    return finding


def _without_hint(error: SourceError) -> str:
    return str(error).removesuffix(f"; {error.hint}") if error.hint else str(error)


def _parse_time(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
