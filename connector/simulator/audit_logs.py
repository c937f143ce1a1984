"""Audit Logs (version 2): who changed what in the account, as ``GET /accounts/{id}/logs/audit`` lists it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from connector.simulator import envelope
from connector.simulator.access import bearer
from connector.simulator.behaviour import Behaviour
from connector.simulator.envelope import ApiProblem, Refusal
from connector.simulator.exchange import ApiReply, Kind, SimulatedRequest
from connector.simulator.values import Body, micros, mix, zoned
from connector.simulator.world import World

_MOST: Final = 1000
_DEFAULT: Final = 100

_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("id",), "audit_log_id": ("id",), "account_name": ("account", "name"),
    "action_result": ("action", "result"), "action_type": ("action", "type"),
    "actor_context": ("actor", "context"), "actor_email": ("actor", "email"), "actor_id": ("actor", "id"),
    "actor_ip_address": ("actor", "ip_address"), "actor_token_id": ("actor", "token_id"),
    "actor_token_name": ("actor", "token_name"), "actor_type": ("actor", "type"),
    "raw_cf_ray_id": ("raw", "cf_ray_id"), "raw_method": ("raw", "method"),
    "raw_status_code": ("raw", "status_code"), "raw_uri": ("raw", "uri"),
    "resource_id": ("resource", "id"), "resource_product": ("resource", "product"),
    "resource_scope": ("resource", "scope"), "resource_type": ("resource", "type"),
    "zone_id": ("zone", "id"), "zone_name": ("zone", "name"),
}  # fmt: skip
"""Where a row has what a filter compares."""

_ACTIONS: Final[Mapping[Kind, tuple[str, str, str]]] = {
    "move": ("update", "Move messages", "message"),
    "release": ("update", "Release messages from quarantine", "message"),
    "submit": ("create", "Create submissions", "submission"),
    "block": ("create", "Create a blocked sender", "block_sender"),
    "change_block": ("update", "Change a blocked sender", "block_sender"),
    "unblock": ("delete", "Delete a blocked sender", "block_sender"),
}
"""Type, description and resource of what a request changes."""


class AuditLogs:
    """The audit log of the simulated account. Tests add what happened elsewhere with ``add``."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._seed = seed
        self._rows: list[tuple[int, Body]] = []

    def add(self, fields: Mapping[str, Any] | None = None, *, at: datetime | None = None) -> str:
        """Add an entry and return its id; *fields* replace members of the generated one, level by level."""
        with self._world.lock:
            moment = self._world.now() if at is None else micros(at)
            row = _merged(self._row(moment), fields or {})
            self._rows.append((moment, row))
            return str(row.get("id"))

    def note(self, ask: SimulatedRequest, answer: ApiReply, now: int) -> None:
        """Add the entry of a request that changes something."""
        kind, description, resource = _ACTIONS[ask.kind]
        token = bearer(ask.headers) is not None
        actor = {
            "context": "api_token" if token else "api_key",
            "email": ask.headers.get("x-auth-email", "soc@corp.example"),
            "token_name": "soar" if token else None,
        }
        target = answer.effects[0].target if len(answer.effects) == 1 else None
        row = _merged(
            self._row(now),
            {
                "account": {"id": ask.account},
                "action": {
                    "type": kind,
                    "description": description,
                    "result": "success" if answer.status < 400 else "failure",  # noqa: PLR2004
                },
                "actor": actor,
                "raw": {"method": ask.method, "status_code": answer.status, "uri": ask.path},
                "resource": {"id": ask.record or target, "type": resource},
            },
        )
        self._rows.append((now, row))

    def search(self, ask: SimulatedRequest, behaviour: Behaviour, now: int) -> ApiReply:
        """Answer ``GET``: entries of ``[since, before)``, newest first unless ``direction=asc``."""
        since, before = (_moment(ask.query, name) for name in ("since", "before"))
        limit = _limit(ask.query)
        wanted = _filters(ask.query)
        rows = [
            (at, row)
            for at, row in self._rows
            if since <= at < before and at <= now and all(matches(row) for matches in wanted)
        ]
        rows.sort(key=lambda entry: entry[0], reverse=dict(ask.query).get("direction", "desc") != "asc")
        offset = _offset(ask.cursor) if ask.cursor else 0
        shown = [row for _, row in rows[offset : offset + min(limit, behaviour.page_limit or limit)]]
        end = offset + len(shown)
        cursor = _cursor(end) if end < len(rows) or (behaviour.trailing_empty_page and shown) else None
        info: Body = {"count": len(shown)}
        if cursor is not None or behaviour.last_page != "absent":
            info["cursor"] = cursor if cursor is not None or behaviour.last_page == "null" else ""
        return envelope.success(shown, info=info)

    def _row(self, at: int) -> Body:
        number = len(self._rows)
        return {
            "id": f"{mix(self._seed, number):016x}{mix(self._seed, -number - 1):016x}",
            "account": {"id": "0" * 32, "name": "Example Corp"},
            "action": {
                "description": "Update an allow policy", "result": "success", "time": zoned(at),
                "type": "update",
            },
            "actor": {
                "id": f"{mix(self._seed, 7):016x}{mix(self._seed, 8):016x}", "context": "dash",
                "email": "admin@corp.example", "ip_address": "198.51.100.7", "token_id": None,
                "token_name": None, "type": "user",
            },
            "raw": {
                "cf_ray_id": f"{mix(self._seed, 1000 + number):016x}", "method": "PATCH", "status_code": 200,
                "uri": "/accounts/email-security/settings/allow_policies", "user_agent": "Mozilla/5.0",
            },
            "resource": {
                "id": f"{mix(self._seed, 2000 + number):016x}", "product": "email_security", "request": {},
                "response": {}, "scope": "accounts", "type": "allow_policy",
            },
        }  # fmt: skip


def _merged(row: Body, fields: Mapping[str, Any]) -> Body:
    merged = dict(row)
    for name, value in fields.items():
        known = merged.get(name)
        merged[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, Mapping) else value
    return merged


def _refused(name: str, expected: str) -> Refusal:
    return Refusal(ApiProblem(1004, f"{name}: expected {expected}", pointer=f"/{name}"))


def _moment(query: tuple[tuple[str, str], ...], name: str) -> int:
    text = dict(query).get(name, "")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise _refused(name, "a date or a time") from None
    return micros(found if found.tzinfo else datetime.fromisoformat(f"{text[:10]}T00:00:00+00:00"))


def _limit(query: tuple[tuple[str, str], ...]) -> int:
    text = dict(query).get("limit", str(_DEFAULT))
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _MOST):
        raise _refused("limit", f"1 to {_MOST}")
    return int(text)


def _filters(query: tuple[tuple[str, str], ...]) -> list[Callable[[Body], bool]]:
    """Each filter takes any of its values; one that ends in ``.not`` takes none of them."""
    values: dict[str, set[str]] = {}
    for name, value in query:
        if name.removesuffix(".not") in _PLACES:
            values.setdefault(name, set()).add(value)
    return [_filter(name, wanted) for name, wanted in values.items()]


def _filter(name: str, wanted: set[str]) -> Callable[[Body], bool]:
    negated, place = name.endswith(".not"), _PLACES[name.removesuffix(".not")]

    def matches(row: Body) -> bool:
        value: Any = row
        for step in place:
            value = value.get(step) if isinstance(value, dict) else None
        return (str(value) in wanted) is not negated

    return matches


def _cursor(offset: int) -> str:
    return base64.urlsafe_b64encode(f"audit:{offset}".encode()).decode()


def _offset(cursor: str) -> int:
    try:
        name, _, number = base64.urlsafe_b64decode(cursor.encode()).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name, number = "", ""
    if name != "audit" or not number.isdigit():
        raise Refusal(envelope.BAD_CURSOR)
    return int(number)
