"""What a search reads: filters, defaults and refusals that depend on it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from connector.collect.feed_config import FeedConfig
from connector.errors import ConfigurationError
from connector.model import Feed, Query, SearchSource
from connector.settings import Search
from connector.source import submissions
from connector.source.catalog import FILTER_TABLES
from tests.unit.settings.support import ACCOUNT, read

HEAD = f"accounts: {{prod: {{account_id: {ACCOUNT}, api_token: abc}}}}\n"


def search(directory: Path, text: str) -> Search:
    loaded = read(directory, f"{HEAD}searches: {{one: {text}}}\noutputs: {{out: {{type: stdout}}}}\n")
    return loaded.settings.searches["one"]


def problem(directory: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        search(directory, text)
    return "\n".join(map(str, caught.value.problems))


def test_messages_are_the_default_and_the_fingerprint_of_such_a_feed_is_as_it_was(tmp_path: Path) -> None:
    assert search(tmp_path, "{}").source is SearchSource.INVESTIGATE
    config = FeedConfig(Feed("a", "b"), Query({"detections_only": True}))
    assert config.fingerprint == "0151954376b6e6e5"
    other = FeedConfig(Feed("a", "b"), Query({"detections_only": True}), source=SearchSource.SUBMISSIONS)
    assert other.fingerprint != config.fingerprint


def test_defaults_depend_on_the_source(tmp_path: Path) -> None:
    reports = search(tmp_path, "{source: submissions}")
    assert reports.watch == submissions.WATCHED
    assert reports.revisit == Search.model_fields["revisit"].default

    changes = search(tmp_path, "{source: audit_logs}")
    assert (changes.watch, changes.revisit, changes.overlap) == ((), (), timedelta(minutes=10))
    again = search(tmp_path, "{source: audit_logs, revisit: [1h], overlap: 1m}")
    assert (again.revisit, again.overlap) == ((timedelta(hours=1),), timedelta(minutes=1))


def test_filters_are_those_of_the_source(tmp_path: Path) -> None:
    assert search(
        tmp_path, "{source: submissions, filters: {type: user, escalated_from_user: true}}"
    ).filters == {
        "type": "USER",
        "escalated_from_user": True,
    }
    audit = (
        "{source: audit_logs, filters: {actor_email.not: [a@b.example, c@b.example], raw_status_code: 403}}"
    )
    assert search(tmp_path, audit).filters == {
        "actor_email.not": ("a@b.example", "c@b.example"),
        "raw_status_code": "403",
    }


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (
            "{source: submissions, filters: {detections_only: true}}",
            "filters.detections_only",
            "source: investigate",
        ),
        ("{source: submissions, filters: {typ: USER}}", "filters.typ", "did you mean type?"),
        ("{source: submissions, filters: {type: [USER, TEAM]}}", "filters.type", "one search per value"),
        ("{source: submissions, filters: {order: subject}}", "filters.order", "in order of time"),
        ("{source: submissions, filters: []}", "filters", "type: USER"),
        ("{source: audit_logs, filters: {since: 2026-01-01}}", "filters.since", "use `start` of the search"),
        ("{source: audit_logs, filters: {limit: 5}}", "filters.limit", "set `per_page`"),
        ("{source: audit_logs, filters: {actor_email: []}}", "filters.actor_email", "at least one value"),
        ("{filters: {actor_email: a@b.example}}", "filters.actor_email", "source: audit_logs"),
        ("{source: submissions, enrich: {}}", "enrich", "only with source: investigate"),
        ("{source: audit_logs, watch: [action]}", "watch", "entries never change"),
        ("{source: audits}", "source", "investigate, submissions or audit_logs"),
    ],
)
def test_what_a_source_does_not_have_is_refused_with_place_and_suggestion(
    tmp_path: Path, text: str, place: str, words: str
) -> None:
    said = problem(tmp_path, text)

    assert f"searches.one.{place}: " in said
    assert words in said


def test_a_source_that_does_not_exist_is_one_problem_whatever_its_filters(tmp_path: Path) -> None:
    assert len(problem(tmp_path, "{source: audits, filters: {x: y}}").splitlines()) == 1


@pytest.mark.parametrize("source", SearchSource)
def test_no_filter_is_also_refused(source: SearchSource) -> None:
    table = FILTER_TABLES[source]
    assert not set(table.filters) & set(table.not_filters)


def test_parquet_needs_a_place_for_audit_logs(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    lake = "type: s3, format: parquet, bucket: bucket, region: eu-central-1, mapping: ocsf"
    keys = "auth: {web_identity: {role_arn: 'arn:aws:iam::123456789012:role/x'}}"

    def config(more: str, place: str = "") -> str:
        where = f"security_lake: {{source: cf, account: '1'{place}}}"
        output = f"outputs: {{lake: {{{lake}, {keys}, {where}{more}}}}}"
        return f"{HEAD}searches: {{log: {{source: audit_logs}}}}\n{output}\n"

    with pytest.raises(
        ConfigurationError, match=r"audit_logs_source is missing: searches\.log reads audit logs"
    ):
        read(tmp_path, config(""))
    read(tmp_path, config("", ", audit_logs_source: cf-audit"))
    read(tmp_path, config(", when: {$search: other}"))
