"""The dashboards for OpenSearch Dashboards and Kibana: whole, and from their description."""

from __future__ import annotations

import json
import re

from connector.outputs.elasticsearch.index_template import shipped
from tests.deploy.dashboards import saved_objects, search_of, visualizations
from tests.unit.outputs.test_elasticsearch_setup import leaves
from tools.dashboards import FILES, PANELS, text

FIELDS = leaves(shipped()["template"]["mappings"]["properties"])


def test_the_files_are_those_of_the_description() -> None:
    stale = [path.name for path in FILES if not path.exists() or path.read_text("utf-8") != text()]

    assert stale == [], "run make content"


def test_every_reference_leads_to_an_object_of_the_file() -> None:
    found = saved_objects()
    names = [(one["type"], one["id"]) for one in found]

    assert len(set(names)) == len(names)
    for one in found:
        assert {(each["type"], each["id"]) for each in one["references"]} <= set(names)
        assert one["migrationVersion"].keys() == {one["type"]}
    [dashboard] = [one for one in found if one["type"] == "dashboard"]
    used = {each["name"] for each in dashboard["references"]}
    assert used == {panel["panelRefName"] for panel in json.loads(dashboard["attributes"]["panelsJSON"])}
    assert len(used) == len(PANELS) + 1


def test_panels_lie_beside_each_other() -> None:
    [dashboard] = [one for one in saved_objects() if one["type"] == "dashboard"]
    taken: set[tuple[int, int]] = set()

    for panel in json.loads(dashboard["attributes"]["panelsJSON"]):
        grid = panel["gridData"]
        cells = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert not cells & taken, panel["panelRefName"]
        assert grid["x"] + grid["w"] <= 48
        taken |= cells


def test_every_field_has_a_type_that_can_be_counted() -> None:
    for name, one in visualizations().items():
        request = json.dumps(search_of(one, "1h"))
        counted = re.findall(r'"field": "([^"]+)"', request)
        asked = re.findall(r"([\w@]+(?:\.\w+)+):", request)
        assert set(counted + asked) <= set(FIELDS), name
        assert {FIELDS[each] for each in counted} <= {"keyword", "date", "boolean"}
        assert not [each for each in counted if each.startswith("email.attachments")], "nested"
    [triage] = [one for one in saved_objects() if one["type"] == "search"]
    assert set(triage["attributes"]["columns"]) <= set(FIELDS)
