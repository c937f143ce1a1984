"""One event that a collector never takes costs one dead letter; the other 1 999 arrive."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connector.outputs.elasticsearch.output import ElasticsearchSettings
from connector.outputs.splunk_hec.output import SplunkHecSettings
from tests.scenarios.outputs.delivering import as_json, as_line, delivering
from tests.support.bulk_collector import bulk_collector, trouble
from tests.support.collectors import unobserved
from tests.support.hec_collector import TOKEN, hec_collector
from tests.support.sampling import slow
from tests.unit.delivery.fakes import revisions

ALL = {str(number) for number in range(1, 2001)}
POISON = "1234"


@pytest.mark.parametrize("code", [6, slow(12), slow(13), slow(15)])
@pytest.mark.parametrize("keeps_head", [False, True])
async def test_splunk_names_the_event(code: int, *, keeps_head: bool) -> None:
    def poison(document: Any) -> int | None:
        return code if document["id"] == POISON else None

    async with hec_collector(poison=poison, keeps_head=keeps_head) as collector:
        settings = SplunkHecSettings.model_validate({"url": collector.url, "token": TOKEN})
        async with delivering(settings.build("siem", unobserved), revisions(2000)) as delivery:
            await delivery.done()
            taken = [one["event"]["id"] for one in collector.events]
            assert set(taken) == ALL - {POISON}
            assert len(taken) - len(set(taken)) <= (500 if keeps_head else 0)
            assert delivery.log.dead_lettered == {POISON: "refused"}
            [letter] = delivery.log.letters
            assert f"code {code}" in letter.answer


@pytest.mark.parametrize("position", ["1", slow("2"), slow("500"), "501", slow("2000")])
@pytest.mark.parametrize("base", [0, 1])
async def test_whether_splunk_counts_from_0_or_1_dead_letters_nothing_else(base: int, position: str) -> None:
    def poison(document: Any) -> int | None:
        return 6 if document["id"] == position else None

    async with hec_collector(poison=poison, base=base) as collector:
        settings = SplunkHecSettings.model_validate({"url": collector.url, "token": TOKEN})
        async with delivering(settings.build("siem", unobserved), revisions(2000)) as delivery:
            await delivery.done()
            assert {one["event"]["id"] for one in collector.events} == ALL - {position}
            assert delivery.log.dead_lettered == {position: "refused"}


async def test_an_index_of_its_own_that_does_not_exist_dead_letters_that_event_alone() -> None:
    def mapper(revision: Any) -> Any:
        event = as_json(revision)
        return replace(event, code="email.malicious") if revision.record.id == POISON else event

    async with hec_collector() as collector:
        given = {"url": collector.url, "token": TOKEN, "index": "mail", "indexes": {"email.mal*": "nowhere"}}
        output = SplunkHecSettings.model_validate(given).build("siem", unobserved)
        async with delivering(output, revisions(2000), mapper=mapper) as delivery:
            await delivery.done()
            assert {one["event"]["id"] for one in collector.events} == ALL - {POISON}
            assert delivery.log.dead_lettered == {POISON: "refused"}


async def test_splunk_does_not_name_a_line_which_is_found_by_halving() -> None:
    text = f"CEF:0|test|{POISON}|"

    def poison(line: Any) -> int | None:
        return 6 if line in {text, text.encode()} else None

    async with hec_collector(poison=poison) as collector:
        settings = SplunkHecSettings.model_validate({"url": collector.url, "token": TOKEN, "endpoint": "raw"})
        output = settings.build("siem", unobserved)
        async with delivering(output, revisions(2000), mapper=as_line) as delivery:
            await delivery.done()
            assert sorted(collector.lines) == sorted(
                f"CEF:0|test|{name}|".encode() for name in ALL - {POISON}
            )
            assert delivery.log.dead_lettered == {POISON: "refused"}


async def test_a_cluster_answers_for_each_event() -> None:
    def verdict(document: Any) -> dict[str, Any] | None:
        poisoned = document["id"] == POISON
        return trouble(400, "document_parsing_exception", "no") if poisoned else None

    async with bulk_collector(verdict=verdict) as collector:
        settings = ElasticsearchSettings.model_validate({"url": collector.url})
        async with delivering(
            settings.build("siem", unobserved), revisions(2000), mapper=as_json
        ) as delivery:
            await delivery.done()
            assert {one["id"] for one in collector.stored.values()} == ALL - {POISON}
            assert len(collector.sizes) == 2
            assert delivery.log.dead_lettered == {POISON: "rejected"}
            assert "document_parsing_exception" in delivery.log.letters[0].answer


async def test_an_event_that_is_too_large_for_the_collector_is_dead_lettered_alone() -> None:
    async with bulk_collector(longest=50_000) as collector:
        settings = ElasticsearchSettings.model_validate({"url": collector.url})

        def mapper(revision: Any) -> Any:
            event = as_json(revision)
            if revision.record.id != POISON:
                return event
            payload = event.payload[:-1] + b',"x":"' + b"x" * 60_000 + b'"}'
            return type(event)(revision, payload, event.time, event.severity, event.code)

        output = settings.build("siem", unobserved)
        async with delivering(output, revisions(2000), mapper=mapper) as delivery:
            await delivery.done()
            assert {one["id"] for one in collector.stored.values()} == ALL - {POISON}
            assert delivery.log.dead_lettered == {POISON: "too_large"}
