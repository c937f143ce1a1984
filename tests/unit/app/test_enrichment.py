"""``enrich`` of a search: a wrong match is told with its place before anything starts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.app.collectors import plan_feeds
from connector.errors import ConfigurationError
from connector.model import Feed, Record, Revision
from connector.settings import load
from tests.unit.settings.support import ACCOUNT, MINIMAL, TOKENS, read

HINT = " (match fields of the record, or use the output's when)"
NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)


def with_enrich(text: str) -> str:
    return MINIMAL.replace("every: 60s", f"every: 60s, enrich: {text}")


def wrong(tmp_path: Path, text: str) -> list[str]:
    loaded = read(tmp_path, with_enrich(text))
    with pytest.raises(ConfigurationError) as caught:
        plan_feeds(loaded, lambda: NOW)
    return str(caught.value).replace(f"{tmp_path}/", "").split("\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{when: {$severty: 5}}", "6:44: there is no $severty (did you mean $severity?)"),
        ("{when: {subject: {gt: 5}}}", "6:54: there is no comparison gt (did you mean gte?)"),
        (
            "{when: {any: [{from: x}, {$change.fields: {exists: true}}]}}",
            "6:62: $change.fields is not set before enrichment" + HINT,
        ),
    ],
)
def test_a_wrong_match_is_reported_with_its_position_and_the_nearest_name(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert wrong(tmp_path, text) == [f"connector.yaml:{expected}"]


def test_everything_that_is_wrong_is_reported_at_once(tmp_path: Path) -> None:
    text = with_enrich("{when: {$severty: 5}}").replace(
        "outputs:", "  other: {enrich: {when: {$codee: x}}}\noutputs:"
    )
    with pytest.raises(ConfigurationError) as caught:
        plan_feeds(read(tmp_path, text), lambda: NOW)

    assert [problem.position.line for problem in caught.value.problems if problem.position] == [6, 7]


def test_a_match_reads_the_prelude_and_the_accounts_name(tmp_path: Path) -> None:
    (feed,) = plan_feeds(
        read(tmp_path, with_enrich("{when: {$severity: {gte: 5}, $account.name: prod}}")), lambda: NOW
    )
    assert feed.enrichment is not None
    assert feed.enrichment.endpoints == ("detections",)
    when = feed.enrichment.when
    assert when is not None

    def matches(disposition: str) -> bool:
        record = Record("m", {"id": "m", "final_disposition": disposition})
        return when(Revision(Feed(ACCOUNT, "detections"), record, "", 1, NOW))

    assert [matches(word) for word in ("MALICIOUS", "SUSPICIOUS", "SPAM", "NONE")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_match_reads_the_users_own_prelude(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "common.yaml").write_text(
        "mapping: 1\nextends: common\nderive: {vip: {const: true, when: {to: boss@corp.example}}}\n"
    )
    text = with_enrich("{when: {$vip: true}}") + "mappings: {directory: own}\n"

    assert plan_feeds(read(tmp_path, text), lambda: NOW)[0].enrichment is not None


def test_a_search_enriches_only_when_asked_to(tmp_path: Path) -> None:
    assert plan_feeds(read(tmp_path, MINIMAL), lambda: NOW)[0].enrichment is None


def test_variables_alone_can_ask_for_it(tmp_path: Path) -> None:
    variables = {"CONNECTOR_SEARCHES__DETECTIONS__ENRICH__ENDPOINTS": "detections,trace"}
    (tmp_path / "connector.yaml").write_text(MINIMAL)
    loaded = load(tmp_path / "connector.yaml", {**TOKENS, **variables})
    (feed,) = plan_feeds(loaded, lambda: NOW)

    assert feed.enrichment is not None
    assert (feed.enrichment.endpoints, feed.enrichment.when) == (("detections", "trace"), None)


def test_enrichment_without_revisits_is_noted(tmp_path: Path) -> None:
    loaded = read(tmp_path, with_enrich("{}, revisit: []"))

    assert any("never completed" in note for note in loaded.notes)
