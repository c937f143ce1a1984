"""``search``: records of one account, newest first, as they come; and as events or as rows of a table.

The window is walked backwards in slices that grow while little is found and are halved when a walk cannot
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
"""What events of this command name as their search."""

_LONGEST = timedelta(days=7)
"""Longest slice while next to nothing is found: a month of nothing costs a dozen requests."""

_MOST_PER_PAGE = 1000
_TELLING = 100
"""Records that show in which order the API gives them; so many are asked for, however few are wanted."""

_NOISE = timedelta(seconds=5)
"""Clocks are known to about a second only."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What to look for.

    Args:
        filters: parameters of the API's search, valid ones.
        start: a time, or how far back from now.
        end: a time, or how far back from now; ``None``: now.
        limit: most records; ``None``: all.
    """

    filters: Mapping[str, FilterValue] = field(default_factory=dict)
    start: timedelta | datetime = timedelta(hours=24)
    end: timedelta | datetime | None = None
    limit: int | None = None

    def window(self, now: datetime) -> Window:
        """The range of time, as of *now*, on whole seconds; raises ``BadQuery`` where there is none."""
        try:
            start = now - self.start if isinstance(self.start, timedelta) else self.start
            end = now - self.end if isinstance(self.end, timedelta) else self.end or now
        except OverflowError:
            raise BadQuery("there is no time that far back") from None
        start, end = whole_second(start), min(_up(end), whole_second(now))
        if start >= end:
            raise BadQuery(
                f"no time lies between {start:%Y-%m-%d %H:%M:%S} and {end:%Y-%m-%d %H:%M:%S} UTC",
                hint="the start must lie before the end, and before now",
            )
        return Window(start, end)

    def queries(self) -> tuple[Query, ...]:
        """What to ask: one query, or one per disposition where several are wanted."""
        per_page = _MOST_PER_PAGE if self.limit is None else max(_TELLING, self.limit)
        query = Query(self.filters, min(per_page, _MOST_PER_PAGE))
        several = self.filters.get("final_disposition")
        if not isinstance(several, tuple):
            return (query,)
        return tuple(
            replace(query, filters={**self.filters, "final_disposition": value}) for value in several
        )


async def search(
    settings: Settings, account: str, wanted: SearchRequest, *, observe: Observe
) -> AsyncGenerator[tuple[Record, ...], None]:
    """Yield records of *account* as they come, newest slice first; raises ``SourceError``.

    The caller must close the generator that it does not exhaust.
    """
    alone = settings.model_copy(update={"accounts": {account: settings.accounts[account]}})
    async with (
        open_sources(alone, None, observe=observe, clock=utc_now) as sources,
        aclosing(stream(sources[account], wanted)) as found,
    ):
        async for records in found:
            yield records


async def stream(source: Source, wanted: SearchRequest) -> AsyncGenerator[tuple[Record, ...], None]:
    """Yield what *source* finds, each record once, at most as many as are wanted."""
    slices, fresh = _Slices(source, wanted), _Fresh(wanted.limit)
    while (part := slices.next()) is not None:
        came = 0
        try:
            async with aclosing(_slice(source, wanted, slices.per_page, part, fresh)) as found:
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
    source: Source, wanted: SearchRequest, per_page: int, part: Window, fresh: _Fresh
) -> AsyncGenerator[Sequence[Record], None]:
    """Walk one slice, page by page.

    Where the newest of several walks are wanted, all of them are walked before anything is shown.
    """
    queries = [replace(query, per_page=min(query.per_page, per_page)) for query in wanted.queries()]
    together: list[Record] = []
    for query in queries:
        new = 0
        async with aclosing(_pages(source, wanted, query, part)) as pages:
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
    source: Source, wanted: SearchRequest, query: Query, part: Window
) -> AsyncGenerator[Sequence[Record], None]:
    async with aclosing(source.search(query, part)) as pages:
        async for page in pages:
            _refuse_disorder(wanted, part, query, page.records)
            yield page.records


def _refuse_disorder(wanted: SearchRequest, part: Window, query: Query, records: Sequence[Record]) -> None:
    """Where only the newest are wanted, a full page must be of the newest, or the slice be shorter."""
    if wanted.limit is None or part.length <= SECOND or len(records) < query.per_page:
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

    def __init__(self, source: Source, wanted: SearchRequest) -> None:
        self._source = source
        self._wanted = wanted
        self._window = wanted.window(source.now())
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
        if not self._begun and self._wanted.end is None:
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
            self._window = self._wanted.window(self._source.now())
            self._pending = [self._window]
            self._held = self._window.end
        return ahead


class _Fresh:
    """Which records were not given yet, and how many more are wanted."""

    def __init__(self, limit: int | None) -> None:
        self.left = limit
        self._given: set[str] = set()
        self._before: set[str] = set()

    @property
    def enough(self) -> bool:
        """Whether the limit is reached."""
        return self.left == 0

    def count(self, records: Iterable[Record]) -> int:
        """How many of *records* were not given yet."""
        return sum(self._is_new(record) for record in records)

    def take(self, records: Iterable[Record]) -> tuple[Record, ...]:
        """Give as many of *records* as are wanted, each once."""
        new = {record.id: record for record in records if self._is_new(record)}
        given = tuple(new.values())[: self.left]
        self._given.update(record.id for record in given)
        if self.left is not None:
            self.left -= len(given)
        return given

    def turn(self) -> None:
        """Forget what only slices before the last one held: a record repeats in the next one at most."""
        self._before, self._given = self._given, set()

    def _is_new(self, record: Record) -> bool:
        return record.id not in self._given and record.id not in self._before


@dataclass(frozen=True, slots=True)
class Row:
    """What a line of the table tells of a record; every text is as hostile as its mail."""

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
    """What makes a row of a record, by the same rules as the events; raises ``ConfigurationError``."""
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
    """What makes an event of a record, by a mapping's name or file; raises ``ConfigurationError``."""
    pack = find_mapping(mapping, settings.mappings.directory).load()
    known = settings.accounts[account]
    mapper = build_mapper(pack, accounts={known.account_id: account})

    def event(record: Record) -> bytes | None:
        made = mapper(_revision(known, record))
        return made.payload if made else None

    return event


def _revision(account: Account, record: Record) -> Revision:
    return Revision(Feed(account.account_id, NAME), record, digest_of(state_of(record.body)), 1, utc_now())


def _library(directory: Path | None) -> Library:
    return Library((directory,) if directory else ())


def _texts(value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(str(item) for item in values if item is not None and item != "")
