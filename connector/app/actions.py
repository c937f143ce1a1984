"""Response actions from settings: callers, the API of each account, the HTTP listener, the command handlers.

Imported only where actions are configured.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from urllib.parse import quote

from connector.actions.action import Kind, shown
from connector.actions.audit import audited_parameters
from connector.actions.callers import BlockRules, Caller, operator
from connector.actions.events import Events
from connector.actions.executor import Executor
from connector.actions.fields import Field, parse_body
from connector.actions.http.app import OPERATION_KINDS, ActionsApp
from connector.actions.http.tokens import Tokens
from connector.actions.ledger import Ledger
from connector.actions.operations import OPERATIONS
from connector.actions.options import ActionOptions
from connector.actions.refusals import CallRefusedError
from connector.actions.service import Account as ActionAccount
from connector.actions.service import Service
from connector.app.build import ActionsSocket, App
from connector.app.control.requests import invalid_request
from connector.app.control.server import Handler
from connector.app.replicas import Keeper
from connector.app.source_mappers import audit_mapper, mapper_of_any_source, with_audit
from connector.app.sources import Budgets, action_budget, budget_of, credentials_of
from connector.app.tasks import describe_error
from connector.app.work import ACTIONS, perform_while_held
from connector.errors import ConfigurationError, ConnectorError
from connector.facts import ActionsStarted, WorkerFailed
from connector.interfaces import Clock, Journal, KeyValueStore, Mapper, Observe
from connector.mapping import Library
from connector.model import JsonObject, Priority
from connector.net.http import HttpClient
from connector.net.listener import ConnectionLimits, Listener
from connector.settings import Account, Settings
from connector.settings.actions import ActionSettings, CallerSettings
from connector.source.actions import CloudflareActions
from connector.source.budget import ActionBudget, Budget
from connector.source.client import CloudflareSource
from connector.source.credentials import ApiToken, Credentials
from connector.source.options import SourceOptions
from connector.source.request import Requester
from connector.source.server_clock import ServerClock
from connector.telemetry.endpoint import address_of

_ANSWER_SECONDS = 75.0
"""Longest answer: the longest wait, and a search or check before it."""

_FINISH_SECONDS = 10.0
"""Longest wait at the end for requests under way; what is cut short is looked up at the next start."""

_COMMAND_WAIT = 20.0
"""Longest wait of a command for the end of an action, below the limit of the control socket."""

_RETRY_FOR = 20.0
"""Seconds for which one request is repeated; the executor tries again later."""


def caller_of(name: str, settings: CallerSettings) -> Caller:
    """The caller of that name."""
    block = settings.block
    return Caller(
        name=name,
        may=frozenset(settings.may),
        accounts=None if settings.accounts == "all" else frozenset(settings.accounts),
        destinations=frozenset(settings.destinations),
        recipients=settings.recipients,
        block=BlockRules(frozenset(block.types), block.never, block.expires_max, block.regex),
        ids_per_call=settings.ids_per_call,
        per_hour=settings.per_hour,
        approval=settings.approval,
        approval_for=frozenset(settings.approval_for),
    )


@asynccontextmanager
async def run_actions(
    app: App,
    settings: ActionSettings,
    journal: Journal,
    keeper: Keeper,
    budgets: Budgets,
    commands: dict[str, Handler],
) -> AsyncIterator[None]:
    """Take requests while the block runs, and perform actions while this replica is the one that does."""
    core, observe = app.core, app.core.observe
    options = ActionOptions(approval=settings.approval_expires, keep=settings.keep)
    async with open_accounts(
        app.settings, settings, journal, budgets,
        observe=observe, clock=core.clock, may_send=lambda: keeper.is_valid(ACTIONS),
    ) as accounts:  # fmt: skip
        ledger = Ledger(journal, observe, core.clock)
        own = Ledger(journal.fenced(keeper.proofs(ACTIONS)), observe, core.clock, ledger.changed)
        apis = {name: one.performing for name, one in accounts.items()}
        executor = Executor(own, apis, observe, options)
        service = Service(ledger, executor, accounts, journal, observe, options, is_alone=keeper.is_alone)
        names = {account.account_id: name for name, account in app.settings.accounts.items()}
        events = Events(journal, names, partial(_mapper, app.settings, names))
        callers = [(caller_of(name, one), one.token.reveal()) for name, one in settings.callers.items()]
        handler = ActionsApp(service, events, Tokens(callers), partial(_report, observe))
        not_configured = commands["action"]
        commands["action"] = Commands(service).handle
        performing = perform_while_held(keeper, executor.run, executor.look, observe)
        tasks = [asyncio.create_task(performing)]
        url = ""
        if core.actions is not None and core.actions.is_open:
            url = address_of(core.actions.sock, tls=core.actions.tls is not None)
            tasks.append(asyncio.create_task(_listener(core.actions, handler).serve()))
        observe(ActionsStarted(url, len(callers)))
        try:
            yield
        finally:
            commands["action"] = not_configured
            for task in tasks[1:]:
                task.cancel()
            await executor.finish(_FINISH_SECONDS)
            tasks[0].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def open_accounts(
    settings: Settings,
    actions: ActionSettings,
    notes: KeyValueStore,
    budgets: Budgets,
    *,
    observe: Observe,
    clock: Clock,
    may_send: Callable[[], bool] = lambda: True,
) -> AsyncIterator[Mapping[str, ActionAccount]]:
    """The API of every account, as actions use it; they are performed while *may_send*."""
    async with AsyncExitStack() as stack:
        accounts: dict[str, ActionAccount] = {}
        for name, account in settings.accounts.items():
            http = HttpClient(tls=account.tls, proxy=account.proxy)
            stack.push_async_callback(http.close)
            own = action_budget(name, actions.budget, budgets, notes=notes, observe=observe, clock=clock)
            shared = budget_of(account, budgets)
            build = partial(_api, account, http, own, shared, observe, clock)
            accounts[name] = ActionAccount(
                account.account_id,
                api=build(Priority.LIVE, lambda: True),
                performing=build(Priority.ACTION, may_send),
            )
        yield accounts


def _api(
    account: Account,
    http: HttpClient,
    own: Budget,
    shared: Budget,
    observe: Observe,
    clock: Clock,
    turn: Priority,
    may_send: Callable[[], bool],
) -> CloudflareActions:
    reading = ActionBudget(own, shared, shared, turn, may_send)
    writing = ActionBudget(own, shared, own, turn, may_send)
    base = f"{account.base_url}/accounts/{quote(account.account_id, safe='')}/email-security"
    options = SourceOptions(retry_for=_RETRY_FOR)
    server = ServerClock(account.account_id, clock, observe)
    source = CloudflareSource(
        account_id=account.account_id,
        credentials=credentials_of(account),
        base_url=account.base_url,
        http=http,
        budget=reading,
        observe=observe,
        clock=clock,
        options=options,
    )

    def requester(credentials: Credentials, budget: ActionBudget) -> Requester:
        return Requester(
            account.account_id, credentials, http, budget, server,
            observe=observe, clock=clock, options=options, random=random.random,
        )  # fmt: skip

    writer = None if account.write_token is None else requester(ApiToken(account.write_token), writing)
    return CloudflareActions(source, requester(credentials_of(account), reading), writer, base)


def _listener(socket: ActionsSocket, handler: ActionsApp) -> Listener:
    limits = ConnectionLimits(answer_seconds=_ANSWER_SECONDS)
    return Listener(socket.sock, handler, limits, socket.tls, lambda _: None, date_header=True)


def _mapper(settings: Settings, names: Mapping[str, str], mapping: str) -> Mapper | None:
    """The mapper of that mapping, with that of audit events in its format; ``None`` where there is none."""
    own = settings.mappings.directory
    library = Library((own,) if own else ())
    if mapping not in library.names():
        return None
    try:
        pack = library.load(mapping)
    except ConfigurationError:
        return None
    return with_audit(mapper_of_any_source(library, pack, names), audit_mapper(library, pack, names))


def _report(observe: Observe, error: Exception) -> None:
    observe(WorkerFailed("actions API", describe_error(error), 0.0))


class Commands:
    """The control command ``action``: what the command line asks for, as the caller ``operator:USER``."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def handle(self, request: JsonObject) -> object:
        """Carry out ``do``: request, list, show, approve or cancel, for ``user``."""
        caller = operator(str(request.get("user") or "unknown"))
        try:
            return await self._carry_out(caller, request)
        except CallRefusedError as error:
            if request.get("do") in _CHANGING:
                await self._service.refused(caller.name, _audited(request), error)
            raise ConnectorError(error.detail) from None

    async def _carry_out(self, caller: Caller, request: JsonObject) -> object:
        service, name = self._service, str(request.get("id", ""))
        match request.get("do"):
            case "request":
                kind = Kind(str(request.get("kind")))
                action = await service.request(caller, kind, parse_body(_FIELDS[kind], request.get("body")))
                return shown(await service.wait(action, _COMMAND_WAIT if request.get("wait") else 0))
            case "list":
                return await service.page(caller, int(request.get("after", 0)), 200, request.get("state"))
            case "show":
                return shown(await service.action(caller, name))
            case "approve":
                return shown(await service.approve(caller, name))
            case "cancel":
                return shown(await service.cancel(caller, name))
        raise invalid_request()


_CHANGING = frozenset({"request", "approve", "cancel"})
"""What a command may ``do`` that changes something: its refusal has an audit event."""


def _audited(request: JsonObject) -> JsonObject:
    """What the audit event of a refused command says of the command."""
    body = request.get("body")
    known = body if isinstance(body, dict) else {}
    audited = audited_parameters(known)
    ids = audited["ids"] or ([str(request["id"])] if "id" in request else [])
    return {**audited, "ids": ids, "operation": f"action {request.get('kind', request['do'])}"}


_FIELDS: Mapping[Kind, tuple[Field, ...]] = {
    kind: (operation.body or (*operation.query, *operation.path_fields))
    for kind, operation in (
        (kind, next(one for one in OPERATIONS if one.id == name)) for name, kind in OPERATION_KINDS.items()
    )
}
"""Members of a request by kind: the same as over HTTP."""
