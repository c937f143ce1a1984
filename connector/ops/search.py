"""``search``: records of one account, newest first, as they arrive; as records, events or table rows.

The window is read backwards in slices that grow while little is found and are halved when a search cannot
be completed, so that a month of nothing costs a dozen requests and a busy hour shows at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from connector.app.sources import open_sources
from connector.collect.revisions import digest_of, state_of, time_of
from connector.collect.slices import SliceSizing
from connector.collect.windows import SECOND, whole_second
from connector.errors import BadQuery, ConfigurationError, SearchIncomplete, Unavailable
from connector.formats.json import encode
from connector.interfaces import Observe, Source
from connector.mapping import Library, build_map, build_mapper
from connector.mapping.language.file import read_mapping_file
from connector.mapping.language.validate import validate
from connector.model import Feed, FilterValue, Query, Record, Revision, Window
from connector.net.clock import utc_now
from connector.ops.mapping_tools import find_mapping
from connector.settings import Account, Settings
from connector.yaml_nodes import parse

NAME = "search"
"""The search name in events of this command."""

_LONGEST = timedelta(days=7)
"""Longest slice while next to nothing is found: a month of nothing costs a dozen requests."""

_MOST_PER_PAGE = 1000
"""The API's maximum of ``per_page``."""

_TELLING = 100
"""Records that show in which order the API gives them; so many are asked for, however few are wanted."""

_NOISE = timedelta(seconds=5)
"""Clocks are known to about a second only."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What to search for.

    Args:
        filters: valid parameters of the API's search.
        start: a time, or a duration back from now.
        end: a time, or a duration back from now; ``None``: now.
        limit: maximum number of records; ``None``: all.
    """

    filters: Mapping[str, FilterValue] = field(default_factory=dict)
    start: timedelta | datetime = timedelta(hours=24)
    end: timedelta | datetime | None = None
    limit: int | None = None

    def window(self, now: datetime) -> Window:
        """The time range as of *now*, in whole seconds; raises ``BadQuery`` if it is empty."""
        try:
            start = now - self.start if isinstance(self.start, timedelta) else self.start
            end = now - self.end if isinstance(self.end, timedelta) else self.end or now
        except OverflowError:
            raise BadQuery("the start or end is too far back") from None
        start, end = whole_second(start), min(_up(end), whole_second(now))
        if start >= end:
            raise BadQuery(
                f"empty time range: {start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC",
                hint="the start must be before the end, and in the past",
            )
        return Window(start, end)

    def queries(self) -> tuple[Query, ...]:
        """The queries: one, or one per disposition if several are wanted."""
        per_page = _MOST_PER_PAGE if self.limit is None else max(_TELLING, self.limit)
        query = Query(self.filters, min(per_page, _MOST_PER_PAGE))
        several = self.filters.get("final_disposition")
        if not isinstance(several, tuple):
            return (query,)
        return tuple(
            replace(query, filters={**self.filters, "final_disposition": value}) for value in several
        )


async def search(
    settings: Settings, account: str, request: SearchRequest, *, observe: Observe
) -> AsyncGenerator[tuple[Record, ...], None]:
    """Yield records of *account* as they arrive, newest slice first; raises ``SourceError``.

    The caller must close the generator if it does not exhaust it.
    """
    alone = settings.model_copy(update={"accounts": {account: settings.accounts[account]}})
    async with (
        open_sources(alone, None, observe=observe, clock=utc_now) as sources,
        aclosing(stream(sources[account], request)) as found,
    ):
        async for records in found:
            yield records


async def stream(source: Source, request: SearchRequest) -> AsyncGenerator[tuple[Record, ...], None]:
    """Yield the records of *source*, each once, up to the limit."""
    slices, fresh = _Slices(source, request), _NewRecords(request.limit)
    while (part := slices.next()) is not None:
        came = 0
        try:
            async with aclosing(_slice(source, request, slices.per_page, part, fresh)) as found:
                async for records in found:
                    came += len(records)
                    if given := fresh.take(_newest_first(records, part)):
                        yield given
                    if fresh.enough:
                        return
        except (SearchIncomplete, Unavailable) as error:
            if not slices.around(part, error):
                raise
        else:
            if slices.done(part, came):
                fresh.turn()


async def _slice(
    source: Source, request: SearchRequest, per_page: int, part: Window, fresh: _NewRecords
) -> AsyncGenerator[Sequence[Record], None]:
    """Read one slice, page by page.

    With a limit and several queries, all of them are read before any record is yielded: the newest may be in
    the last.
    """
    queries = [replace(query, per_page=min(query.per_page, per_page)) for query in request.queries()]
    together: list[Record] = []
    for query in queries:
        new = 0
        async with aclosing(_pages(source, request, query, part)) as pages:
            async for records in pages:
                if fresh.left is None or len(queries) == 1:
                    yield records
                    continue
                together += records
                new += fresh.count(records)
                if new >= fresh.left:
                    break
    if together:
        yield together


async def _pages(
    source: Source, request: SearchRequest, query: Query, part: Window
) -> AsyncGenerator[Sequence[Record], None]:
    async with aclosing(source.search(query, part)) as pages:
        async for page in pages:
            _refuse_disorder(request, part, query, page.records)
            yield page.records


def _refuse_disorder(request: SearchRequest, part: Window, query: Query, records: Sequence[Record]) -> None:
    """With a limit, refuse a full page that is not newest first; the slice is halved then."""
    if request.limit is None or part.length <= SECOND or len(records) < query.per_page:
        return
    times = [time_of(record, part.end) for record in records]
    if times[0] == times[-1] or any(later > earlier for earlier, later in pairwise(times)):
        raise SearchIncomplete("not_newest_first")


def _newest_first(records: Iterable[Record], part: Window) -> list[Record]:
    return sorted(records, key=lambda record: time_of(record, part.start), reverse=True)


def _up(moment: datetime) -> datetime:
    return whole_second(moment) + (SECOND if moment.microsecond else timedelta(0))


class _Slices:
    """The slices of a window, newest first: how long they are, and what to do when one fails."""

    def __init__(self, source: Source, request: SearchRequest) -> None:
        self._source = source
        self._request = request
        self._window = request.window(source.now())
        self._pending = [self._window]
        self._held = self._window.end
        self._begun = False
        self._sizing = SliceSizing(_MOST_PER_PAGE, _LONGEST)

    @property
    def per_page(self) -> int:
        """Records per page to ask for."""
        return self._sizing.per_page

    def next(self) -> Window | None:
        """The next slice; ``None`` at the end."""
        if not self._pending:
            return None
        window = self._pending.pop()
        part = self._sizing.last_slice(NAME, window)
        if part.start > window.start:
            self._pending.append(Window(window.start, part.start))
        return part

    def done(self, part: Window, records: int) -> bool:
        """Learn from a complete slice; says whether nothing of it will be read again."""
        self._sizing.adapt(NAME, part, records, self.per_page)
        if not self._begun and self._request.end is None:
            # The local clock may be behind, which only the first answer could tell.
            late = whole_second(self._source.now())
            if late - self._window.end > _NOISE:
                self._pending.append(Window(self._window.end, late))
        self._begun = True
        return part.start <= self._held and part.end <= self._window.end

    def around(self, part: Window, error: SearchIncomplete | Unavailable) -> bool:
        """Find a way around *error*; says whether there is one."""
        if isinstance(error, SearchIncomplete):
            self._pending.append(part)
            self._held = min(self._held, part.start)
            return self._sizing.split(NAME, part)
        # The local clock may be ahead, which only the first answer could tell.
        ahead = not self._begun and self._source.now() < part.end - _NOISE
        if ahead:
            self._window = self._request.window(self._source.now())
            self._pending = [self._window]
            self._held = self._window.end
        return ahead


class _NewRecords:
    """Which records were not returned yet, and how many more may be."""

    def __init__(self, limit: int | None) -> None:
        self.left = limit
        self._returned: set[str] = set()
        self._before: set[str] = set()

    @property
    def enough(self) -> bool:
        """Whether the limit is reached."""
        return self.left == 0

    def count(self, records: Iterable[Record]) -> int:
        """How many of *records* were not returned yet."""
        return sum(self._is_new(record) for record in records)

    def take(self, records: Iterable[Record]) -> tuple[Record, ...]:
        """Return as many of *records* as the limit allows, each once."""
        new = {record.id: record for record in records if self._is_new(record)}
        new_records = tuple(new.values())[: self.left]
        self._returned.update(record.id for record in new_records)
        if self.left is not None:
            self.left -= len(new_records)
        return new_records

    def turn(self) -> None:
        """Forget what only slices before the last one held: a record repeats in the next one at most."""
        self._before, self._returned = self._returned, set()

    def _is_new(self, record: Record) -> bool:
        return record.id not in self._returned and record.id not in self._before


@dataclass(frozen=True, slots=True)
class Row:
    """A table row of a record; every text is untrusted email content."""

    time: datetime
    disposition: str
    severity: int
    action: str
    sender: str
    recipients: tuple[str, ...]
    subject: str


_ROW = """
mapping: 1
format: json
fields:
  disposition: $disposition
  action:      $action
  sender:      {first_of: [$senders, from, $envelope_sender, envelope_from]}
  recipients:  {first_of: [$recipients, to, envelope_to, client_recipients]}
  subject:     subject
"""


def describer(settings: Settings, account: str) -> Callable[[Record], Row]:
    """Makes table rows of records, by the same rules as events; raises ``ConfigurationError``."""
    prelude = _library(settings.mappings.directory).prelude()
    fields = read_mapping_file(NAME, parse(_ROW, "the table of search")).fields
    pack = replace(prelude, fields={name: rule for name, rule in fields.items() if rule is not None})
    wrong = validate(pack)
    if wrong:
        raise ConfigurationError(*wrong)
    mapping = build_map(pack)
    known = settings.accounts[account]

    def row(record: Record) -> Row:
        mapped = mapping(_revision(known, record))
        texts = {name: _texts(value) for name, value in mapped.document.items()}
        first = {name: values[0] for name, values in texts.items() if values}
        return Row(
            mapped.time,
            first.get("disposition", ""),
            mapped.severity,
            first.get("action", ""),
            first.get("sender", ""),
            texts.get("recipients", ()),
            first.get("subject", ""),
        )

    return row


def encoder(settings: Settings, account: str, mapping: str) -> Callable[[Record], bytes | None]:
    """Makes events of records with a mapping given by name or file; raises ``ConfigurationError``."""
    pack = find_mapping(mapping, settings.mappings.directory).load()
    known = settings.accounts[account]
    mapper = build_mapper(pack, accounts={known.account_id: account})

    def event(record: Record) -> bytes | None:
        made = mapper(_revision(known, record))
        return made.payload if made else None

    return event


def record_line(record: Record) -> bytes:
    """The record as received, as one line of JSON; ``mapping apply`` accepts it."""
    return encode(dict(record.body))


def _revision(account: Account, record: Record) -> Revision:
    return Revision(Feed(account.account_id, NAME), record, digest_of(state_of(record.body)), 1, utc_now())


def _library(directory: Path | None) -> Library:
    return Library((directory,) if directory else ())


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(str(item) for item in values if item is not None and item != "")
