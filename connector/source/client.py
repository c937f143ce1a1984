"""``CloudflareSource``: searches, lookups and the clock of one account of the Email Security API."""

from __future__ import annotations

import random as chance
import re
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import cast
from urllib.parse import quote

from connector.errors import BadQuery, SearchIncomplete, SourceError, Unavailable
from connector.facts import PageDecoded, SearchContinued
from connector.interfaces import Clock, KeyValueStore, Observe, Source
from connector.model import JsonObject, Page, Priority, Query, Record, SearchPosition, SearchSource, Window
from connector.net.http import HttpClient
from connector.source.budget import RequestBudget
from connector.source.catalog import ENDPOINTS
from connector.source.credentials import ApiToken, Credentials
from connector.source.deferred import DeferredSearches
from connector.source.enrichment import CloudflareEnricher, Endpoint
from connector.source.error_mapping import ROUTE_CODES
from connector.source.filters import query_parameters
from connector.source.options import SourceOptions
from connector.source.page_size import PageSize
from connector.source.pages import ANSWER_TOO_LARGE, is_encodable
from connector.source.paging import PagingGuard, next_cursor
from connector.source.probe import ProbeResult, verify
from connector.source.raw_page import PageSplitter
from connector.source.records import has_generated_id, parse_record, path_segment
from connector.source.request import ApiRequest, ApiResponse, Requester
from connector.source.result_order import ResultOrder
from connector.source.row_source import Parameters, RowSource
from connector.source.server_clock import ServerClock
from connector.source.windows import (
    PROBE_ATTEMPTS,
    SECOND,
    aborted,
    check_not_future,
    format_time,
    last_second,
    refused_cursor,
    widened,
)

_CONTINUABLE = frozenset({"full_page_without_next", "refused_cursor", "too_many_pages", ANSWER_TOO_LARGE})
"""Reasons that say nothing against the pages before: the search continues behind them. A search that loops
is not among them, since its pages may not be what was asked for."""


BASE_URL = "https://api.cloudflare.com/client/v4"

_START_IN_FUTURE = re.compile(r"\bstart\b.*\bfuture\b", re.IGNORECASE)
_EARLIER_STARTS = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))
"""How much earlier to start when the API says the start lies in the future; that only returns more."""


class CloudflareSource:
    """Implements ``interfaces.Source`` and ``interfaces.Lookup`` for one account.

    Args:
        account_id: Cloudflare's id of the account.
        credentials: token or key pair.
        base_url: URL of the API, ``/client/v4`` included.
        http: the HTTP client; the caller closes it.
        budget: shared by all sources that use the same credential.
        observe: takes facts.
        clock: the local wall clock.
        options: timeouts and retry limits.
        random: returns a number in ``[0, 1)``, for jitter.
        notes: where the page size survives a restart.
    """

    def __init__(
        self,
        *,
        account_id: str,
        credentials: Credentials,
        http: HttpClient,
        budget: RequestBudget,
        observe: Observe,
        clock: Clock,
        base_url: str = BASE_URL,
        options: SourceOptions | None = None,
        random: Callable[[], float] = chance.random,
        notes: KeyValueStore | None = None,
    ) -> None:
        self._account = account_id
        self._base = base_url.rstrip("/")
        self._url = f"{self._base}/accounts/{quote(account_id, safe='')}/email-security/investigate"
        self._observe = observe
        self._options = options or SourceOptions()
        self._server = ServerClock(account_id, clock, observe)
        self._requester = Requester(
            account_id, credentials, http, budget, self._server,
            observe=observe, clock=clock, options=self._options, random=random,
        )  # fmt: skip
        self._pending = DeferredSearches(
            self._requester, observe=observe, clock=clock, options=self._options, random=random
        )
        self._is_token = isinstance(credentials, ApiToken)
        self._page_size: int | None = None
        self._disordered = False
        self._sizing = PageSize(account_id, notes)

    def now(self) -> datetime:
        """The API's clock; the local one before the first response."""
        return self._server.now()

    def forget_time(self) -> None:
        """Forget the API's clock, which contradicts what is known: the next response tells it anew."""
        self._server.forget()

    def refresh(self) -> bool:
        """Read the credential from its source again; returns whether it changed."""
        return self._requester.refresh()

    def restore_pause(self) -> None:
        """Look for a stored pause before the next request: another process may have met a rate limit."""
        self._requester.restore_pause()

    async def resume(self) -> bool:
        """End a rate limit's pause now; returns whether there was one."""
        return await self._requester.resume()

    def reading(self, source: SearchSource) -> Source:
        """What a search with that *source* reads, within the same budget."""
        endpoint = ENDPOINTS.get(source)
        if endpoint is None:
            return self
        return RowSource(self._requester, endpoint, self._base, observe=self._observe, options=self._options)

    async def verify(
        self, sources: Collection[SearchSource] = (SearchSource.INVESTIGATE,)
    ) -> tuple[ProbeResult, ...]:
        """Probe credential, permission for each of *sources*, and clock; costs a request each."""
        return await verify(self._requester, self._base, self._url, sources=sources, is_token=self._is_token)

    def enricher(
        self,
        endpoints: Sequence[Endpoint],
        *,
        wanted: Callable[[Record], bool] = lambda _: True,
        seconds: float = 30.0,
    ) -> CloudflareEnricher:
        """Return an ``interfaces.Enricher`` that queries *endpoints* for the *wanted* records."""
        return CloudflareEnricher(
            self._requester, self._url, endpoints, observe=self._observe, selected=wanted, seconds=seconds
        )

    async def search(
        self, query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        """Yield all pages of *query* in *window*, or those left at *position*; see ``interfaces.Source``.

        The window is widened by one second at both ends. A search that ends early is continued behind its
        last record, if its records are in order of time so far (``ResultOrder``). Otherwise the reason of
        ``SearchIncomplete`` is a short class: ``repeated_cursor``, ``no_new_records``, ``refused_cursor``,
        ``full_page_without_next`` (the last page was full and nothing says whether that was all; never
        raised for a window of a second) and others; a shorter window may succeed. A window that ends in the
        server's future is ``Unavailable``: completing it would let a checkpoint pass records that are not
        there yet.
        """
        try:
            walked = query_parameters(query.filters)
        except ValueError as error:
            raise BadQuery(str(error), hint="correct the filters of this search") from None
        begun = position or SearchPosition(0, window)
        for part, filters in enumerate(walked[begun.part :], begun.part):
            left = begun.left if part == begun.part else window
            async with aclosing(self._search_one(filters, query, window, left)) as pages:
                async for page, rest in pages:
                    is_begun = part or rest != window
                    yield page.at(SearchPosition(part, rest) if is_begun else None)

    async def get(self, record_id: str, priority: Priority) -> Record | None:
        """Return one record as it is now; ``None`` when the API no longer knows it."""
        if has_generated_id(record_id):
            raise BadQuery("the record has no id of its own, so it cannot be looked up")
        ask = ApiRequest("record", f"{self._url}/{path_segment(record_id)}", accept=frozenset({200, 404}))
        reply = await self._requester.ask(ask, priority)
        if reply.status == 404:  # noqa: PLR2004
            self._check_route(reply)
            return None
        result = reply.envelope.result
        if isinstance(result, list) and len(result) == 1:
            result = result[0]
        if not isinstance(result, dict):
            raise Unavailable(
                "unusable response from the API: it does not contain the record", status=reply.status
            )
        if not is_encodable([result]):
            raise BadQuery("the record is nested too deeply", status=reply.status)
        return Record(record_id, parse_record(cast("JsonObject", result)).body)

    def _check_route(self, reply: ApiResponse) -> None:
        """Raise for a path the API does not know: such a 404 says nothing about the record."""
        for api_error in reply.envelope.api_errors:
            if api_error.code in ROUTE_CODES:
                raise BadQuery(
                    f"the API does not know this path: {api_error.text}",
                    status=reply.status, code=api_error.code, ray=reply.headers.get("cf-ray"),
                    hint="check account_id and base_url",
                )  # fmt: skip

    async def _search_one(
        self, filters: Parameters, query: Query, window: Window, left: Window
    ) -> AsyncGenerator[tuple[Page, Window], None]:
        """Yield the pages of *left*, a part of *window*, each with what of *window* is left behind it."""
        while True:
            if self._disordered:
                left = window
            order = ResultOrder(left)
            progress = PagingGuard(
                query.per_page,
                pages_without_new=self._options.pages_without_new,
                max_pages=self._options.max_pages,
            )
            try:
                check_not_future(left, self._server)
                async with aclosing(self._pages(filters, query, left, progress, order)) as pages:
                    async for page in pages:
                        self._disordered = self._disordered or order.is_disordered
                        yield page, window if self._disordered else order.left() or left
            except SourceError as failure:
                rest = self._left_after(failure, order)
                if rest is not None:
                    left = rest
                    self._observe(SearchContinued(self._account, failure.reason, progress.pages))
                    continue
                error = await aborted(
                    failure,
                    partial(self._search_one_second, filters, query, window),
                    account=self._account,
                    pages=progress.pages,
                    observe=self._observe,
                )
                if error is failure:
                    raise
                raise error from failure
            if left == window or not self._disordered:
                return
            # What was left out lies before records that came in order, which was a coincidence after all.

    def _left_after(self, failure: SourceError, order: ResultOrder) -> Window | None:
        """What of a search that failed in the middle is left to read; ``None``: all of it."""
        if self._disordered:
            return None  # seen once, an order may be chance
        continuable = isinstance(failure, SearchIncomplete) and failure.reason in _CONTINUABLE
        return order.left() if continuable else None

    async def _pages(
        self, filters: Parameters, query: Query, window: Window, progress: PagingGuard, order: ResultOrder
    ) -> AsyncGenerator[Page, None]:
        per_page = progress.per_page = await self._sizing.choose(query.per_page)
        cursor: str | None = ""
        fixed: Parameters = ()
        while cursor is not None:
            async with self._sizing.processing(per_page):
                try:
                    if cursor:
                        reply = await self._next_page(fixed, cursor, query.priority)
                    else:
                        sized = replace(query, per_page=per_page)
                        reply, fixed = await self._first_page(filters, sized, window)
                except SearchIncomplete as error:
                    if error.reason != ANSWER_TOO_LARGE or not await self._sizing.shrink(per_page) or cursor:
                        raise
                    per_page = progress.per_page = await self._sizing.choose(query.per_page)
                    continue
                check_not_future(window, self._server)
                self._sizing.learn(per_page, query.per_page, reply.bytes)
                rows = reply.envelope.row_count or 0
                may_continue = reply.envelope.info.get("next") or progress.may_be_cut(rows, self._page_size)
                ids: list[str] = []
                for page in self._parse_page(reply, per_page):
                    ids += [record.id for record in page.listed]
                    if may_continue:
                        order.add(page.listed)
                    yield page
                cursor = next_cursor(reply.envelope.info, self._url)
                # The body of a large page must be gone before the next one arrives.
                del reply
            progress.page(ids, cursor)
        if progress.may_be_cut(rows, self._page_size) and window.length > SECOND:
            raise SearchIncomplete(
                "full_page_without_next",
                hint="the last page was full; a shorter window shows whether more records exist",
            )

    async def _search_one_second(self, filters: Parameters, query: Query, window: Window) -> None:
        """Ask for one record of the last second of *window*."""
        await self._first_page(
            filters, replace(query, per_page=1), last_second(window), attempts=PROBE_ATTEMPTS
        )

    async def _first_page(
        self, filters: Parameters, query: Query, window: Window, attempts: int | None = None
    ) -> tuple[ApiResponse, Parameters]:
        """Return the first page and its parameters, which all further pages repeat."""
        start, end = widened(window, self._server)
        for earlier in (timedelta(0), *_EARLIER_STARTS):
            fixed = (
                *filters,
                ("start", format_time(start - earlier)),
                ("end", format_time(end)),
                ("per_page", str(query.per_page)),
            )
            try:
                return await self._fetch(fixed, query.priority, attempts=attempts), fixed
            except BadQuery as error:
                if not _START_IN_FUTURE.search(error.reason) or earlier == _EARLIER_STARTS[-1]:
                    raise
        raise AssertionError("unreachable: the last try returns or raises")

    async def _next_page(self, fixed: Parameters, cursor: str, priority: Priority) -> ApiResponse:
        try:
            return await self._fetch((*fixed, ("cursor", cursor)), priority, wait_for_limit=True)
        except BadQuery as error:
            raise refused_cursor(error) from error

    async def _fetch(
        self,
        params: Parameters,
        priority: Priority,
        *,
        wait_for_limit: bool = False,
        attempts: int | None = None,
    ) -> ApiResponse:
        ask = ApiRequest(
            "search",
            self._url,
            params,
            expects_list=True,
            splittable=True,
            wait_for_limit=wait_for_limit,
            attempts=attempts,
        )

        async def again() -> ApiResponse:
            return await self._requester.ask(replace(ask, wait_for_limit=False), priority)

        reply = await self._requester.ask(ask, priority)
        if reply.status == 202:  # noqa: PLR2004
            return await self._pending.result(reply, again, priority)
        return reply

    def _parse_page(self, reply: ApiResponse, asked: int) -> Iterator[Page]:
        """Decode a response slice by slice; at least one page, which may be empty."""
        count = without_id = 0
        lenient = False
        raw = reply.envelope.raw
        if raw is not None and (listed := raw.listed()) is not None:
            yield Page(listed, check=partial(self._check, raw.splitter, len(listed), reply.bytes))
            self._learn_page_size(reply, asked)
            return
        for part in reply.envelope.slices():
            count += len(part.records)
            without_id += sum(has_generated_id(record.id) for record in part.records)
            lenient = lenient or part.lenient
            yield Page(part.records, part.quarantined)
        self._observe(PageDecoded(self._account, count, reply.bytes, lenient, without_id))
        self._learn_page_size(reply, asked)

    def _check(self, splitter: PageSplitter, listed: int, size: int, records: Sequence[Record]) -> Page:
        """Decode *records*, which are left of a page of *listed* records and *size* bytes: most are new."""
        part = splitter.check(records)
        count = listed - len(records) + len(part.records)
        without_id = sum(has_generated_id(record.id) for record in part.records)
        self._observe(PageDecoded(self._account, count, size, part.lenient, without_id))
        return Page(part.records, part.quarantined)

    def _learn_page_size(self, reply: ApiResponse, asked: int) -> None:
        size = reply.envelope.info.get("per_page")
        if isinstance(size, int) and size > (reply.envelope.row_count or 0):
            # More than the rows of its own page, so the number is a page size and not a count.
            self._page_size = size if size < asked else None
