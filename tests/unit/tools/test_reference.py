"""The generated pages say what the code says."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry

from connector.telemetry.metric_families import Families
from tools.reference import ROOT, pages

PAGES = pages()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_generated_page_is_as_the_code_makes_it(path: object) -> None:
    (one,) = [page for page in PAGES if page == path]

    assert one.read_text("utf-8") == PAGES[one], "run: make reference"


def test_every_metric_that_can_be_scraped_is_on_the_page() -> None:
    registry = CollectorRegistry()
    Families(registry)
    scraped = {name for family in registry.collect() for name in [family.name + _suffix(family.type)]}
    text = PAGES[ROOT / "docs" / "reference" / "metrics.md"]

    assert {
        f"email_connector_{name}" for name in re.findall(r"^\| `([a-z_]+)`", text, re.MULTILINE)
    } == scraped


def _suffix(kind: str) -> str:
    return "_total" if kind == "counter" else ""
