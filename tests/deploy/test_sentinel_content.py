"""The KQL of ``deploy/content/sentinel`` finds the rows of the messages that its rule is about."""

from __future__ import annotations

import functools

import orjson
import pytest

from connector.mapping import Library, build_mapper
from tests.deploy.test_content import EXPECTED, Document, corpus_events
from tests.support.kql import matches
from tools.content import rules
from tools.kql import kql


@functools.cache
def pairs() -> tuple[tuple[Document, Document], ...]:
    """Each message of the corpus as a document of ECS and as a row of ASIM."""
    mapper = build_mapper(Library().load("asim"))
    made = [(event, mapper(event.revision)) for event in corpus_events()]
    return tuple((orjson.loads(ecs.payload), orjson.loads(row.payload)) for ecs, row in made if row)


@pytest.mark.parametrize("title", EXPECTED)
def test_the_query_matches_the_rows_of_the_messages_that_the_question_is_about(title: str) -> None:
    query = next(query for rule, query in kql(rules()) if rule.title == title)
    _, schema, condition, _ = query.split("\n| ")

    assert schema == 'where EventSchema == "EmailEvent"'
    for document, row in pairs():
        assert document["event"]["id"] == row["EventOriginalUid"]
        wanted = EXPECTED[title](document)
        assert matches(condition.removeprefix("where "), row) == wanted, row["EventOriginalUid"]
