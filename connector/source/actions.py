"""``CloudflareActions``: the endpoints of one account that change messages and settings."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Literal, cast
from urllib.parse import quote

import orjson

from connector.errors import BadQuery, Denied, Unavailable
from connector.interfaces import INCOMPLETE
from connector.model import Body, FilterValue, JsonObject, Priority, Query, Record, Window
from connector.source.client import CloudflareSource
from connector.source.enrichment import ENDPOINTS
from connector.source.records import path_segment
from connector.source.request import ApiRequest, ApiResponse, Requester

_FORM_REFUSED = frozenset({400, 422})
"""Statuses for a body of the wrong form: nothing was accepted."""

_PAGE = 1000
_MOST_PAGES = 20
"""Entries of one page of a list, and pages that are read of it."""

_NOT_FOUND = 404
_PATIENCE = 30.0
"""Seconds that a request may wait for its turn once it is stored as leaving."""


class CloudflareActions:
    """Implements ``interfaces.ActionApi`` for one account.

    Args:
        source: searches and looks up messages.
        reader: sends requests with the credential that may read.
        writer: sends requests with the credential that may write, on the same clock; ``None`` without.
        base: URL of the account's Email Security.
    """

    def __init__(
        self, source: CloudflareSource, reader: Requester, writer: Requester | None, base: str
    ) -> None:
        self._source = source
        self._reader = reader
        self._writer = writer
        self._base = base
        self._release_form: Literal["object", "array"] = "object"

    def now(self) -> datetime:
        """See ``ActionApi``."""
        server = self._reader.server
        return server.now() if server.known else self._source.now()

    async def get(self, record_id: str) -> Record | None:
        """See ``ActionApi``."""
        return await self._source.get(record_id, Priority.ACTION)

    async def search(
        self, filters: Mapping[str, FilterValue], window: Window, limit: int
    ) -> tuple[Sequence[Record], bool]:
        """See ``ActionApi``."""
        found: dict[str, Record] = {}
        query = Query(filters, min(limit + 1, _PAGE), Priority.ACTION)
        async with aclosing(self._source.search(query, window)) as pages:
            async for page in pages:
                found.update((record.id, record) for record in page.records)
                if len(found) > limit:
                    break
        return list(found.values())[:limit], len(found) > limit

    async def details(self, record: Record, endpoints: Sequence[str]) -> Body:
        """See ``ActionApi``."""
        enricher = self._source.enricher([name for name in ENDPOINTS if name in endpoints])
        return (await enricher.enrich([record])).get(record.id, {INCOMPLETE: sorted(endpoints)})

    async def preview(self, record: Record) -> bytes | None:
        """See ``ActionApi``. Of a detection with the reading credential, of others with the writing one."""
        place = f"{self._base}/investigate/{path_segment(record.id)}/preview"
        response = await self._reader.ask(
            ApiRequest("preview", place, accept=frozenset({200, _NOT_FOUND})), Priority.ACTION
        )
        if response.status == _NOT_FOUND and self._writer is not None:
            response = await self._writer.ask(
                ApiRequest(
                    "preview",
                    f"{self._base}/investigate/preview",
                    accept=frozenset({200, _NOT_FOUND}),
                    method="POST",
                    content=orjson.dumps({"id": record.id}),
                ),
                Priority.ACTION,
            )
        if response.status == _NOT_FOUND:
            return None
        try:
            return base64.b64decode(_text(response, "screenshot"), validate=True)
        except binascii.Error:
            raise _unusable(response, "the preview is no base64") from None

    async def raw(self, record_id: str) -> bytes | None:
        """See ``ActionApi``."""
        place = f"{self._base}/investigate/{path_segment(record_id)}/raw"
        response = await self._reader.ask(
            ApiRequest("raw", place, accept=frozenset({200, _NOT_FOUND})), Priority.ACTION
        )
        if response.status == _NOT_FOUND:
            return None
        return _text(response, "raw").encode("utf-8", "surrogateescape")

    async def move(self, ids: Sequence[str], destination: str) -> Sequence[Body]:
        """See ``ActionApi``."""
        body = {"ids": list(ids), "destination": destination}
        return _rows(await self._write("move", "investigate/move", body, repeatable=True))

    async def release(self, ids: Sequence[str]) -> Sequence[Body]:
        """See ``ActionApi``. The API changed the form of the body without notice, so both are tried."""
        forms: dict[Literal["object", "array"], object] = {"object": {"ids": list(ids)}, "array": list(ids)}
        place = "investigate/release"
        try:
            return _rows(await self._write("release", place, forms[self._release_form]))
        except BadQuery as error:
            if error.status not in _FORM_REFUSED:
                raise
            refused = error
        other: Literal["object", "array"] = "array" if self._release_form == "object" else "object"
        try:
            rows = _rows(await self._write("release", place, forms[other]))
        except BadQuery as error:
            # The form was right, then, and what it refused is the reason to tell.
            raise refused from error
        self._release_form = other
        return rows

    async def submit(self, kind: str, messages: Sequence[Body]) -> Sequence[Body]:
        """See ``ActionApi``."""
        response = await self._write("submit", "submissions", {"type": kind, "messages": messages})
        result = response.envelope.result
        rows = result.get("results") if isinstance(result, dict) else None
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    async def submissions(self, since: datetime) -> Sequence[Body]:
        """See ``ActionApi``."""
        start = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        return await self._list("submissions", "submissions", (("start", start), ("type", "TEAM")))

    async def blocked_senders(self, pattern: str) -> Sequence[Body]:
        """See ``ActionApi``."""
        rows = await self._list("block_senders", "settings/block_senders", (("pattern", pattern),))
        return [row for row in rows if row.get("pattern") == pattern]

    async def block(self, sender: Body) -> Body:
        """See ``ActionApi``."""
        response = await self._write("block", "settings/block_senders", sender)
        result = response.envelope.result
        return cast("JsonObject", result) if isinstance(result, dict) else {}

    async def unblock(self, block_id: str) -> bool:
        """See ``ActionApi``."""
        place = f"settings/block_senders/{quote(block_id, safe='')}"
        response = await self._write("unblock", place, None, method="DELETE", repeatable=True)
        return response.status != _NOT_FOUND

    async def _write(
        self, endpoint: str, place: str, body: object, *, method: str = "POST", repeatable: bool = False
    ) -> ApiResponse:
        if self._writer is None:
            raise Denied("this account has no write_token", hint="set accounts.NAME.write_token")
        missing = {_NOT_FOUND} if method == "DELETE" else set()
        ask = ApiRequest(
            endpoint,
            f"{self._base}/{place}",
            accept=frozenset({200, 201, 202, *missing}),
            method=method,
            content=None if body is None else orjson.dumps(body),
            repeatable=repeatable,
            patience=_PATIENCE,
        )
        try:
            return await self._writer.ask(ask, Priority.ACTION)
        except Denied:
            # Nothing happened. The token may have been rotated.
            if not self._writer.refresh():
                raise
            return await self._writer.ask(ask, Priority.ACTION)

    async def _list(self, endpoint: str, place: str, params: tuple[tuple[str, str], ...]) -> list[Body]:
        rows: list[Body] = []
        for number in range(1, _MOST_PAGES + 1):
            paging = (("page", str(number)), ("per_page", str(_PAGE)))
            ask = ApiRequest(endpoint, f"{self._base}/{place}", (*params, *paging))
            response = await self._reader.ask(ask, Priority.ACTION)
            if not isinstance(response.envelope.result, list):
                raise _unusable(response, "the result is not a list")
            page = _rows(response)
            rows += page
            total = response.envelope.info.get("total_count")
            if len(page) < _PAGE or not isinstance(total, int) or total <= len(rows):
                break
        return rows


def _rows(response: ApiResponse) -> list[Body]:
    """The rows of a result; no rows where it is not a list: then nothing is known of any message."""
    result = response.envelope.result
    return [row for row in result if isinstance(row, dict)] if isinstance(result, list) else []


def _text(response: ApiResponse, name: str) -> str:
    result = response.envelope.result
    value = result.get(name) if isinstance(result, dict) else None
    if not isinstance(value, str):
        raise _unusable(response, f"it has no {name}")
    return value


def _unusable(response: ApiResponse, why: str) -> Unavailable:
    return Unavailable(f"unusable response from the API: {why}", status=response.status)
