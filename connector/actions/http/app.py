"""The ASGI application: authentication, parsing, the operations, and an answer to whatever goes wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, TypeAlias
from urllib.parse import unquote

import orjson
from starlette.types import Receive, Scope, Send

from connector.actions.action import ENDED, Action, Kind, shown
from connector.actions.audit import audited_parameters
from connector.actions.callers import Caller
from connector.actions.events import Events
from connector.actions.fields import parse_body, parse_parameters, parse_query
from connector.actions.http.documents import MEDIA, openapi, swagger
from connector.actions.http.tokens import Tokens
from connector.actions.operations import OPERATIONS, Operation
from connector.actions.refusals import CallRefusedError, malformed, out_of_scope, phrase, unprocessable
from connector.actions.service import Service
from connector.errors import BadQuery, Denied, JournalError, JournalFull, SourceError, Unavailable
from connector.formats.json import encode
from connector.model import JsonObject

MAX_BODY: Final = 512 << 10
"""Bytes of a request: a thousand ids of 300 characters and some more."""

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"referrer-policy", b"no-referrer"),
)
_JOURNAL_SECONDS: Final = 30.0
"""Longest answer, the wait that was asked for aside: a journal that is away makes everything else wait."""

_AUDITED: Final = frozenset({401, 403, 409, 429})
"""Statuses of refusals that have an audit event; of operations that change something every one has."""

OPERATION_KINDS: Final = {
    "move_messages": Kind.MOVE,
    "release_messages": Kind.RELEASE,
    "submit_messages": Kind.SUBMIT,
    "block_sender": Kind.BLOCK,
    "unblock_sender": Kind.UNBLOCK,
}
"""The kind of action by the operation that requests it."""
_PARAMETER: Final = re.compile(r"\{([a-z_]+)\}")

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


class _Answer:
    """A response: status, content, its type and further headers."""

    __slots__ = ("content", "headers", "media", "status")

    def __init__(self, status: int, content: bytes, media: str, headers: Headers = ()) -> None:
        self.status = status
        self.content = content
        self.media = media
        self.headers = headers


class _Call:
    """One call: its operation, caller and parsed parameters."""

    __slots__ = ("caller", "operation", "path", "query")

    def __init__(
        self, operation: Operation, caller: Caller, path: Mapping[str, str], query: JsonObject
    ) -> None:
        self.operation = operation
        self.caller = caller
        self.path = path
        self.query = query

    @property
    def wait(self) -> float:
        """Seconds that the answer may be waited for."""
        return float(str(self.query.get("wait", "0")).removesuffix("s"))


class ActionsApp:
    """The HTTP API.

    Args:
        service: carries out the calls.
        events: answers pulls.
        tokens: recognises callers.
        failed: called for an error that nothing foresaw.
    """

    def __init__(
        self, service: Service, events: Events, tokens: Tokens, failed: Callable[[Exception], None]
    ) -> None:
        self._service = service
        self._events = events
        self._tokens = tokens
        self._failed = failed
        self._routes = [(_pattern(operation.path), operation) for operation in OPERATIONS]
        self._reads: dict[str, Callable[[_Call], Awaitable[JsonObject]]] = {
            "search_messages": lambda call: service.search(call.caller, call.query),
            "get_message": lambda call: service.message(call.caller, call.path["message_id"], call.query),
            "list_actions": self._list,
            "pull_events": lambda call: events.pull(call.caller, call.query, call.wait),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        try:
            answer = await self._answer(scope, receive)
        except Exception as error:  # noqa: BLE001, a bug must not end the connection without an answer
            self._failed(error)
            answer = _problem(CallRefusedError(500, "internal", "an unexpected error; the log names it"))
        content = b"" if scope["method"] == "HEAD" else answer.content
        length = str(len(answer.content)).encode()
        headers = [
            (b"content-type", answer.media.encode()),
            (b"content-length", length),
            *_HEADERS,
            *answer.headers,
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: Scope, receive: Receive) -> _Answer:
        operation, path, allowed = self._route(scope)
        if operation is None:
            if allowed:
                error = CallRefusedError(405, "method_not_allowed", f"allowed: {', '.join(allowed)}")
                return _problem(error, ((b"allow", ", ".join(allowed).encode()),))
            return _problem(CallRefusedError(404, "not_found", "no such path; /openapi.json lists all"))
        caller = self._tokens.caller(scope["headers"])
        told: JsonObject = {"method": scope["method"], "path": scope["path"][:300]}
        if scope.get("client"):
            told["client_ip"] = scope["client"][0]
        try:
            return await self._carry_out(operation, caller, path, told, scope, receive)
        except CallRefusedError as error:
            refused = error
        except SourceError as error:
            refused = _from_api(error)
        except JournalFull:
            why = "the journal has no room, so nothing is done; see the connector's status"
            refused = CallRefusedError(503, "journal_full", why, retry_after=60)
        except JournalError:
            refused = _journal_unavailable()
        if refused.status in _AUDITED or operation.destructive:
            told["operation"] = operation.id
            await self._service.refused("" if caller is None else caller.name, told, refused)
        return _problem(refused)

    def _route(self, scope: Scope) -> tuple[Operation | None, dict[str, str], list[str]]:
        """The operation of a request, the parameters of its path, and the methods that the path has."""
        raw = scope.get("raw_path") or scope["path"].encode()
        place = raw.partition(b"?")[0].decode("latin-1")
        found = [
            (match, operation)
            for pattern, operation in self._routes
            if (match := pattern.fullmatch(place)) is not None
        ]
        # What is spelled out goes before what is a parameter: /v1/messages/move is no message.
        parameters = min((len(operation.path_fields) for _, operation in found), default=0)
        found = [route for route in found if len(route[1].path_fields) == parameters]
        for match, operation in found:
            if operation.method == scope["method"]:
                return operation, {name: unquote(text) for name, text in match.groupdict().items()}, []
        return None, {}, sorted({operation.method for _, operation in found})

    async def _carry_out(
        self,
        operation: Operation,
        caller: Caller | None,
        path: dict[str, str],
        told: JsonObject,
        scope: Scope,
        receive: Receive,
    ) -> _Answer:
        if operation.permission is None:
            parse_query(operation.query, scope["query_string"])
            return _json(200, (openapi if operation.id == "get_openapi" else swagger)(_origin(scope)))
        if caller is None:
            raise CallRefusedError(401, "unauthenticated", "send Authorization: Bearer and a caller's token")
        if operation.permission and operation.permission not in caller.may:
            raise out_of_scope(f"{operation.permission} is not in your scope")
        query = parse_query(operation.query, scope["query_string"])
        parse_parameters(operation.path_fields, path.items())
        call = _Call(operation, caller, path, query)
        document = None if operation.body is None else await _document(scope, receive)
        try:
            async with asyncio.timeout(_JOURNAL_SECONDS + call.wait):
                return await self._do(call, document, told, scope)
        except TimeoutError:
            raise _journal_unavailable() from None

    async def _do(  # noqa: PLR0911, one line per kind of operation
        self, call: _Call, document: object, told: JsonObject, scope: Scope
    ) -> _Answer:
        operation, caller, path = call.operation, call.caller, call.path
        if operation.id in OPERATION_KINDS:
            return await self._act(call, document, told, scope)
        if operation.id in {"get_message_preview", "get_message_raw"}:
            return await self._content(call)
        if operation.id == "get_caller":
            return _json(200, self._service.describe(caller))
        if operation.id in self._reads:
            return _json(200, await self._reads[operation.id](call))
        name = path["action_id"]
        if operation.id == "get_action":
            action = await self._service.action(caller, name)
            return _json(200, shown(await self._service.wait(action, call.wait)))
        if operation.id == "cancel_action":
            return _json(200, shown(await self._service.cancel(caller, name)))
        return await self._action(await self._service.approve(caller, name), call.wait)

    async def _act(self, call: _Call, document: object, told: JsonObject, scope: Scope) -> _Answer:
        operation = call.operation
        if operation.body is None:
            parameters = {name: value for name, value in call.query.items() if name != "wait"}
            parameters |= call.path
        else:
            parameters = parse_body(operation.body, document)
        _add_key(parameters, scope)
        told |= audited_parameters(parameters)
        action = await self._service.request(call.caller, OPERATION_KINDS[operation.id], parameters)
        return await self._action(action, call.wait)

    async def _action(self, action: Action, wait: float) -> _Answer:
        action = await self._service.wait(action, wait)
        status = HTTPStatus.OK if action.state in ENDED else HTTPStatus.ACCEPTED
        return _json(status, shown(action), ((b"location", f"/v1/actions/{action.id}".encode()),))

    async def _list(self, call: _Call) -> JsonObject:
        after, limit = call.query.get("after", 0), call.query.get("limit", 100)
        return await self._service.page(call.caller, after, limit, call.query.get("state"))

    async def _content(self, call: _Call) -> _Answer:
        read = self._service.raw if call.operation.id == "get_message_raw" else self._service.preview
        name = call.path["message_id"]
        content = await read(call.caller, name, call.query)
        if call.operation.id == "get_message_preview":
            return _Answer(200, content, call.operation.media)
        # Never inline: the message may be malicious, and a name that it chose could be a path.
        safe = re.sub(r"[^0-9A-Za-z_-]", "_", name)[:100]
        disposition = f'attachment; filename="{safe}.eml"'.encode()
        return _Answer(200, content, call.operation.media, ((b"content-disposition", disposition),))


def _pattern(path: str) -> re.Pattern[str]:
    # No path of an operation has a character that means something in a regular expression, but the dot.
    return re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", path.replace(".", r"\.")))


async def _document(scope: Scope, receive: Receive) -> object:
    """The JSON body; raises ``CallRefusedError`` for one that is too large, of another type, or no JSON."""
    headers = dict(scope["headers"])
    media = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media != b"application/json":
        raise CallRefusedError(415, "not_json", "send Content-Type: application/json")
    content = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise malformed("", "the request ended early")
        content += message.get("body", b"")
        more = message.get("more_body", False)
        if len(content) > MAX_BODY:
            raise CallRefusedError(413, "too_large", f"a request may have {MAX_BODY} bytes")
    try:
        document: object = orjson.loads(bytes(content))
    except orjson.JSONDecodeError:
        raise malformed("", "the body is no JSON in UTF-8") from None
    return document


def _add_key(parameters: JsonObject, scope: Scope) -> None:
    """Take the name of the request from the header ``Idempotency-Key`` where the request does not say."""
    keys = [value.decode("latin-1") for name, value in scope["headers"] if name == b"idempotency-key"]
    if not keys:
        return
    if len(keys) > 1 or not re.fullmatch(r"[!-~]{1,200}", keys[0]):
        raise malformed("Idempotency-Key", "expected one key of 1 to 200 printable ASCII characters")
    if parameters.setdefault("request_id", keys[0]) != keys[0]:
        raise unprocessable("Idempotency-Key", "differs from request_id")


def _origin(scope: Scope) -> str:
    """The URL that the client used, as far as it can be believed."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    host = (
        hosts[0] if len(hosts) == 1 and re.fullmatch(r"[0-9A-Za-z.:\[\]-]{1,200}", hosts[0]) else "localhost"
    )
    return f"{scope.get('scheme', 'http')}://{host}"


def _journal_unavailable() -> CallRefusedError:
    why = "the journal cannot be reached: ask again, under the same request_id"
    return CallRefusedError(503, "journal_unavailable", why, retry_after=10)


def _from_api(error: SourceError) -> CallRefusedError:
    if isinstance(error, (BadQuery, Denied)):
        return CallRefusedError(502, "api_refused", str(error))
    after = error.after if isinstance(error, Unavailable) else None
    return CallRefusedError(503, "api_unavailable", str(error), retry_after=after or 10)


def _json(status: int, value: JsonObject, headers: Headers = ()) -> _Answer:
    return _Answer(status, encode(value), "application/json", headers)


def _problem(error: CallRefusedError, headers: Headers = ()) -> _Answer:
    body: JsonObject = {
        "status": error.status,
        "title": phrase(error.status),
        "code": error.code,
        "detail": error.detail,
    }
    if error.pointer:
        body["pointer"] = error.pointer
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers = (*headers, (b"www-authenticate", b'Bearer realm="email-connector actions"'))
    if error.retry_after is not None:
        headers = (*headers, (b"retry-after", str(max(1, round(error.retry_after))).encode()))
    return _Answer(error.status, encode(body), MEDIA, headers)
