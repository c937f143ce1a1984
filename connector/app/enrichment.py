"""From settings to enrichment: which endpoints each search asks, and for which records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from connector.app.routes import find, library_of
from connector.errors import ConfigurationError, Problem
from connector.interfaces import Clock, Enricher
from connector.mapping import Library, compile_matcher
from connector.model import Feed, Record, Revision
from connector.settings import Loaded
from connector.source.client import CloudflareSource
from connector.source.enrichment import Endpoint
from connector.yaml_nodes import Node, walk

_LATER = ("$change", "$enrichment", "$identity", "$revision")
"""Names that a record has no values for before it is compared and enriched."""


@dataclass(frozen=True, slots=True)
class Enriching:
    """What one search asks of further endpoints; *when* says for which revisions (``None``: for all)."""

    endpoints: tuple[Endpoint, ...]
    when: Callable[[Revision], bool] | None = None

    def build(self, source: CloudflareSource, feed: Feed, clock: Clock) -> Enricher:
        """Make the enricher of one feed."""
        when = self.when
        if when is None:
            return source.enricher(self.endpoints)

        def wanted(record: Record) -> bool:
            return when(Revision(feed, record, "", 1, clock()))

        return source.enricher(self.endpoints, wanted=wanted)


def plan_enrichment(loaded: Loaded) -> Mapping[str, Enriching]:
    """What each search that enriches asks, by the search's name.

    Raises ``ConfigurationError`` with everything that is wrong with ``when``.
    """
    names = {account.account_id: name for name, account in loaded.settings.accounts.items()}
    library = library_of(loaded)
    planned: dict[str, Enriching] = {}
    problems: list[Problem] = []
    for name, search in loaded.settings.searches.items():
        if search.enrich is None:
            continue
        node = find(loaded.node, ("searches", name, "enrich", "when"))
        try:
            planned[name] = Enriching(search.enrich.endpoints, _when(node, library, names))
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(*problems)
    return planned


def _when(node: Node | None, library: Library, names: Mapping[str, str]) -> Callable[[Revision], bool] | None:
    if node is None or node.value is None:
        return None
    matcher = compile_matcher(node, library.prelude(), accounts=names)
    early = list(_too_early(node))
    if early:
        raise ConfigurationError(*early)
    return matcher


def _too_early(node: Node) -> Iterator[Problem]:
    for _, inner in walk(node):
        for name, place in inner.keys.items():
            if name.partition(".")[0] in _LATER:
                yield Problem(f"{name} has no value yet when a record is enriched", place,
                              "match the record's own fields, or give the output a when")  # fmt: skip
