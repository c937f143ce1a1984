"""Every filter of the cookbook lets through what its title says, and its searches are kept in one place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from email.utils import parseaddr
from typing import Any

import pytest

from connector.mapping import Library, compile_matcher, matches_either_state
from connector.model import Revision
from connector.yaml_nodes import parse
from tests.deploy.artefacts import ROOT
from tests.deploy.test_content import corpus_events

BAD = {"MALICIOUS", "MALICIOUS-BEC", "SPOOF", "SUSPICIOUS"}
KNOWN = {*BAD, "SPAM", "BULK", "ENCRYPTED", "EXTERNAL", "UNKNOWN", "NONE"}
Body = Mapping[str, Any]
Holds = Callable[[Body], bool]


def recipes(language: str) -> dict[str, str]:
    """The first block of *language* below each title of the cookbook."""
    page = (ROOT / "docs" / "cookbook.md").read_text("utf-8")
    found = {}
    for section in page.split("\n### ")[1:]:
        title, _, rest = section.partition("\n")
        _, fence, block = rest.partition(f"```{language}\n")
        if fence:
            found[title] = block.partition("```")[0].strip()
    return found


def texts(value: object) -> set[str]:
    """The texts in a value, whatever odd records have in its place."""
    if isinstance(value, list):
        return {text for one in value for text in texts(one)}
    return {value} if isinstance(value, str) and value else set()


def verdict(body: Body) -> str:
    return next(iter(texts(body.get("final_disposition"))), "UNKNOWN").upper()


def alert(body: Body) -> bool:
    return verdict(body) in BAD or verdict(body) not in KNOWN


def below(body: Body, name: str, key: str) -> object:
    value = body.get(name)
    return value.get(key) if isinstance(value, dict) else None


def addresses(body: Body, name: str) -> set[str]:
    value = body.get(name)
    found = {parseaddr(text)[1].lower() for text in texts(value)}
    return {one for one in found if "@" in one}


FILTERS: Mapping[str, Holds] = {
    "Only what is worth an alert": alert,
    "Business email compromise": lambda b: verdict(b) == "MALICIOUS-BEC",
    "Released from quarantine": lambda b: "QUARANTINE_RELEASE" in texts(b.get("post_delivery_operations")),
    "Reported by users": lambda b: b.get("is_phish_submission") is True,
    "Sender domains that were registered lately": lambda b: "DomainAge" in texts(b.get("threat_categories")),
    "An allow list let it through": lambda b: (
        alert(b) and below(b, "properties", "allowlisted_pattern") not in (None, "")
    ),
    "Everything sent to one department's domain": lambda b: any(
        one.endswith("@eu.corp.example") for one in addresses(b, "to") or addresses(b, "envelope_to")
    ),
    "Alerts for executives and other people who are targeted": lambda b: (
        alert(b)
        and bool(
            (addresses(b, "to") or addresses(b, "envelope_to"))
            & {"alice.example@corp.example", "leila.haddad@corp.example"}
        )
    ),
    "Spoofs of your own domain": lambda b: (
        any(one.endswith("@corp.example") for one in addresses(b, "from"))
        and (verdict(b) == "SPOOF" or below(b, "validation", "dmarc") == "fail")
    ),
}
"""The same in plain Python, on one state of a record, where a line or two says it."""


def states(revision: Revision) -> Iterator[Body]:
    """The new state, and of an update the previous one."""
    yield revision.record.body
    if revision.previous:
        yield {**revision.record.body, **revision.previous}


def passed(title: str) -> list[Revision]:
    node = parse(recipes("yaml")[title], "cookbook.md").value
    assert isinstance(node, dict)
    lets = matches_either_state(compile_matcher(node["when"], Library().load("ecs")))
    return [event.revision for event in corpus_events() if lets(event.revision)]


@pytest.mark.parametrize("title", recipes("yaml"))
def test_a_filter_lets_through_some_messages_and_not_others(title: str) -> None:
    assert 0 < len(passed(title)) < len(corpus_events())


@pytest.mark.parametrize("title", FILTERS)
def test_a_filter_is_what_its_title_says(title: str) -> None:
    expected = [
        event.revision
        for event in corpus_events()
        if any(FILTERS[title](state) for state in states(event.revision))
    ]
    found = passed(title)

    assert [one.record.body for one in found] == [one.record.body for one in expected]


def test_no_recipe_is_written_twice_or_left_out() -> None:
    page = (ROOT / "docs" / "cookbook.md").read_text("utf-8")
    titles = re.findall(r"^### (.+)$", page, re.MULTILINE)

    assert len(titles) == len(set(titles)) >= 20
    assert set(titles) == {*recipes("yaml"), *recipes("lucene")}
