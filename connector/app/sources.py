"""From settings to sources: one client per account, one budget per credential."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from connector.errors import ConfigurationError, Problem
from connector.interfaces import Clock, KeyValueStore, Observe
from connector.net.http import HttpClient
from connector.settings import Account, Loaded, Settings
from connector.source.budget import Budget
from connector.source.client import CloudflareSource
from connector.source.credentials import Credentials, KeyPair, Token

Sources = Mapping[str, CloudflareSource]
Budgets = dict[tuple[str, int, timedelta], Budget]


@asynccontextmanager
async def open_sources(
    settings: Settings,
    notes: KeyValueStore | None,
    *,
    observe: Observe,
    clock: Clock,
    kept: Budgets | None = None,
) -> AsyncIterator[Sources]:
    """A source per account name, for as long as the block runs.

    Accounts that sign in with the same credential share its budget: Cloudflare counts per credential.
    The budget's settings are those of the first of them. A budget that is in *kept* goes on as it is, so
    that a reload does not fill it; new ones are put there.
    """
    kept = {} if kept is None else kept
    budgets: dict[str, Budget] = {}
    sources: dict[str, CloudflareSource] = {}
    async with AsyncExitStack() as stack:
        for name, account in settings.accounts.items():
            credentials = credentials_of(account)
            key = _name_of(credentials)
            if key not in budgets:
                asked = (key, account.budget.requests, account.budget.window)
                if asked not in kept:
                    kept[asked] = _budget(key, account, notes, observe, clock)
                budgets[key] = kept[asked]
            http = HttpClient(tls=account.tls, proxy=account.proxy)
            stack.push_async_callback(http.close)
            sources[name] = CloudflareSource(
                account_id=account.account_id,
                credentials=credentials,
                base_url=account.base_url,
                http=http,
                budget=budgets[key],
                observe=observe,
                clock=clock,
                notes=notes,
            )
        yield sources


def check_http_clients(loaded: Loaded) -> None:
    """Raise ``ConfigurationError`` for every account that ``open_sources`` could make no client for.

    Certificates and proxies are used when a client is made: too late for a reload that must change nothing.
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
    """How the account signs in."""
    if account.api_token is not None:
        return Token(account.api_token)
    if account.email is None or account.api_key is None:
        raise AssertionError("unreachable: the settings ask for one way to sign in")
    return KeyPair(account.email, account.api_key)


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


def _name_of(credentials: Credentials) -> str:
    """A name for the credential in the journal that does not give it away."""
    secret = credentials.secret.reveal().encode()
    return hashlib.scrypt(secret, salt=b"email-connector", n=1 << 12, r=8, p=1, dklen=8).hex()
