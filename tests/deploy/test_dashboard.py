"""The Grafana dashboard: its panels lie side by side, name their source, and say what they show."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

from connector.telemetry.metric_families import COUNTERS, GAUGES, HISTOGRAMS, NAMESPACE
from tests.deploy.artefacts import DASHBOARD, dashboard_expressions, metrics_in

BOARD = json.loads(DASHBOARD.read_text())
PANELS: list[dict[str, Any]] = BOARD["panels"]


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not (beside or above)


def test_no_panel_covers_another_or_leaves_the_page() -> None:
    places = [panel["gridPos"] for panel in PANELS]

    assert not [pair for pair in combinations(places, 2) if overlap(*pair)]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_every_query_asks_the_chosen_source_and_the_chosen_instance() -> None:
    variables = {one["name"] for one in BOARD["templating"]["list"]}

    assert variables == {"datasource", "instance", "account", "search", "output"}
    for panel in PANELS:
        for target in panel.get("targets", ()):
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for _, expression in dashboard_expressions():
        assert 'instance=~"$instance"' in expression


def test_every_metric_of_the_dashboard_is_one_of_the_connector() -> None:
    known = {f"{NAMESPACE}_{family.name}_total" for family in COUNTERS}
    known |= {f"{NAMESPACE}_{family.name}" for family in GAUGES}
    known |= {f"{NAMESPACE}_{family.name}_bucket" for family, _ in HISTOGRAMS}

    for title, expression in dashboard_expressions():
        assert metrics_in(expression) <= known, title
        assert metrics_in(expression), title


def test_colours_are_for_what_needs_a_look() -> None:
    stats = [panel for panel in PANELS if panel["type"] == "stat" and "Version" not in panel["title"]]

    for panel in stats:
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0] == {"color": "green", "value": None}
        assert panel["description"]


def test_a_feed_is_shown_with_the_name_of_its_account() -> None:
    feeds = [
        (p["title"], t) for p in PANELS for t in p.get("targets", ()) if "{{search}}" in t["legendFormat"]
    ]

    assert feeds
    for title, target in feeds:
        assert "{{name}} / {{search}}" in target["legendFormat"], title
        assert 'email_connector_account_info{instance=~"$instance",name=~"$account"}' in target["expr"], title
