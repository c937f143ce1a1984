"""Requests by condition: which applies, and that no text of a record leads to another path."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import ConfigurationError
from connector.formats.escaping import escape
from connector.mapping import Library, compile_requests, request_warnings
from connector.mapping.requests import UnusablePath
from connector.model import Feed, Record, Revision
from connector.outputs.http.output import below
from connector.yaml_nodes import parse

PACK = Library().load("ecs")
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
URL = "https://collector.example:8443/base/?token=x"


def rendered(written: str, **body: Any) -> dict[str, Any]:
    render = compile_requests(parse(written, "connector.yaml"), PACK, escape=escape("plain"))
    record = Record(str(body.get("id", "r")), body)
    made, _ = render(Revision(Feed("a", "s"), record, "d", 1, NOW), {"n": 1})
    assert isinstance(made, dict)
    return made


TWO = """
- when: {not: {$severity: {gte: 7}}}
  path: "/{id}/close?by=alias&who={from}"
  method: PUT
  body: {note: "{subject}"}
- body: {message: "{subject} "}
"""


def test_the_first_request_that_applies_is_sent() -> None:
    closed = rendered(TWO, id="a", final_disposition="NONE", subject="http://x.example", **{"from": "a&b@c"})
    opened = rendered(TWO, id="a", final_disposition="MALICIOUS", subject="hi")

    assert closed == {
        "path": "/a/close?by=alias&who=a%26b%40c",
        "method": "PUT",
        "body": {"note": "hxxp://x[.]example"},
    }
    assert opened == {"path": "", "method": "POST", "body": {"message": "hi "}}


def test_a_path_is_added_to_that_of_the_url_and_its_query_to_the_query() -> None:
    assert below(URL, "/a/close?by=alias") == "https://collector.example:8443/base/a/close?token=x&by=alias"
    assert below(URL, "") == URL


@given(st.text(max_size=30) | st.sampled_from(["..", ".", "../..", "a/../b", "%2e%2e", "@evil", "//evil"]))
def test_no_text_of_a_record_changes_host_or_structure(value: str) -> None:
    written = '[{path: "/alerts/{subject}/close?alias={subject}", body: {}}]'
    try:
        url = urlsplit(below(URL, rendered(written, id="a", subject=value)["path"]))
    except UnusablePath:
        return
    assert (url.scheme, url.netloc, url.fragment) == ("https", "collector.example:8443", "")
    base, alerts, segment, close = url.path.strip("/").split("/")
    assert (base, alerts, close) == ("base", "alerts", "close")
    assert unquote(url.path).count("/") == 4
    assert unquote(segment) not in {"", ".", ".."}
    assert [part.partition("=")[0] for part in url.query.split("&")] == ["token", "alias"]


@pytest.mark.parametrize("value", ["..", ".", "a/b", "a\\b", "a\r\nb", "", None, "x" * 3000])
def test_a_value_that_makes_no_segment_is_an_error(value: str | None) -> None:
    with pytest.raises(UnusablePath):
        rendered('[{path: "/{subject}", body: {}}]', id="a", subject=value)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('[{path: "close", body: {}}]', "1:9: expected a path such as"),
        ('[{path: "//evil.example/{id}", body: {}}]', "expected a path"),
        ('[{path: "/a/../b", body: {}}]', "expected a path"),
        ('[{path: "/a?b?c", body: {}}]', "expected a path"),
        ('[{path: "/a#b", body: {}}]', "expected a path"),
        ('[{path: "/a b", body: {}}]', "expected a path"),
        ('[{path: "/{$nothing}", body: {}}]', "there is no $nothing"),
        ('[{body: {a: "{$nothing}"}}]', "there is no $nothing"),
        ("[{when: {final_disposition: MALICIUOS}, body: {}}, {body: {}}]", "MALICIUOS"),
    ],
)
def test_mistakes_are_told_with_their_place(written: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_requests(parse(written, "connector.yaml"), PACK)
    assert told in str(caught.value)


def test_unknown_fields_deserve_a_look_in_every_part() -> None:
    written = '[{when: {subjct: a}, path: "/{subjct}", body: {a: "{subjct}"}}, {body: {}}]'

    found = request_warnings(parse(written, "connector.yaml"), PACK)

    assert len(found) == 3
    assert all("subjct" in str(problem) for problem in found)
