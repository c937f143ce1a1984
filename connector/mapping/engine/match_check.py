"""Checks a match before it is used: can any record satisfy it, and does the API know the fields it reads?

A condition that never holds is the quietest of failures: a pager whose ``when`` has a misspelt verdict
delivers nothing and looks healthy. Every place that takes a match is checked here: rules and their ``pick``
and ``only``, ``when`` of an output, ``enrich.when`` of a search.

Two kinds of knowledge decide. What the API documents of a field: its kind, and its values where it has a
closed list. And the verdict: whatever a mapping derives from it alone (``$severity``, ``$alert``, ``$code``)
is computed for every documented verdict, for none and for a new one, which finds impossible thresholds and
conditions that exclude each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Literal, TypeAlias

from connector.errors import Problem
from connector.mapping.engine.interpreter import Evaluation
from connector.mapping.engine.plan import order
from connector.mapping.functions.dates import moment_of
from connector.mapping.functions.lists import as_list
from connector.mapping.functions.predicates import COMPARISONS
from connector.mapping.functions.registry import FUNCTIONS
from connector.mapping.functions.values import Value
from connector.mapping.language.grammar import (
    ELEMENT,
    RECORD,
    All,
    AllOf,
    Constant,
    FirstOf,
    From,
    Match,
    Not,
    Operand,
    Ref,
    Rule,
    TableRef,
    Test,
    match_refs,
    rule_refs,
)
from connector.mapping.language.pack import Pack
from connector.mapping.schemas.fields import (
    FREE_FIELDS,
    RECORD_FIELDS,
    RECORD_VALUES,
    VERDICT_FIELDS,
    VERDICTS,
    documented_paths,
)
from connector.values import dataclass
from connector.yaml_nodes import suggestion

VERDICT = "final_disposition"
NEW_VERDICT = "VERDICT-NOT-DOCUMENTED"
"""Stands for a verdict that Cloudflare adds later."""

Kind: TypeAlias = Literal["any", "text", "number", "boolean", "date", "object"]
_KINDS: Mapping[str, Kind] = {
    "boolean": "boolean",
    "date": "date",
    "double": "number",
    "object": "object",
}
"""Kinds of record fields; every other one is text."""

_PROVIDED_KINDS: Mapping[str, Kind] = {
    "$account": "object",
    "$change": "object",
    "$change.gone": "boolean",
    "$change.previous": "object",
    "$collected": "date",
    "$enrichment": "object",
    "$revision": "number",
    "$throttled": "number",
    "$identity": "text",
    "$search": "text",
    "$account.id": "text",
    "$account.name": "text",
}
_RETURNS: Mapping[str, Kind] = {
    "text": "text",
    "date": "date",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "ip": "text",
    "object": "object",
}


@dataclass(frozen=True, slots=True)
class KnownNames:
    """Names that a configuration defines: a match on another one never holds. ``None``: not known here."""

    searches: Collection[str] | None = None
    accounts: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class MatchProblems:
    """What is wrong with a match.

    Args:
        errors: no record can satisfy it, or a value is misspelt.
        unlikely: values beside others that the API does not document.
        unknown_fields: fields that the API does not document.
    """

    errors: tuple[Problem, ...]
    unlikely: tuple[Problem, ...]
    unknown_fields: tuple[Problem, ...]

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What may be a mistake; the match works."""
        return (*self.unknown_fields, *self.unlikely)


@dataclass(frozen=True, slots=True)
class Domain:
    """What a reference can hold: a kind, and the values where they are listed. *open*: more may come."""

    kind: Kind = "any"
    values: frozenset[str | int | float | bool] | None = None
    open: bool = True


ANYTHING = Domain()


NO_NAMES = KnownNames()


def check_match(match: Match, pack: Pack, known: KnownNames = NO_NAMES) -> MatchProblems:
    """Find what keeps *match*, in the scope of *pack*, from holding; names in it must exist."""
    checker = _Checker(pack, known, match)
    errors, unlikely = [*_contradictions(match)], list[Problem]()
    for test in _tests(match):
        fatal, doubtful = checker.test(test)
        errors += fatal
        unlikely += doubtful
    if not errors and checker.never(match):
        errors.append(
            Problem("no message can match this, whatever its verdict", next(match_refs(match)).position,
                    "its conditions exclude each other")
        )  # fmt: skip
    return MatchProblems(tuple(errors), tuple(unlikely), tuple(_unknown_fields(match)))


def _tests(match: Match) -> Iterator[Test]:
    if isinstance(match, Test):
        yield match
    elif isinstance(match, Not):
        yield from _tests(match.part)
    else:
        for part in match.parts:
            yield from _tests(part)


def _unknown_fields(match: Match) -> Iterator[Problem]:
    known = documented_paths()
    for ref in match_refs(match):
        path = ".".join(ref.path)
        if ref.root == RECORD and ref.path and path not in known and not path.startswith(FREE_FIELDS):
            yield Problem(f"the API documents no record field {path}", ref.position,
                          suggestion(path, known))  # fmt: skip


class _Checker:
    """Checks the tests of one match."""

    def __init__(self, pack: Pack, known: KnownNames, match: Match) -> None:
        self._pack = pack
        self._known = known
        roots = {ref.root for ref in match_refs(match)}
        names = [name for name in pack.derive if name in roots and self._by_verdict(name, ())]
        self._runs: dict[str | None, Evaluation] = {}
        for verdict in (*sorted(VERDICTS), None, NEW_VERDICT):
            run = Evaluation(pack, {} if verdict is None else {VERDICT: verdict}, {})
            for item in order(pack, names):
                run.names[item.name] = run.rule(item.rule)
            self._runs[verdict] = run
        self._verdict_names = frozenset(names)

    def _by_verdict(self, name: str, trail: tuple[str, ...]) -> bool:
        """Whether the derived value *name* follows from the verdict alone."""
        return all(
            ref.root == ELEMENT
            or (ref.root == RECORD and ref.path == (VERDICT,))
            or (
                ref.root in self._pack.derive
                and ref.root not in trail
                and self._by_verdict(ref.root, (*trail, name))
            )
            for ref in rule_refs(self._pack.derive[name])
        )

    # One test

    def test(self, test: Test) -> tuple[list[Problem], list[Problem]]:
        """Errors and warnings of one test."""
        if test.comparison == "exists":
            return [], []
        domain = self._domain(test.ref)
        reasons: dict[Operand, Problem] = {}
        misspelt = False
        for operand in test.operands:
            if isinstance(operand, Constant) and not self._holds_for_some(
                replace(test, operands=(operand,)), domain
            ):
                problem = _problem(test, operand.value, domain)
                reasons[operand] = problem
                misspelt = misspelt or problem.hint.startswith("did you mean")
        problems = list(reasons.values())
        if misspelt or len(reasons) == len(test.operands):
            return problems, []
        return [], problems

    def _holds_for_some(self, test: Test, domain: Domain) -> bool:
        if self._follows_from_verdict(test.ref):
            return any(self._holds_for_verdict(verdict, test) is not False for verdict in self._runs)
        [operand] = test.operands
        return (
            not isinstance(operand, Constant)
            or operand.value is None
            or _possible(test, operand.value, domain)
        )

    def _follows_from_verdict(self, ref: Ref) -> bool:
        return (ref.root == RECORD and ref.path == (VERDICT,)) or ref.root in self._verdict_names

    # The whole match

    def never(self, match: Match) -> bool:
        """Whether *match* fails for every verdict."""
        return all(self._holds_for_verdict(verdict, match) is False for verdict in self._runs)

    def _holds_for_verdict(self, verdict: str | None, match: Match) -> bool | None:
        """Whether *match* holds for a message with *verdict*; ``None`` where that depends on more."""
        if isinstance(match, Test):
            return self._test_holds_for_verdict(verdict, match)
        if isinstance(match, Not):
            inner = self._holds_for_verdict(verdict, match.part)
            return None if inner is None else not inner
        decisive = not isinstance(match, All)  # one such part decides
        results = [self._holds_for_verdict(verdict, part) for part in match.parts]
        if decisive in results:
            return decisive
        return None if None in results else not decisive

    def _test_holds_for_verdict(self, verdict: str | None, test: Test) -> bool | None:
        refs = [test.ref, *(operand for operand in test.operands if isinstance(operand, Ref))]
        if not all(self._follows_from_verdict(ref) for ref in refs):
            return None
        run = self._runs[verdict]
        value = run.read(test.ref)
        if verdict == NEW_VERDICT and any(_names_new_verdict(item) for item in as_list(value)):
            # A new verdict may have any name. A pattern says that somebody expects it; a plain value is a
            # typing error far more often.
            return None if test.comparison in ("matches", "contains") else False
        return run.match(test)

    # What a reference can hold

    def _domain(self, ref: Ref) -> Domain:
        if ref.root == RECORD:
            return _field_domain(".".join(ref.path))
        if ref.root == ELEMENT:
            is_verdict = bool(ref.path) and ref.path[-1] in VERDICT_FIELDS
            return Domain("text", VERDICTS) if is_verdict else ANYTHING
        if self._follows_from_verdict(ref):
            runs = (as_list(run.read(ref)) for verdict, run in self._runs.items() if verdict != NEW_VERDICT)
            values = frozenset(each for each in chain(*runs) if isinstance(each, str | int | float))
            return Domain("any", values)
        if ref.root in self._pack.derive:
            return ANYTHING if ref.path else self._rule_domain(self._pack.derive[ref.root], (ref.root,))
        return self._provided_domain(ref)

    def _provided_domain(self, ref: Ref) -> Domain:
        name = str(ref)
        if name == "$search" and self._known.searches is not None:
            return Domain("text", frozenset(self._known.searches), open=False)
        if name == "$account.name" and self._known.accounts is not None:
            return Domain("text", frozenset(self._known.accounts.values()), open=False)
        if name == "$account.id" and self._known.accounts is not None:
            return Domain("text", frozenset(self._known.accounts), open=False)
        if name == "$change.fields":
            return Domain("text", frozenset(path.partition(".")[0] for path in documented_paths()))
        return Domain(_PROVIDED_KINDS.get(name, "any"))

    def _rule_domain(self, rule: Rule, trail: tuple[str, ...]) -> Domain:
        domain = self._source_domain(rule, trail)
        for call in rule.calls:
            function = FUNCTIONS[call.name]
            if isinstance(call.argument, TableRef):
                entries = self._pack.tables[call.argument.name].entries.values()
                domain = _listed(
                    [value for value in entries if isinstance(value, str | int | float)], entries
                )
            elif call.name == "only" and isinstance(call.argument, Test) and call.argument.comparison == "is":
                kept = (each.value for each in call.argument.operands if isinstance(each, Constant))
                domain = Domain(domain.kind, frozenset(each for each in kept if isinstance(each, str | int)))
            elif function.returns != "same":
                domain = Domain(_RETURNS.get(function.returns, "any"))
        return domain if rule.fallback is None else _union([domain, self._rule_domain(rule.fallback, trail)])

    def _source_domain(self, rule: Rule, trail: tuple[str, ...]) -> Domain:
        match rule.source:
            case Constant(value):
                return _listed([value], [value]) if isinstance(value, str | int | float) else ANYTHING
            case FirstOf(parts) | AllOf(parts):
                return _union([self._rule_domain(part, trail) for part in parts])
            case From(ref) if ref.root not in trail and ref.root in self._pack.derive and not ref.path:
                return self._rule_domain(self._pack.derive[ref.root], (*trail, ref.root))
            case From(ref) if ref.root == RECORD:
                return _field_domain(".".join(ref.path))
        return ANYTHING


def _names_new_verdict(value: Value) -> bool:
    return isinstance(value, str) and NEW_VERDICT.casefold() in value.casefold()


def _field_domain(path: str) -> Domain:
    kind = RECORD_FIELDS.get(path) or RECORD_FIELDS.get(f"{path}[]") or _RECORD_KINDS.get(path)
    if kind is None:
        return ANYTHING
    values = RECORD_VALUES.get(path)
    return Domain(_KINDS.get(kind, "text"), None if values is None else frozenset(values))


_RECORD_KINDS: Mapping[str, str] = {path.replace("[]", ""): kind for path, kind in RECORD_FIELDS.items()}


def _listed(values: Sequence[str | int | float], every: Collection[Value]) -> Domain:
    """The domain of *values*, if they are all of *every*."""
    return Domain("any", frozenset(values), open=False) if len(values) == len(every) else ANYTHING


def _union(domains: Sequence[Domain]) -> Domain:
    kinds = {domain.kind for domain in domains}
    kind = kinds.pop() if len(kinds) == 1 else "any"
    if any(domain.values is None for domain in domains):
        return Domain(kind)
    values = frozenset(chain.from_iterable(domain.values or () for domain in domains))
    return Domain(kind, values, open=any(domain.open for domain in domains))


def _possible(test: Test, operand: Value, domain: Domain) -> bool:
    """Whether a value of *domain* can satisfy *test* with *operand*."""
    if domain.values is not None:
        compare = COMPARISONS[test.comparison]
        if any(compare(value, operand) for value in domain.values):
            return True
        # A pattern may name what the documentation does not list yet; a plain value is a typing error.
        return domain.open and test.comparison in ("matches", "contains")
    return _fits_kind(test, operand, domain.kind)


def _fits_kind(test: Test, operand: Value, kind: Kind) -> bool:
    match kind:
        case "boolean":
            return test.comparison in ("is", "is_verdict") and isinstance(operand, bool)
        case "number":
            return isinstance(operand, int | float) and not isinstance(operand, bool)
        case "text":
            return isinstance(operand, str)
        case "date":
            ordered = test.comparison not in ("matches", "contains")
            return isinstance(operand, str) and (not ordered or moment_of(operand) is not None)
        case "object":
            return False
        case "any":
            return True


_EXPECTED: Mapping[Kind, str] = {
    "boolean": "expected true or false",
    "number": "expected a number",
    "text": "expected text; put it in quotes",
    "date": "expected a date such as 2026-11-18 or 2026-11-18T09:41:07Z",
    "object": "it is an object; match one of the fields inside",
}


def _problem(test: Test, operand: Value, domain: Domain) -> Problem:
    words = {
        "gte": "at least ",
        "lte": "at most ",
        "contains": "text that contains ",
        "matches": "text like ",
    }
    message = f"{test.ref} is never {words.get(test.comparison, '')}{operand!r}"
    if domain.values is None:
        return Problem(message, test.ref.position, _EXPECTED.get(domain.kind, ""))
    numbers = sorted(value for value in domain.values if isinstance(value, int | float))
    if numbers and test.comparison in ("gte", "lte"):
        return Problem(message, test.ref.position, f"its values are {numbers[0]} to {numbers[-1]}")
    hint = suggestion(str(operand), sorted(map(str, domain.values)))
    if domain.open and not hint.startswith("did you mean"):
        hint = f"the API documents: {', '.join(sorted(map(str, domain.values)))}; for a new value use matches"
    return Problem(message, test.ref.position, hint)


def _contradictions(match: Match) -> Iterator[Problem]:
    """Tests that want a value and none at once."""
    if isinstance(match, Test):
        return
    for part in (match.part,) if isinstance(match, Not) else match.parts:
        yield from _contradictions(part)
    if isinstance(match, All):
        tests = list(_conjunction(match))
        absent = {str(test.ref) for test in tests if _wants_none(test)}
        for test in tests:
            if not _wants_none(test) and str(test.ref) in absent:
                yield Problem(
                    f"this never holds: {test.ref} cannot be both absent and present", test.ref.position
                )


def _conjunction(match: All) -> Iterator[Test]:
    """The tests that must all hold."""
    for part in match.parts:
        if isinstance(part, Test):
            yield part
        elif isinstance(part, All):
            yield from _conjunction(part)


def _wants_none(test: Test) -> bool:
    if test.comparison == "exists":
        return test.operands == (Constant(value=False),)
    return test.comparison in ("is", "is_verdict") and test.operands == (Constant(value=None),)
