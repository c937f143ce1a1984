"""Runs the inline tests of a mapping file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from connector.errors import Position
from connector.mapping.functions.dates import moment_of
from connector.mapping.functions.values import Value, unequal
from connector.mapping.language.file import InlineTest
from connector.mapping.language.pack import Pack
from connector.mapping.mapper import build_interpreter, build_map
from connector.mapping.schemas.encoding import SHAPES
from connector.model import Body, Feed, JsonObject, Record, Revision

COLLECTED = datetime(2026, 1, 1, tzinfo=UTC)
"""``$collected`` of a test that gives neither that nor any date; else the default is its latest date."""

ACCOUNT = "0" * 32
SEARCH = "test"


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What came of one inline test; *failures* is empty where it passed."""

    name: str
    position: Position
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether all targets were as expected."""
        return not self.failures


def run_tests(pack: Pack) -> Sequence[TestOutcome]:
    """Run every inline test of *pack*, compiled and by walking the rules."""
    return [TestOutcome(case.name, case.position, tuple(_failures(pack, case))) for case in pack.tests]


def revision_of(given: Body) -> Revision:
    """The revision that a test's ``given`` describes; keys with ``$`` set values outside the record."""
    record = {key: value for key, value in given.items() if not key.startswith("$")}
    account = given.get("$account")
    return Revision(
        Feed(str(account["id"]) if isinstance(account, dict) and "id" in account else ACCOUNT,
             str(given.get("$search", SEARCH))),
        Record(str(record.get("id", "test")), record),
        digest="0" * 32,
        number=int(given.get("$revision", 2 if "$previous" in given else 1)),
        collected=_moment(given.get("$collected"))
        or max((moment for value in record.values() if (moment := _moment(value))), default=COLLECTED),
        previous=given.get("$previous"),
        enrichment=given.get("$enrichment") or {},
        gone=given.get("$gone") is True,
        throttled=int(given.get("$throttled", 0)),
    )  # fmt: skip


def _moment(value: Value) -> datetime | None:
    return moment_of(value) if isinstance(value, str) else None


def _failures(pack: Pack, case: InlineTest) -> list[str]:
    revision = revision_of(case.given)
    accounts = _accounts(case.given)
    reference = build_interpreter(pack, accounts=accounts)
    mapped, names = reference.trace(revision)
    failures = []
    if build_map(pack, accounts=accounts)(revision) != mapped:
        failures.append("the compiled and the interpreted mapping differ: please report this bug")
    for name, expected in case.expect.items():
        if name.startswith("$"):
            actual = names.get(name[1:])
        else:
            actual = _at(mapped.document, name, nested=SHAPES[pack.format].nested)
        if _differs(actual, expected):
            failures.append(f"{name} is {_shown(actual)}, not {_shown(expected)}")
    return failures


def _accounts(record: Body) -> Mapping[str, str]:
    account = record.get("$account")
    if isinstance(account, dict) and "name" in account:
        return {str(account.get("id", ACCOUNT)): str(account["name"])}
    return {}


def _at(document: JsonObject, name: str, *, nested: bool) -> Value:
    if not nested:
        return document.get(name)
    value: Value = document
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _differs(actual: Value, expected: Value) -> bool:
    if isinstance(expected, dict) and isinstance(actual, dict):
        return actual.keys() != expected.keys() or any(_differs(actual[key], expected[key]) for key in actual)
    if isinstance(expected, list) and isinstance(actual, list):
        return len(actual) != len(expected) or any(map(_differs, actual, expected))
    return unequal(actual, expected)


def _shown(value: Value) -> str:
    return "absent" if value is None else json.dumps(value, ensure_ascii=False, default=str)
