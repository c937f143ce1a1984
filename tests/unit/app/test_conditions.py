"""``when`` of an output and of enrichment: the start is refused where it can never hold."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.app.collectors import plan_feeds
from connector.app.routes import build_routes, expression_warnings
from connector.errors import ConfigurationError
from connector.settings import Loaded
from tests.unit.settings.support import MINIMAL, read

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)


def with_when(tmp_path: Path, *, output: str = "{$alert: true}", enrich: str = "{$alert: true}") -> Loaded:
    text = MINIMAL.replace("every: 60s", f"every: 60s, enrich: {{when: {enrich}}}")
    return read(tmp_path, text.replace("type: stdout", f"type: stdout\n    when: {output}"))


def build(loaded: Loaded) -> None:
    plan_feeds(loaded, lambda: NOW)
    build_routes(loaded, lambda fact: None, {})


@pytest.mark.parametrize("place", ["output", "enrich"])
@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("{final_disposition: [MALICIUOS]}", "is never 'MALICIUOS' (did you mean MALICIOUS?)"),
        ("{$severity: {gte: 11}}", "$severity is never at least 11 (its values are 0 to 10)"),
        ("{$search: detection}", "$search is never 'detection'"),
        ("{$account.name: production}", "$account.name is never 'production'"),
    ],
)
def test_a_condition_that_never_holds_stops_the_start(
    tmp_path: Path, place: str, when: str, message: str
) -> None:
    loaded = with_when(tmp_path, output=when) if place == "output" else with_when(tmp_path, enrich=when)

    with pytest.raises(ConfigurationError) as caught:
        build(loaded)

    [problem] = caught.value.problems
    assert message in str(problem)
    assert problem.position is not None
    assert problem.position.file.endswith("connector.yaml")


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("final_disposision", "did you mean final_disposition?"),
        ("validation.dmarc", "watch validation, the whole field"),
    ],
)
def test_a_watched_field_that_no_record_has_is_a_warning(tmp_path: Path, field: str, hint: str) -> None:
    text = MINIMAL.replace("every: 60s", f"every: 60s, watch: [subject, {field}]")
    [warning] = expression_warnings(read(tmp_path, text))

    assert "connector.yaml:" in warning
    assert f"no record field {field}: its changes create no revision ({hint})" in warning


@pytest.mark.parametrize("place", ["output", "enrich"])
def test_a_field_that_the_api_does_not_document_is_a_warning(tmp_path: Path, place: str) -> None:
    when = "{final_dispositon: MALICIOUS}"
    loaded = with_when(tmp_path, output=when) if place == "output" else with_when(tmp_path, enrich=when)

    [warning] = expression_warnings(loaded)

    build(loaded)
    assert "connector.yaml:" in warning
    assert "the API documents no record field final_dispositon" in warning
    assert "did you mean final_disposition?" in warning
