"""``RowSource``: lists of the API other than messages, page by page, as records of a search.

What differs between the lists is a ``RowEndpoint``: its address, its parameters, how its pages follow each
other, and what of a row is its id and its time. A row without an id or a time cannot be told from others or
placed in a window: it is quarantined.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Protocol, TypeAlias

import orjson

from connector.errors import BadQuery, Denied, SourceError
from connector.facts import PageDecoded
from connector.interfaces import Observe
from connector.model import (
    Body,
    FilterValue,
    JsonObject,
    Page,
    Quarantined,
    Query,
    Record,
    SearchPosition,
    SearchSource,
    Window,
    mark_source,
)
from connector.moments import known_moment
from connector.source.error_mapping import CREDENTIAL_HINT, credential_hint
from connector.source.options import SourceOptions
from connector.source.pages import PageSlice, resolve_duplicates
from connector.source.paging import PagingGuard
from connector.source.records import NOT_AN_OBJECT
from connector.source.request import ApiRequest, ApiResponse, Requester
from connector.source.windows import (
    PROBE_ATTEMPTS,
    SECOND,
    aborted,
    check_not_future,
    last_second,
    refused_cursor,
    widened,
)
from connector.values import dataclass

Parameters: TypeAlias = tuple[tuple[str, str], ...]

WITHOUT_ID, WITHOUT_TIME = "without_id", "without_time"
"""Reasons of quarantined rows."""

_PAGES_WITHOUT_NEW = 2
"""Consecutive pages without a new row before a search is aborted: the list ignores what it is asked for."""


@dataclass(frozen=True, slots=True)
class PageRead:
    """What was read so far: the *number* of pages, *rows* of the last one and of all, its ``result_info``.

    *before* is the ``result_info`` of the page before, *asked* the page size that was asked for; *divisible*:
    whether a shorter window can be asked for.
    """

    number: int
    rows: int
    total: int
    asked: int
    info: Mapping[str, object]
    before: Mapping[str, object]
    divisible: bool

    @property
    def is_full(self) -> bool:
        """Whether the page is as large as pages get, so that more rows may follow."""
        size = self.info.get("per_page")
        limit = size if isinstance(size, int) and 0 < size < self.asked else self.asked
        return self.rows >= limit


class RowEndpoint(Protocol):
    """One list of the API."""

    @property
    def source(self) -> SearchSource:
        """Where records of it are from; also the endpoint's name in facts."""
        ...

    @property
    def permission(self) -> str:
        """What the token needs, as the dashboard calls it."""
        ...

    def url(self, base: str, account: str) -> str:
        """The address for *account*, an id that is safe in a path."""
        ...

    def parameters(
        self, filters: Mapping[str, FilterValue], start: datetime, end: datetime, size: int
    ) -> Parameters:
        """The parameters that all pages share. Raises ``ValueError`` for a filter."""
        ...

    def following(self, page: PageRead) -> Parameters | None:
        """What asks for the page after *page*, ``None`` after the last one. Raises ``SearchIncomplete``."""
        ...

    def identify(self, row: Body) -> tuple[object, object]:
        """Id and time of a row, as far as it has them."""
        ...


class RowSource:
    """Implements ``interfaces.Source`` for one list of one account."""

    def __init__(
        self,
        requester: Requester,
        endpoint: RowEndpoint,
        base: str,
        *,
        observe: Observe,
        options: SourceOptions,
    ) -> None:
        self._requester = requester
        self._endpoint = endpoint
        self._url = endpoint.url(base, requester.account)
        self._observe = observe
        self._options = options

    def now(self) -> datetime:
        """The API's clock; the local one before the first response."""
        return self._requester.server.now()

    async def search(
        self, query: Query, window: Window, position: SearchPosition | None = None
    ) -> AsyncGenerator[Page, None]:
        """Yield all pages of *query* in *window*; see ``interfaces.Source``. No page has a position."""
        del position
        pages = 0
        try:
            check_not_future(window, self._requester.server)
            fixed = self._fixed(query, window)
            guard = PagingGuard(
                query.per_page,
                pages_without_new=min(_PAGES_WITHOUT_NEW, self._options.pages_without_new),
                max_pages=self._options.max_pages,
            )
            following: Parameters | None = ()
            total, info = 0, JsonObject()
            while following is not None:
                reply = await self._ask_page(fixed, following, query)
                check_not_future(window, self._requester.server)
                pages += 1
                ids: list[str] = []
                for page in self._pages(reply):
                    yield page
                    ids += [record.id for record in page.records]
                rows = reply.envelope.row_count or 0
                total += rows
                info, before = reply.envelope.info, info
                read = PageRead(pages, rows, total, query.per_page, info, before, window.length > SECOND)
                del reply
                # An empty page is the last one, as Cloudflare's own clients have it: a list may promise for
                # ever that more follows.
                following = self._endpoint.following(read) if rows else None
                guard.page(ids, None if following is None else repr(following))
        except SourceError as failure:
            error = await aborted(
                failure,
                partial(self._ask_one_second, query, window),
                account=self._requester.account,
                pages=pages,
                observe=self._observe,
            )
            if error is failure:
                raise
            raise error from failure

    def _fixed(self, query: Query, window: Window) -> Parameters:
        start, end = widened(window, self._requester.server)
        try:
            return self._endpoint.parameters(query.filters, start, end, query.per_page)
        except ValueError as error:
            raise BadQuery(str(error), hint="correct the filters of this search") from None

    async def _ask_page(self, fixed: Parameters, following: Parameters, query: Query) -> ApiResponse:
        if not following:
            return await self._ask(fixed, query)
        try:
            return await self._ask((*fixed, *following), query, wait_for_limit=True)
        except BadQuery as error:
            raise refused_cursor(error) from error

    async def _ask_one_second(self, query: Query, window: Window) -> None:
        await self._ask(self._fixed(query, last_second(window)), query, attempts=PROBE_ATTEMPTS)

    async def _ask(
        self,
        params: Parameters,
        query: Query,
        *,
        wait_for_limit: bool = False,
        attempts: int | None = None,
    ) -> ApiResponse:
        ask = ApiRequest(
            str(self._endpoint.source),
            self._url,
            params,
            accept=frozenset({200}),
            expects_list=True,
            splittable=True,
            wait_for_limit=wait_for_limit,
            attempts=attempts,
        )
        try:
            return await self._requester.ask(ask, query.priority)
        except Denied as denied:
            if denied.hint != CREDENTIAL_HINT:
                raise
            hint = credential_hint(self._endpoint.permission)
            raise Denied(
                denied.reason, status=denied.status, code=denied.code, ray=denied.ray, hint=hint
            ) from denied

    def _pages(self, reply: ApiResponse) -> Iterator[Page]:
        count, lenient = 0, False
        for part in reply.envelope.slices():
            page = self._page(part)
            count += len(page.records)
            lenient = lenient or part.lenient
            yield page
        self._observe(PageDecoded(self._requester.account, count, reply.bytes, lenient, 0))

    def _page(self, part: PageSlice) -> Page:
        records: list[Record] = []
        quarantined = list(part.quarantined)
        for row in part.records:
            record = identified(self._endpoint, row)
            if isinstance(record, Quarantined):
                quarantined.append(record)
            else:
                records.append(record)
        kept, conflicting = resolve_duplicates(records)
        return Page(kept, (*quarantined, *conflicting))


def identified(endpoint: RowEndpoint, row: Record) -> Record | Quarantined:
    """*row* as a record of *endpoint*: under its own id, with its time where a message has its own."""
    name, time = endpoint.identify(row.body)
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str) or not name.strip():
        return Quarantined(_received(row), WITHOUT_ID)
    if not isinstance(time, str) or known_moment(time) is None:
        return Quarantined(_received(row), WITHOUT_TIME)
    head = {"scanned_at": time, "subject": row.body.get("subject")}
    return Record(mark_source(endpoint.source, name), row.body, row.text, head)


def _received(row: Record) -> bytes:
    body = row.body
    return row.text or orjson.dumps(body.get(NOT_AN_OBJECT, body) if len(body) == 1 else body)
