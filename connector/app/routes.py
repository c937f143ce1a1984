"""Routes from settings: each output with its mapper, redaction, filter, template, heartbeat and deliverer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from connector.app.heartbeats import build_heartbeat, heartbeat_mapper
from connector.app.source_mappers import (
    audit_mapper,
    audit_pack,
    by_kind,
    by_source,
    check_packs,
    in_scope,
    other_sources,
    pack_of,
    with_audit,
)
from connector.delivery import (
    Correction,
    Deliverer,
    DeliveryOptions,
    GroupBy,
    Heartbeat,
    OnSent,
    Shrink,
    ignore_sent,
)
from connector.errors import ConfigurationError, Position, Problem
from connector.facts import OutputStarted
from connector.formats import cef, leef
from connector.interfaces import Clock, Journal, Mapper, Observe, Output
from connector.mapping import (
    KnownNames,
    Library,
    MappingCache,
    Pack,
    Redact,
    Render,
    body_warnings,
    build_map,
    build_mapper,
    compile_body,
    compile_key,
    compile_matcher,
    compile_redaction,
    compile_requests,
    key_warnings,
    lint,
    match_warnings,
    matches_either_state,
    request_warnings,
    watch_warnings,
)
from connector.model import Event, JsonObject, Revision, SearchSource
from connector.outputs.common import OutputSettings, Templated, TemplateOption
from connector.settings import Loaded
from connector.values import dataclass
from connector.yaml_nodes import Node, parse

Predicate = Callable[[Revision], bool]


_TEXT_FORMATS = frozenset({"cef", "leef"})
"""Formats of mappings that are lines of text; all others are JSON objects."""


@dataclass(frozen=True, slots=True)
class Route:
    """One output with everything needed to deliver to it.

    *unfiltered* builds the mapper without ``when``: ``check --send-test`` sends to every output. *group_key*
    is the key of ``group_by``; *is_correction* tells what passes ``when`` by its previous state only.
    """

    name: str
    settings: OutputSettings
    output: Output
    mapper: Mapper
    shrink: Shrink | None
    heartbeat: Mapper | None
    unfiltered: Callable[[], Mapper]
    group_key: Callable[[Revision], str | None] | None = None
    is_correction: Correction | None = None

    def options(self, snapshot: Callable[[], JsonObject], clock: Clock) -> DeliveryOptions:
        """Options of the deliverer; *snapshot* is the status, for heartbeats."""
        return DeliveryOptions(
            start=self.settings.start,
            backlog=self.settings.journal_limits(),
            emit=self.settings.emit,
            max_age=self.settings.max_age,
            per_minute=None if self.settings.throttle is None else self.settings.throttle.per_minute,
            group_by=self._group_by(),
            is_correction=self.is_correction,
            heartbeat=self._heartbeat(snapshot, clock),
        )

    def _group_by(self) -> GroupBy | None:
        if self.settings.group_by is None or self.group_key is None:
            return None
        return GroupBy(self.group_key, self.settings.group_by.within.total_seconds())

    def _heartbeat(self, snapshot: Callable[[], JsonObject], clock: Clock) -> Heartbeat | None:
        every = self.settings.heartbeat
        if every is None or self.heartbeat is None:
            return None
        return build_heartbeat(
            self.name,
            every,
            self.heartbeat,
            snapshot,
            clock,
            event_bytes=self.output.limits.event_bytes,
        )


def mapping_library(loaded: Loaded, former: MappingCache | None = None) -> Library:
    """The mappings that the configuration can refer to; what is compiled in *former* is taken over.

    Raises ``ConfigurationError`` for a file that would not be read, and seems to replace a built-in mapping.
    """
    own = loaded.settings.mappings.directory
    library = Library((own,) if own else (), MappingCache(former))
    if misnamed := library.misnamed() if own else {}:
        at = loaded.node.place(("mappings", "directory"))
        raise ConfigurationError(
            *(
                Problem(
                    f"mappings.directory: {file} is not read: the built-in mapping {name} would apply",
                    at,
                    f"rename it to {name}.yaml",
                )
                for file, name in sorted(misnamed.items())
            )
        )
    return library


def mapping_notes(loaded: Loaded, library: Library | None = None) -> Iterator[str]:
    """Lint findings in the mappings that outputs use; built-in ones are clean and are skipped."""
    if loaded.settings.mappings.directory is None:
        return
    library = library or mapping_library(loaded)
    for name in sorted({output.mapping for output in loaded.settings.outputs.values()}):
        yield from (f"mapping {name}: {problem}" for problem in lint(library.load(name)))


def build_routes(
    loaded: Loaded, observe: Observe, accounts: Mapping[str, str], library: Library | None = None
) -> tuple[Route, ...]:
    """A route per output; *accounts* are account names by id, *library* is ``mapping_library(loaded)``.

    Raises ``ConfigurationError`` with every problem of mappings, filters, redactions and templates.
    """
    library = library or mapping_library(loaded)
    routes: list[Route] = []
    problems: list[Problem] = []
    for name, settings in loaded.settings.outputs.items():
        try:
            routes.append(_route(name, settings, loaded, library, observe, accounts))
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(*problems)
    return tuple(routes)


def _route(
    name: str,
    settings: OutputSettings,
    loaded: Loaded,
    library: Library,
    observe: Observe,
    accounts: Mapping[str, str],
) -> Route:
    try:
        pack = library.load(settings.mapping)
    except ConfigurationError as error:
        raise _located(error, loaded.node.place(("outputs", name, "mapping")), name) from None
    if settings.needs_json and pack.format in _TEXT_FORMATS:
        raise ConfigurationError(
            Problem(
                f"outputs.{name}.mapping: {settings.mapping} writes {pack.format.upper()}, and this output "
                "takes JSON objects only",
                loaded.node.place(("outputs", name, "mapping")),
                "use a mapping that produces JSON, such as ecs",
            )
        )
    required = settings.required_format
    if required not in {None, pack.format}:
        raise ConfigurationError(
            Problem(
                f"outputs.{name}.mapping: expected a mapping of format {required}, {settings.mapping} has "
                f"the format {pack.format}",
                loaded.node.place(("outputs", name, "mapping")),
                f"set mapping: {required}, or one that extends it",
            )
        )
    check_packs(library, pack, other_sources(loaded.settings))
    when = _when(loaded, name, library, pack, accounts)
    redact = _redact(node_at(loaded.node, ("outputs", name, "redact")), loaded, name)
    render = _render(loaded, name, pack, accounts)

    def mapper(source: SearchSource) -> Mapper:
        own = pack_of(library, pack, source)
        return build_mapper(
            own,
            accounts=accounts,
            when=when and matches_either_state(when),
            redact=redact,
            render=render and in_scope(partial(_must_render, loaded, name, accounts), library, pack, source),
            cache=library.cache,
        )

    return Route(
        name,
        settings,
        settings.build(name, observe),
        with_audit(
            by_source(mapper(SearchSource.INVESTIGATE), mapper),
            audit_mapper(library, pack, accounts, redact) if settings.actions else None,
        ),
        None if render else _shrinker(library, pack, accounts, redact, with_actions=settings.actions),
        None if settings.heartbeat is None else heartbeat_mapper(library, pack),
        partial(build_mapper, pack, accounts=accounts, redact=redact, render=render),
        _group_key(loaded, name, library, pack, accounts),
        _is_correction(when),
    )


def _render(loaded: Loaded, name: str, pack: Pack, accounts: Mapping[str, str]) -> Render | None:
    """What the template of output *name* makes of an event; ``None`` where it has none."""
    found = _template_node(loaded, name)
    if found is None:
        return None
    node, option = found
    if option.requests:
        known = known_names(loaded)
        return compile_requests(node, pack, escape=option.escape, accounts=accounts, known=known)
    return compile_body(node, pack, escape=option.escape, accounts=accounts)


def _must_render(loaded: Loaded, name: str, accounts: Mapping[str, str], pack: Pack) -> Render:
    render = _render(loaded, name, pack, accounts)
    if render is None:
        raise AssertionError("unreachable: only called where the output has a template")
    return render


def _template_node(loaded: Loaded, name: str) -> tuple[Node, TemplateOption] | None:
    """The template of output *name*, if it has one, as written."""
    settings = loaded.settings.outputs[name]
    template = settings.template() if isinstance(settings, Templated) else None
    if template is None:
        return None
    node = node_at(loaded.node, ("outputs", name, template.key))
    if node is not None and isinstance(node.value, str):  # an environment variable holds the whole tree
        node = parse(str(node.value), node.position.file)
    return (node, template) if node is not None else None


def _located(error: ConfigurationError, place: Position, name: str) -> ConfigurationError:
    """Prefix problems without a position with the output's name, and give them *place*."""
    return ConfigurationError(
        *(
            problem
            if problem.position
            else Problem(f"outputs.{name}.mapping: {problem.message}", place, problem.hint)
            for problem in error.problems
        )
    )


def _when(
    loaded: Loaded, name: str, library: Library, pack: Pack, accounts: Mapping[str, str]
) -> Predicate | None:
    """What records output *name* delivers; a condition must hold for some record of what searches read."""
    node = node_at(loaded.node, ("outputs", name, "when"))
    if node is None or node.value is None:
        return None
    known = known_names(loaded)

    def scoped(own: Pack, *, may_never_hold: bool = True) -> Predicate:
        return compile_matcher(node, own, accounts=accounts, known=known, may_never_hold=may_never_hold)

    try:
        messages = scoped(pack, may_never_hold=False)
    except ConfigurationError:
        others = (pack_of(library, pack, source) for source in other_sources(loaded.settings))
        if not any(_holds_for(partial(scoped, own, may_never_hold=False)) for own in others):
            raise
        messages = in_scope(scoped, library, pack, SearchSource.INVESTIGATE)
    return by_source(messages, partial(in_scope, scoped, library, pack))


def _holds_for(compiled: Callable[[], Predicate]) -> bool:
    try:
        compiled()
    except ConfigurationError:
        return False
    return True


def _group_fields(loaded: Loaded, name: str) -> list[tuple[str, Position]]:
    """What ``group_by`` of output *name* compares, each with its place."""
    group_by = loaded.settings.outputs[name].group_by
    path = ("outputs", name, "group_by", "fields")
    return [
        (text, loaded.node.place((*path, number)))
        for number, text in enumerate(() if group_by is None else group_by.fields)
    ]


def _group_key(
    loaded: Loaded, name: str, library: Library, pack: Pack, accounts: Mapping[str, str]
) -> Callable[[Revision], str | None] | None:
    """The key of ``group_by``, which audit events do not have; only records of one source share a key."""
    fields = _group_fields(loaded, name)
    if not fields:
        return None

    def scoped(own: Pack) -> Callable[[Revision], str | None]:
        return compile_key(fields, own, accounts=accounts)

    def other(source: SearchSource) -> Callable[[Revision], str | None]:
        key = in_scope(scoped, library, pack, source)
        return lambda revision: None if (found := key(revision)) is None else f"{source}:{found}"

    key = by_source(scoped(pack), other)
    return by_kind(key, lambda _: None)


def _is_correction(when: Predicate | None) -> Correction | None:
    return None if when is None else lambda revision: bool(revision.previous) and not when(revision)


def known_names(loaded: Loaded) -> KnownNames:
    """Searches and accounts of the configuration, for conditions that name them."""
    accounts = {account.account_id: name for name, account in loaded.settings.accounts.items()}
    return KnownNames(frozenset(loaded.settings.searches), accounts)


def expression_warnings(loaded: Loaded, library: Library | None = None) -> Iterator[str]:
    """What may be a mistake in conditions, templates and names of record fields, though they work."""
    library, known = library or mapping_library(loaded), known_names(loaded)
    for name, output in loaded.settings.outputs.items():
        node = node_at(loaded.node, ("outputs", name, "when"))
        if node is not None and node.value is not None:
            yield from map(str, match_warnings(node, library.load(output.mapping), known=known))
        yield from map(str, key_warnings(_group_fields(loaded, name)))
        if (found := _template_node(loaded, name)) is not None:
            node, option = found
            warnings = (
                request_warnings(node, library.load(output.mapping), known=known)
                if option.requests
                else body_warnings(node)
            )
            yield from map(str, warnings)
    for name, search in loaded.settings.searches.items():
        watched = [
            (field, loaded.node.place(("searches", name, "watch", number)))
            for number, field in enumerate(search.watch)
        ]
        yield from map(str, watch_warnings(watched))
        node = node_at(loaded.node, ("searches", name, "enrich", "when"))
        if node is not None and node.value is not None:
            yield from map(str, match_warnings(node, library.prelude(), known=known))


def _redact(node: Node | None, loaded: Loaded, name: str) -> Redact | None:
    if node is None or not node.value:
        return None
    key = loaded.settings.redaction.key
    try:
        return compile_redaction(node, None if key is None else key.reveal())
    except ConfigurationError as error:
        raise ConfigurationError(
            *(
                replace(problem, message=f"outputs.{name}.redact: {problem.message}")
                for problem in error.problems
            )
        ) from None


def node_at(node: Node, path: tuple[str, ...]) -> Node | None:
    """The node at *path*, if it exists."""
    for step in path:
        if not isinstance(node.value, dict) or step not in node.value:
            return None
        node = node.value[step]
    return node


def _shrinker(
    library: Library,
    pack: Pack,
    accounts: Mapping[str, str],
    redact: Redact | None,
    *,
    with_actions: bool,
) -> Shrink | None:
    """Re-encodes an event in fewer bytes: CEF and LEEF shorten the fields that matter least.

    *with_actions*: the output delivers audit events too.
    """
    encode = {"cef": cef.encode, "leef": leef.encode}.get(pack.format)
    if encode is None:
        return None
    compiled = partial(build_map, accounts=accounts, cache=library.cache)
    records = by_source(compiled(pack), lambda source: compiled(pack_of(library, pack, source)))
    map_any = by_kind(records, compiled(audit_pack(library, pack))) if with_actions else records

    def shrink(event: Event, limit: int) -> Event | None:
        mapped = map_any(event.revision if redact is None else redact(event.revision))
        payload, notes = encode(mapped.document, max_bytes=limit)
        if len(payload) > limit:
            return None
        return replace(event, payload=payload, notes=(*mapped.notes, *notes))

    return shrink


async def attach(routes: tuple[Route, ...], journal: Journal) -> None:
    """Register every output in the journal before anything is collected; detach removed outputs."""
    configured = {route.name for route in routes}
    for output in (await journal.outline()).outputs:
        if output.attached and output.output not in configured:
            await journal.detach(output.output)
    for route in routes:
        await journal.attach(route.name, route.settings.start, route.settings.journal_limits())


def build_deliverer(
    route: Route,
    journal: Journal,
    *,
    observe: Observe,
    clock: Clock,
    snapshot: Callable[[], JsonObject],
    server_clock: Callable[[str], datetime] | None = None,
    on_sent: OnSent = ignore_sent,
) -> Deliverer:
    """The deliverer of one output.

    *server_clock* is the API's clock by account id; *on_sent* learns what the collector said of each event.
    """

    async def head() -> int:
        return (await journal.outline()).head

    observe(OutputStarted(route.name))
    return Deliverer(
        route.name,
        route.output,
        journal,
        route.mapper,
        observe,
        clock,
        options=route.options(snapshot, clock),
        shrink=route.shrink,
        head=head,
        server_clock=server_clock,
        values=journal,
        on_sent=on_sent,
    )
