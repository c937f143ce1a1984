"""``group_by`` and ``throttle`` of an output: what groups, and what is refused with its place."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.app.routes import Route, build_routes, expression_warnings
from connector.errors import ConfigurationError
from connector.model import Feed, Record, Revision
from connector.settings import Loaded
from tests.unit.settings.support import MINIMAL, read

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)


def configured(tmp_path: Path, settings: str) -> Loaded:
    return read(tmp_path, MINIMAL.replace("type: stdout", f"type: stdout\n    {settings}"))


def route(loaded: Loaded) -> Route:
    [built] = build_routes(loaded, lambda fact: None, {})
    return built


def key(built: Route, **body: object) -> str | None:
    options = built.options(dict, lambda: NOW)
    assert options.group_by is not None
    return options.group_by.key(Revision(Feed("account", "detections"), Record("a", body), "", 1, NOW))


def test_equal_fields_are_one_group_in_any_case_and_no_fields_are_none(tmp_path: Path) -> None:
    built = route(configured(tmp_path, "group_by: {fields: [subject, $sender_domains], within: 30m}"))

    one = key(built, subject="Invoice", **{"from": "A <a@evil.example>"})
    assert one == key(built, subject="INVOICE", **{"from": "b@Evil.example"})
    assert one is not None
    assert one != key(built, subject="Invoice", **{"from": "a@other.example"})
    assert one != key(built, subject="Invoice")
    assert key(built, to=["victim@corp.example"]) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("group_by: {fields: [$sender_domain], within: 30m}", "there is no $sender_domain"),
        ("group_by: {fields: [subject]}", "within"),
        ("group_by: {fields: [], within: 30m}", "fields"),
        ("group_by: {fields: [subject], within: 2d}", "within"),
        ("throttle: {per_minute: 0}", "per_minute"),
        ("throttle: {per_minute: 1, per_second: 1}", "per_second"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(tmp_path: Path, settings: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        route(configured(tmp_path, settings))

    problem = caught.value.problems[0]
    assert message in str(problem)
    assert problem.position is not None
    assert problem.position.file.endswith("connector.yaml")


def test_a_field_that_the_api_does_not_document_is_a_warning(tmp_path: Path) -> None:
    loaded = configured(tmp_path, "group_by: {fields: [subjct], within: 30m}")

    [warning] = expression_warnings(loaded)

    assert "no record field subjct (did you mean subject?)" in warning
