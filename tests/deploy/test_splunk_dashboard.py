"""The add-on's dashboard asks for fields that events have, and its navigation leads to it."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from tests.deploy.splunk import ADDON, conf, searched
from tests.deploy.test_splunk import DOCUMENTS, JSON, flat

VIEWS = ADDON / "default" / "data" / "ui" / "views"
VIEW = ET.parse(VIEWS / "email_security_overview.xml").getroot()
SEARCHES = {
    title.text or "": query.text or ""
    for panel in VIEW.iter("panel")
    if (title := panel.find(".//title")) is not None and (query := panel.find(".//query")) is not None
}
KNOWN = {field for document in DOCUMENTS for field in searched(JSON, "", flat(document))}
MADE = {"_time", "count", "recipients", "extension"}
"""What Splunk has by itself, or the search makes."""


def fields(query: str) -> set[str]:
    """The fields that a search of the few commands used here reads."""
    found = set(re.findall(r'(?:^|\s)"?([\w.{}]+)"?=', query)) - {"eventtype", "field"}
    for names in re.findall(r"\| (?:stats|timechart) [^|]*?\bby ([^|]+)", query):
        found |= {name.strip('" ') for name in re.split(r"[,\s]+", names) if name}
    for names in re.findall(r"\| table ([^|]+)", query):
        found |= {name.strip() for name in names.split(",")}
    found |= {name for groups in re.findall(r"dc\((\w+)\)|mvexpand (\w+)", query) for name in groups if name}
    return found - MADE


@pytest.mark.parametrize("title", SEARCHES)
def test_every_field_of_a_search_is_in_the_events(title: str) -> None:
    read = fields(SEARCHES[title])

    assert read <= KNOWN
    [eventtype] = re.findall(r"^eventtype=(\w+)", SEARCHES[title])
    assert eventtype in conf("eventtypes.conf")


def test_the_searches_read_fields_at_all() -> None:
    assert len(SEARCHES) == len(list(VIEW.iter("query"))) == 16
    assert len({field for query in SEARCHES.values() for field in fields(query)}) > 10


def test_values_that_are_asked_for_are_values_of_events() -> None:
    actions = {document["filter_action"] for document in DOCUMENTS}

    for query in SEARCHES.values():
        assert set(re.findall(r"\bfilter_action=(\w+)", query)) <= actions


def test_the_navigation_opens_the_dashboard() -> None:
    nav = ET.parse(ADDON / "default" / "data" / "ui" / "nav" / "default.xml")
    [first] = [one for one in nav.iter("view") if one.get("default") == "true"]

    assert (VIEWS / f"{first.get('name')}.xml").exists()
    assert conf("app.conf")["ui"]["is_visible"] == "true"
