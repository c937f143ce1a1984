"""One account against a scripted server, on a loop that jumps over waiting times."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

from connector.errors import SourceError
from connector.facts import Fact
from connector.interfaces import KeyValueStore
from connector.model import Query, Window
from connector.net.http import HttpClient
from connector.net.tls import TlsOptions
from connector.secret import Secret
from connector.source.budget import Budget
from connector.source.client import CloudflareSource
from connector.source.credentials import ApiToken, Credentials
from connector.source.options import SourceOptions
from tests.support.jumping_loop import EPOCH, wall_clock
from tests.support.jumping_loop import run as run_jumping
from tests.support.scripted_http import Asked, Reply, Script, ScriptedServer, json_reply, scripted

T = TypeVar("T")
F = TypeVar("F", bound=Fact)

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
TOKEN = "canary-token-0123456789"
SEARCH = f"/client/v4/accounts/{ACCOUNT}/email-security/investigate"
POLL = "/client/v4/polls/7"
HOUR = Window(EPOCH - timedelta(hours=1), EPOCH)
SECOND = Window(EPOCH - timedelta(seconds=1), EPOCH)


@dataclass
class Account:
    """What a test needs of a running account."""

    source: CloudflareSource
    server: ScriptedServer
    budget: Budget
    clock: Callable[[], datetime]
    facts: list[Fact] = field(default_factory=list)

    async def ids(self, query: Query | None = None, window: Window = HOUR) -> list[str]:
        return [record.id for page in await self.pages(query, window) for record in page]

    async def pages(self, query: Query | None = None, window: Window = HOUR) -> list[Sequence[Any]]:
        walk = self.source.search(query or Query(), window)
        async with contextlib.aclosing(walk) as pages:
            return [page.records async for page in pages]

    async def read_until_error(
        self, query: Query | None = None, window: Window = HOUR
    ) -> tuple[list[str], SourceError]:
        """The ids that a walk gave before it failed, and its error."""
        read: list[str] = []
        try:
            async for found in self.source.search(query or Query(), window):
                read += [record.id for record in found.records]
        except SourceError as error:
            return read, error
        raise AssertionError("the walk ended as if nothing was wrong")

    def seen(self, kind: type[F]) -> list[F]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    @property
    def searches(self) -> list[Asked]:
        return [asked for asked in self.server.asked if asked.path == SEARCH]


@contextlib.asynccontextmanager
async def account(
    script: Script,
    *,
    credentials: Credentials | None = None,
    options: SourceOptions | None = None,
    requests: int = 100_000,
    notes: KeyValueStore | None = None,
    max_body: int = 1 << 20,
    clock: Callable[[], datetime] | None = None,
    served_with: ssl.SSLContext | None = None,
    tls: TlsOptions | None = None,
    proxy: str | None = None,
    origin: str | None = None,
) -> AsyncIterator[Account]:
    facts: list[Fact] = []
    clock = clock or wall_clock(asyncio.get_running_loop())
    async with scripted(script, tls=served_with) as server:
        http = HttpClient(timeout=30, max_body=max_body, tls=tls, proxy=proxy)
        budget = Budget("prod", requests=requests, notes=notes, observe=facts.append, clock=clock)
        source = CloudflareSource(
            account_id=ACCOUNT,
            credentials=credentials or ApiToken(Secret(TOKEN)),
            base_url=f"{origin or server.url}/client/v4",
            http=http,
            budget=budget,
            observe=facts.append,
            clock=clock,
            options=options,
            random=lambda: 0.5,
        )
        try:
            yield Account(source, server, budget, clock, facts)
        finally:
            await http.close()


def run(story: Coroutine[Any, Any, T]) -> T:
    return run_jumping(story, grace=0.02)


def rows(first: int, count: int) -> list[dict[str, Any]]:
    return [{"id": f"record-{number}", "subject": "hello"} for number in range(first, first + count)]


def page(
    result: object,
    *,
    next: object = None,  # noqa: A002, the name that the API gives it
    status: int = 200,
    info: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    reported = {"count": len(result) if isinstance(result, list) else 0, "next": next, **(info or {})}
    document = {"success": True, "errors": [], "messages": [], "result": result, "result_info": reported}
    return json_reply(document, status, **(headers or {}))


def failure(status: int, code: int | None = None, message: str = "", **headers: str) -> Reply:
    errors = [{"code": code, "message": message}] if code is not None else []
    return json_reply({"success": False, "errors": errors, "result": None}, status, **headers)


def deferred(location: str | None = POLL, **headers: str) -> Reply:
    given = {"location": location} if location is not None else {}
    return page([], status=202, headers={**given, **headers})


def html(status: int, title: str = "Bad gateway", **headers: str) -> Reply:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    body = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Reply(status, body.encode(), {"content-type": "text/html; charset=UTF-8", **named})


def http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def in_turn(*replies: Reply) -> Script:
    """Give *replies* one after the other; the last one for ever."""
    waiting = list(replies)
    return lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]
