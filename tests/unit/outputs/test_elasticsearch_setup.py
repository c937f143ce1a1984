"""What is told of a cluster before the first event, the index template, and what a person may write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connector.errors import Hold, Retryable
from connector.interfaces import Probe, Setup
from connector.mapping import Library
from connector.mapping.schemas.fields import RECORD_FIELDS
from connector.outputs.elasticsearch.index_template import shipped, template_for
from connector.outputs.elasticsearch.output import ElasticsearchSettings
from connector.testing.outputs import events
from tests.support.bulk_collector import STREAM, bulk_collector, failed
from tests.support.collectors import free_port
from tests.support.ecs_check import load
from tests.support.scripted_http import Reply, json_reply
from tests.unit.outputs.test_elasticsearch_bulk import output

ROOT = Path(__file__).parents[3]
LOGS = {"index_patterns": ["logs-*-*"], "priority": 100, "data_stream": {"hidden": False}}
PLAIN = {"index_patterns": ["logs-cloudflare*"], "priority": 300}


async def checked(options: dict[str, Any], **given: Any) -> str:
    async with bulk_collector(**options) as collector:
        elastic = output(collector.url, **given)
        try:
            return await elastic.check()
        finally:
            await elastic.close()
            assert collector.stored == {}


@pytest.mark.parametrize(
    ("options", "given", "texts"),
    [
        ({}, {}, ["Elasticsearch 9.5.0", f"data stream {STREAM} exists", "may write"]),
        ({"product": "opensearch"}, {}, ["OpenSearch 3.2.0", f"data stream {STREAM} exists"]),
        ({"indexes": {"mail"}}, {"index": "mail"}, ["the index mail exists"]),
        (
            {"streams": set(), "templates": {"logs": LOGS}},
            {},
            ["will be created from the index template logs"],
        ),
        ({"answers": {"/": Reply(403)}}, {}, ["unknown version", "exists"]),
        (
            {"answers": {f"/_data_stream/{STREAM}": Reply(403)}},
            {},
            ["whether", "no permission to see"],
        ),
        (
            {"streams": set(), "answers": {"/_index_template": Reply(403)}},
            {},
            ["no permission to read index templates"],
        ),
    ],
)
async def test_check_describes_the_cluster(
    options: dict[str, Any], given: dict[str, Any], texts: list[str]
) -> None:
    line = await checked(options, **given)
    assert not [text for text in texts if text not in line], line


@pytest.mark.parametrize(
    ("options", "given", "text"),
    [
        ({"authorization": "ApiKey other"}, {}, "does not accept the credentials"),
        ({"streams": set()}, {}, "neither the data stream"),
        ({"streams": set()}, {"index": "mail"}, "neither the index mail nor"),
        ({"streams": set(), "indexes": {STREAM}}, {}, "is an index or alias, not a data stream"),
        (
            {"product": "opensearch", "streams": set(), "indexes": {STREAM}},
            {},
            "is an index or alias, not a data stream",
        ),
        (
            {"streams": set(), "templates": {"logs": LOGS, "own": PLAIN}},
            {},
            "index template own would create .* as an index",
        ),
        ({"templates": {"logs": LOGS}}, {"index": "logs-a-b"}, "would create logs-a-b as a data stream"),
        ({"lacking": frozenset({"create_doc"})}, {}, "lack create_doc"),
        (
            {"streams": set(), "templates": {"logs": LOGS}, "lacking": frozenset({"auto_configure"})},
            {},
            "lack auto_configure",
        ),
        ({"answers": {"/": json_reply({"hello": "world"})}}, {}, "correct url"),
        ({"answers": {"/": Reply(200, b"<html>")}}, {}, "correct url"),
    ],
)
async def test_check_reports_what_would_not_work(
    options: dict[str, Any], given: dict[str, Any], text: str
) -> None:
    with pytest.raises(Hold, match=text):
        await checked(options, **given)


async def test_a_cluster_that_is_away_is_no_configuration_mistake() -> None:
    for answers in ({"/": failed(503, "cluster_unavailable", "x")}, {"/_index_template": Reply(502)}):
        with pytest.raises(Retryable):
            await checked({"answers": answers, "streams": set()})


async def test_the_template_is_installed_and_makes_the_data_stream() -> None:
    async with bulk_collector(streams=set(), creates=True) as collector:
        elastic = output(f"http://127.0.0.1:{free_port()}", collector.url)
        assert isinstance(elastic, Setup)
        assert isinstance(elastic, Probe)
        line = await elastic.install()
        assert await elastic.install() == line
        assert "logs-cloudflare.email_security" in line
        assert list(collector.templates) == ["logs-cloudflare.email_security"]
        await elastic.send(events(1))
        assert collector.streams == {STREAM}
        await elastic.close()


async def test_a_cluster_that_is_away_or_refuses_does_not_pretend_to_be_set_up() -> None:
    away = output(f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Retryable):
        await away.install()
    await away.close()
    answers = {"/_index_template/logs-cloudflare.email_security": failed(403, "security_exception", "no")}
    async with bulk_collector(answers=answers) as collector:
        elastic = output(collector.url)
        with pytest.raises(Hold, match="lack the permission"):
            await elastic.install()
        await elastic.close()


def test_the_template_fits_where_events_go() -> None:
    assert template_for(STREAM, stream=True).body == shipped()
    other = template_for("mail-verdicts", stream=True)
    assert other.name == "email-connector-mail-verdicts"
    assert (other.body["index_patterns"], other.body["data_stream"]) == (["mail-verdicts"], {})
    index = template_for("mail", stream=False)
    assert index.body["index_patterns"] == ["mail"]
    assert "data_stream" not in index.body
    assert shipped()["index_patterns"] == ["logs-cloudflare.email_security-*"]


def test_the_template_that_people_install_by_hand_is_the_one_that_is_installed() -> None:
    shown = ROOT / "deploy" / "elastic" / "index-template.json"
    assert json.loads(shown.read_text()) == shipped()


def leaves(properties: dict[str, Any], above: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, one in properties.items():
        if "type" in one:
            found[above + name] = one["type"]
        found |= leaves(one.get("properties", {}), f"{above}{name}.")
    return found


MAPPED = leaves(shipped()["template"]["mappings"]["properties"])


def test_every_field_of_the_ecs_pack_has_a_type_in_the_template() -> None:
    targets = {*Library().load("ecs").fields, *Library().heartbeats().load("ecs").fields}
    missing = {
        target
        for target in targets
        if target not in MAPPED and not target.startswith("cloudflare.email_security.change.previous")
    }
    assert targets
    assert missing == set()


def test_every_documented_field_of_a_record_has_a_type_and_nothing_else_is_guessed() -> None:
    vendor = shipped()["template"]["mappings"]["properties"]["cloudflare"]["properties"]["email_security"]
    assert vendor["dynamic"] is False
    kinds = {"text": "keyword"}  # exact, so that detection rules can match them
    documented = {
        field.replace("[]", ""): kinds.get(kind, kind)
        for field, kind in RECORD_FIELDS.items()
        if kind != "object"
    }
    typed = {field: MAPPED.get(f"cloudflare.email_security.{field}") for field in documented}
    assert typed == documented


def test_types_are_those_of_the_elastic_common_schema() -> None:
    schema = load()
    if schema is None:
        pytest.skip("the published schema is not part of the project")
    alike = {"match_only_text": "text", "wildcard": "keyword", "constant_keyword": "keyword"}
    odd = {
        name: kind
        for name, kind in MAPPED.items()
        if name in schema.fields
        and kind != alike.get(schema.fields[name]["type"], schema.fields[name]["type"])
    }
    assert odd == {}


GOOD = {"url": "https://elastic.example:9200"}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "url"),
        ({**GOOD, "username": "soc"}, "must be set together"),
        ({**GOOD, "password": "secret"}, "must be set together"),
        ({**GOOD, "username": "soc", "password": "secret", "api_key": "a:b"}, "are mutually exclusive"),
        ({**GOOD, "index": "a", "data_stream": "b"}, "are mutually exclusive"),
        ({**GOOD, "index": "Mail"}, "should match pattern"),
        ({**GOOD, "index": "a/b"}, "should match pattern"),
        ({**GOOD, "index": ".hidden"}, "should match pattern"),
        ({**GOOD, "data_stream": "logs-*"}, "should match pattern"),
        ({**GOOD, "data_stream": "a,b"}, "should match pattern"),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ElasticsearchSettings.model_validate(given)
    assert complaint in str(caught.value)
    assert "secret" not in str(caught.value)
