"""Chooses the mapping of a revision by where it is from: a message, a submission, an audit log, an action.

The mapping of an output says what becomes of messages. Records of other sources, and audit events of response
actions, have mappings of their own in the same format. They are chosen by the revision and not by the
configuration, for a revision outlives that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from connector.errors import ConfigurationError, Problem
from connector.interfaces import Mapper
from connector.mapping import Library, Pack, Redact, build_mapper
from connector.model import ACTIONS, SOURCE_MARKS, Event, Revision, SearchSource, source_of
from connector.settings import Settings

_Result = TypeVar("_Result")


def by_source(
    messages: Callable[[Revision], _Result], make: Callable[[SearchSource], Callable[[Revision], _Result]]
) -> Callable[[Revision], _Result]:
    """*messages* for messages, and for records of another source what *make* returns when first needed."""
    others: dict[SearchSource, Callable[[Revision], _Result]] = {}

    def choose(revision: Revision) -> _Result:
        record_id = revision.record.id
        if not record_id.startswith(SOURCE_MARKS):  # asked for every event of every output
            return messages(revision)
        source = source_of(record_id)
        if source not in others:
            others[source] = make(source)
        return others[source](revision)

    return choose


def other_sources(settings: Settings) -> tuple[SearchSource, ...]:
    """What searches read besides messages."""
    found = {search.source for search in settings.searches.values()} - {SearchSource.INVESTIGATE}
    return tuple(source for source in SearchSource if source in found)


def pack_of(library: Library, pack: Pack, source: SearchSource) -> Pack:
    """The mapping of records from *source* in the format of *pack*. Raises ``ConfigurationError``."""
    return pack if source is SearchSource.INVESTIGATE else library.of_source(source).load(pack.format)


def check_packs(library: Library, pack: Pack, sources: Iterable[SearchSource]) -> None:
    """Raise ``ConfigurationError`` with every problem of the mappings of *sources* in *pack*'s format."""
    problems: list[Problem] = []
    for source in sources:
        try:
            pack_of(library, pack, source)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(*problems)


def mapper_of_any_source(library: Library, pack: Pack, accounts: Mapping[str, str]) -> Mapper:
    """The mapper of *pack*, and of the mappings in its format for records of other sources."""

    def make(source: SearchSource) -> Mapper:
        return build_mapper(pack_of(library, pack, source), accounts=accounts, cache=library.cache)

    return by_source(build_mapper(pack, accounts=accounts, cache=library.cache), make)


def in_scope(
    compiled: Callable[[Pack], _Result], library: Library, pack: Pack, source: SearchSource
) -> _Result:
    """*compiled* in the scope of the mapping for *source*, or of *pack*, whose own names it may read."""
    try:
        return compiled(pack_of(library, pack, source))
    except ConfigurationError:
        return compiled(pack)


def by_kind(
    records: Callable[[Revision], _Result], audit: Callable[[Revision], _Result]
) -> Callable[[Revision], _Result]:
    """*records* for records, *audit* for audit events of response actions."""
    return lambda revision: audit(revision) if revision.feed.search == ACTIONS else records(revision)


def with_audit(mapper: Mapper, audit: Mapper | None) -> Mapper:
    """*mapper* for records and *audit* for audit events; without it they are left out."""
    return by_kind(mapper, audit or _no_event)


def _no_event(_: Revision) -> Event | None:
    return None


def audit_mapper(
    library: Library, pack: Pack, accounts: Mapping[str, str], redact: Redact | None = None
) -> Mapper:
    """The mapper of audit events of response actions, in the format of *pack*.

    Raises ``ConfigurationError`` if a custom mapping overrides it with a mistake.
    """
    return build_mapper(audit_pack(library, pack), accounts=accounts, redact=redact, cache=library.cache)


def audit_pack(library: Library, pack: Pack) -> Pack:
    """The mapping of audit events in the format of *pack*."""
    # The mapping ocsf of audit events is of the format json, for the format ocsf is Email Activity alone.
    return library.actions().load(pack.format)
