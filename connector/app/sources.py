"""API clients from settings: one client per account, one request budget per credential."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from connector.errors import ConfigurationError, Problem
from connector.interfaces import Clock, KeyValueStore, Observe
from connector.model import SearchSource
from connector.net.http import HttpClient
from connector.secret import Secret
from connector.settings import Account, Loaded, Settings
from connector.settings.actions import ActionBudgetSettings
from connector.source.budget import Budget
from connector.source.client import CloudflareSource
from connector.source.credentials import ApiToken, Credentials, KeyPair
from connector.source.options import SourceOptions

Sources = Mapping[str, CloudflareSource]
Budgets = dict[tuple[str, int, timedelta], Budget]
"""Request budgets by credential (a hash), requests and window."""

_SPARE_BUDGETS = 16
"""Unused budgets kept across reloads: a credential that comes back must not find its window empty. More
would be a leak where tokens rotate."""


@asynccontextmanager
async def open_sources(
    settings: Settings,
    notes: KeyValueStore | Mapping[str, KeyValueStore] | None,
    *,
    observe: Observe,
    clock: Clock,
    budgets: Budgets | None = None,
) -> AsyncIterator[Sources]:
    """A source per account name, for as long as the block runs.

    Accounts with the same credential share its budget: Cloudflare counts requests per credential. The
    budget's settings are those of the first account. Budgets in *budgets* are reused, so that a reload does
    not refill them; new ones are added.
    """
    budgets = {} if budgets is None else budgets
    in_use: dict[str, Budget] = {}
    sources: dict[str, CloudflareSource] = {}
    compared = tuple(
        {
            name
            for search in settings.searches.values()
            if search.source is SearchSource.INVESTIGATE
            for name in search.watch
        }
    )
    async with AsyncExitStack() as stack:
        for name, account in settings.accounts.items():
            own_notes = notes[name] if isinstance(notes, Mapping) else notes
            credentials = credentials_of(account)
            key = name_of(credentials)
            if key not in in_use:
                terms = (key, account.budget.requests, account.budget.window)
                budget = budgets.pop(terms, None) or _budget(key, account, own_notes, observe, clock)
                budgets[terms] = in_use[key] = budget  # at the end: the most recently used
            http = HttpClient(tls=account.tls, proxy=account.proxy)
            stack.push_async_callback(http.close)
            sources[name] = CloudflareSource(
                account_id=account.account_id,
                credentials=credentials,
                base_url=account.base_url,
                http=http,
                budget=in_use[key],
                observe=observe,
                clock=clock,
                options=SourceOptions(compared=compared),
                notes=own_notes,
            )
        for terms in list(budgets)[: -len(in_use) - _SPARE_BUDGETS]:
            del budgets[terms]
        yield sources


def accounts_by_credential(settings: Settings) -> list[list[str]]:
    """Names of the accounts that share a credential, per credential."""
    sharing: dict[Secret, list[str]] = {}
    for name, account in settings.accounts.items():
        sharing.setdefault(credentials_of(account).secret, []).append(name)
    return list(sharing.values())


def check_http_clients(loaded: Loaded) -> None:
    """Raise ``ConfigurationError`` for every account whose HTTP client cannot be built.

    ``open_sources`` loads certificates when a reload has already stopped the running configuration: too late.
    """
    problems: list[Problem] = []
    for name, account in loaded.settings.accounts.items():
        try:
            HttpClient(tls=account.tls, proxy=account.proxy)
        except ConfigurationError as error:
            place = loaded.node.place(("accounts", name))
            problems += [
                Problem(f"accounts.{name}: {problem.message}", problem.position or place, problem.hint)
                for problem in error.problems
            ]
    if problems:
        raise ConfigurationError(*problems)


def credentials_of(account: Account) -> Credentials:
    """The credentials of *account*."""
    if account.api_token is not None:
        return ApiToken(account.api_token)
    if account.email is None or account.api_key is None:
        raise AssertionError("unreachable: settings require one sign-in method")
    return KeyPair(account.email, account.api_key)


def budget_of(account: Account, budgets: Budgets) -> Budget:
    """The budget that ``open_sources`` made for the account's credential."""
    key = name_of(credentials_of(account))
    return next(budget for terms, budget in reversed(budgets.items()) if terms[0] == key)


def action_budget(
    name: str,
    terms: ActionBudgetSettings,
    budgets: Budgets,
    *,
    notes: KeyValueStore | None,
    observe: Observe,
    clock: Clock,
) -> Budget:
    """The budget of an account's response actions; kept in *budgets*, so that a reload does not refill it."""
    key = (f"actions/{name}", terms.requests, terms.window)
    budget = budgets.pop(key, None) or Budget(
        key[0],
        requests=terms.requests,
        window=terms.window.total_seconds(),
        notes=notes,
        observe=observe,
        clock=clock,
    )
    budgets[key] = budget
    return budget


def _budget(
    key: str, account: Account, notes: KeyValueStore | None, observe: Observe, clock: Clock
) -> Budget:
    return Budget(
        key,
        requests=account.budget.requests,
        window=account.budget.window.total_seconds(),
        notes=notes,
        observe=observe,
        clock=clock,
    )


def name_of(credentials: Credentials) -> str:
    """A name for the credential in the journal that does not reveal it: a salted scrypt hash."""
    secret = credentials.secret.reveal().encode()
    return hashlib.scrypt(secret, salt=b"email-connector", n=1 << 12, r=8, p=1, dklen=8).hex()
