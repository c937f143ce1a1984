"""The ASGI application: routes, faults, quota, authentication and the headers common to every response."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import format_datetime
from typing import Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from connector.simulator import envelope
from connector.simulator.access import Access, credential
from connector.simulator.api import Api
from connector.simulator.behaviour import Behaviour
from connector.simulator.envelope import ApiProblem
from connector.simulator.exchange import WRITES, ApiReply, Kind, SimulatedRequest
from connector.simulator.fault_script import parse_directives
from connector.simulator.faults import Fault
from connector.simulator.ledger import Ledger, ServedRequest
from connector.simulator.quota import Quota, Quotas
from connector.simulator.tampering import rate_limited, replaced, spoiled
from connector.simulator.transport_faults import compress, deliver
from connector.simulator.values import mix, moment
from connector.simulator.world import World

_UNLIMITED: Final = Quota()
_GET: Final = frozenset({"GET"})
_POST: Final = frozenset({"POST"})
_METHODS: Final[Mapping[Kind, frozenset[str]]] = {
    "move": _POST, "release": _POST, "submit": _POST, "block": _POST, "preview": _GET | _POST,
    "change_block": frozenset({"PATCH", "PUT"}), "unblock": frozenset({"DELETE"}),
}  # fmt: skip
"""Methods of the kinds of requests that are not read with GET."""

_WITH_CONTENT: Final = frozenset({"POST", "PUT", "PATCH"})


class RequestHandler:
    """Applies faults, quota and credentials before an endpoint answers; adds the common headers."""

    def __init__(
        self, world: World, ledger: Ledger, behaviour: Behaviour, access: Access, api: Api, seed: int
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._behaviour = behaviour
        self._access = access
        self._api = api
        self._quotas = Quotas()
        self._seed = seed
        self._count = 0

    async def __call__(self, kind: Kind, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        ask = _ask(kind, scope, await _content(receive) if scope["method"] in _WITH_CONTENT else b"")
        self._count += 1
        ray = f"{mix(self._seed, self._count):016x}-SIM"
        now = self._world.now()
        behaviour, fault, answer = self._directed(ask)
        if answer is None:
            answer = self._answer(ask, behaviour, fault, ray, now)
        headers = self._headers(ask, behaviour, ray, now)
        readable = answer.served if fault is None or fault.kind not in {"reset", "cut", "hang"} else []
        name = fault.kind if fault else None
        noted = ServedRequest(moment(now), ask.kind, ask.path, ask.query, answer.status, name, len(readable))
        self._ledger.note(noted, readable)
        if ask.kind in WRITES:
            self._ledger.note_write(noted, ask.content, answer.effects)
        compress(answer, ask.headers.get("accept-encoding", ""), behaviour.gzip)
        await deliver(answer, fault, headers, scope, receive, send)

    def _directed(self, ask: SimulatedRequest) -> tuple[Behaviour, Fault | None, ApiReply | None]:
        """Return the scripted fault that is due and the directives of the header ``X-Simulate``."""
        fault = self._behaviour.faults.take(ask.kind, self._behaviour.rates)
        if "x-simulate" not in ask.headers:
            return self._behaviour, fault, None
        try:
            behaviour, wanted = parse_directives(ask.headers["x-simulate"], self._behaviour)
        except ValueError as error:
            return self._behaviour, None, envelope.failure(400, ApiProblem(1005, f"X-Simulate: {error}"))
        return behaviour, wanted or fault, None

    def _answer(
        self, ask: SimulatedRequest, behaviour: Behaviour, fault: Fault | None, ray: str, now: int
    ) -> ApiReply:
        if behaviour.quota is not None:
            wait = self._quotas.charge(credential(ask.headers), behaviour.quota, now)
            if wait is not None:
                return rate_limited(wait)
        answer = replaced(fault, ray) if fault else None
        if answer is None:
            answer = self._refusal(ask, behaviour) or self._api.answer(ask, behaviour, fault)
        return spoiled(fault, answer) if fault else answer

    def _refusal(self, ask: SimulatedRequest, behaviour: Behaviour) -> ApiReply | None:
        """Return the refusal of a request that must not reach an endpoint, if any."""
        if ask.kind == "verify":
            return self._access.verify(ask.headers, ask.account)
        refusal = self._access.refusal(ask.headers, behaviour)
        if refusal is None and ask.account is not None:
            of_product = ask.kind != "audit_logs"
            refusal = self._access.account_refusal(ask.account, ask.path, behaviour, of_product=of_product)
        if refusal is None and ask.kind == "audit_logs":
            refusal = self._access.audit_refusal(ask.headers, behaviour)
        if refusal is None and ask.kind == "unknown":
            refusal = envelope.failure(404, envelope.could_not_route(ask.path), envelope.NO_ROUTE)
        if refusal is None and ask.method not in _METHODS.get(ask.kind, _GET):
            refusal = envelope.failure(405, envelope.BAD_METHOD)
        writes = ask.kind in WRITES or (ask.kind == "preview" and ask.method == "POST")
        if refusal is None and writes:
            refusal = self._access.write_refusal(ask.headers, behaviour)
        return refusal

    def _headers(self, ask: SimulatedRequest, behaviour: Behaviour, ray: str, now: int) -> dict[str, str]:
        quota = behaviour.quota or _UNLIMITED
        return {
            "Date": format_datetime(moment(now) + behaviour.skew, usegmt=True),
            "Server": "cloudflare",
            "CF-Ray": ray,
            **self._quotas.headers(credential(ask.headers), quota, now),
        }


class _Endpoint:
    """Passes requests of one route to the handler, with the kind that its method has there."""

    def __init__(self, handler: RequestHandler, *kinds: Kind) -> None:
        self._gate = handler
        self._kinds = kinds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        kind = next((one for one in self._kinds if method in _METHODS.get(one, _GET)), self._kinds[0])
        await self._gate(kind, scope, receive, send)


def build(handler: RequestHandler) -> Starlette:
    """Build the application."""
    product = "/accounts/{account}/email-security"
    searches = f"{product}/investigate"
    blocks = f"{product}/settings/block_senders"
    paths: tuple[tuple[str, *tuple[Kind, ...]], ...] = (
        ("/user/tokens/verify", "verify"),
        ("/accounts/{account}/tokens/verify", "verify"),
        (searches, "first"),
        (f"{searches}/poll/{{record}}", "poll"),
        (f"{searches}/move", "move"),
        (f"{searches}/release", "release"),
        (f"{searches}/preview", "preview"),
        (f"{searches}/{{record}}", "record"),
        (f"{searches}/{{record}}/preview", "preview"),
        (f"{searches}/{{record}}/raw", "raw"),
        (f"{product}/submissions", "submissions", "submit"),
        ("/accounts/{account}/logs/audit", "audit_logs"),
        (blocks, "blocks", "block"),
        (f"{blocks}/{{record}}", "blocks", "change_block", "unblock"),
        (f"{searches}/{{record}}/detections", "detections"),
        (f"{searches}/{{record}}/action_log", "action_log"),
        (f"{searches}/{{record}}/trace", "trace"),
        ("/accounts/{account}/{rest:path}", "unknown"),
        ("/{rest:path}", "unknown"),
    )
    routes = [Route(path, _Endpoint(handler, *kinds)) for path, *kinds in paths]
    rest = Route("/{rest:path}", _Endpoint(handler, "unknown"))
    return Starlette(routes=[Mount("/client/v4", routes=routes), rest])


async def _content(receive: Receive) -> bytes:
    content = bytearray()
    while True:
        message = await receive()
        content += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(content)


def _ask(kind: Kind, scope: Scope, content: bytes) -> SimulatedRequest:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    place = scope["path_params"]
    if kind == "first" and any(name == "cursor" and value for name, value in query):
        kind = "next"
    return SimulatedRequest(
        kind=kind,
        method=scope["method"],
        path=scope["path"],
        account=place.get("account"),
        record=place.get("record"),
        query=query,
        headers=headers,
        origin=f"{scope['scheme']}://{headers.get('host', 'localhost')}",
        content=content,
    )
