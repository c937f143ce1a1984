"""Lifecycle policies: installed by ``check --setup`` where asked for, the same files ship for hand-work."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from connector.errors import Hold
from connector.outputs.elasticsearch.index_template import shipped
from connector.outputs.elasticsearch.lifecycle import LifecycleSettings, ilm_policy, ism_policy
from connector.outputs.elasticsearch.output import ElasticsearchSettings
from tests.support.bulk_collector import bulk_collector, failed
from tests.unit.outputs.test_elasticsearch_bulk import output

DEPLOY = Path(__file__).parents[3] / "deploy"
NAME = "logs-cloudflare.email_security"
PATTERNS = ["logs-cloudflare.email_security-*"]
ALL = [
    LifecycleSettings(),
    LifecycleSettings(warm_after=None),
    LifecycleSettings(delete_after=None),
    LifecycleSettings(warm_after=None, delete_after=None),
    LifecycleSettings(rollover_age=timedelta(hours=36), rollover_size=1536 << 20),
]

_AGE = {"type": "string", "pattern": "^[1-9][0-9]*[dhms]$"}
_SIZE = {"type": "string", "pattern": "^[1-9][0-9]*(b|kb|mb|gb)$"}


def closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    properties = {**required, **optional}
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


# Of https://docs.opensearch.org/latest/im-plugin/ism/policies/: what the policy uses of it.
ISM = closed(
    {
        "policy": closed(
            {
                "description": {"type": "string"},
                "default_state": {"const": "hot"},
                "states": {
                    "type": "array",
                    "items": closed(
                        {
                            "name": {"type": "string"},
                            "actions": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "minProperties": 1,
                                    "maxProperties": 1,
                                    "additionalProperties": False,
                                    "properties": {
                                        "rollover": closed(
                                            {}, min_index_age=_AGE, min_primary_shard_size=_SIZE
                                        ),
                                        "force_merge": closed({"max_num_segments": {"type": "integer"}}),
                                        "delete": closed({}),
                                    },
                                },
                            },
                            "transitions": {
                                "type": "array",
                                "items": closed(
                                    {
                                        "state_name": {"type": "string"},
                                        "conditions": closed({"min_rollover_age": _AGE}),
                                    }
                                ),
                            },
                        }
                    ),
                },
                "ism_template": {
                    "type": "array",
                    "items": closed(
                        {
                            "index_patterns": {"type": "array", "items": {"type": "string"}},
                            "priority": {"type": "integer", "minimum": 0},
                        }
                    ),
                },
            }
        )
    }
)


@pytest.mark.parametrize("lifecycle", ALL, ids=str)
def test_a_policy_of_opensearch_is_as_documented_and_ends(lifecycle: LifecycleSettings) -> None:
    policy = ism_policy(lifecycle, PATTERNS)

    Draft202012Validator(ISM).validate(policy)
    states = {state["name"]: state for state in policy["policy"]["states"]}
    seen = ["hot"]
    while states[seen[-1]]["transitions"]:
        [transition] = states[seen[-1]]["transitions"]
        seen.append(transition["state_name"])
    assert seen == list(states)
    assert ("delete" in seen) == (lifecycle.delete_after is not None)
    assert ("warm" in seen) == (lifecycle.warm_after is not None)


@pytest.mark.parametrize("lifecycle", ALL, ids=str)
def test_both_engines_get_the_same_times(lifecycle: LifecycleSettings) -> None:
    phases = ilm_policy(lifecycle)["policy"]["phases"]
    states = {state["name"]: state for state in ism_policy(lifecycle, PATTERNS)["policy"]["states"]}

    assert list(phases) == list(states)
    rollover = states["hot"]["actions"][0]["rollover"]
    assert phases["hot"]["actions"]["rollover"] == {
        "max_age": rollover["min_index_age"],
        "max_primary_shard_size": rollover["min_primary_shard_size"],
    }
    ages = {
        one["state_name"]: one["conditions"]["min_rollover_age"]
        for state in states.values()
        for one in state["transitions"]
    }
    assert ages == {name: phase["min_age"] for name, phase in phases.items() if name != "hot"}


def test_times_and_sizes_are_written_in_the_engines_units() -> None:
    rollover = ilm_policy(ALL[-1])["policy"]["phases"]["hot"]["actions"]["rollover"]

    assert rollover == {"max_age": "36h", "max_primary_shard_size": "1536mb"}


def test_the_policies_that_people_install_by_hand_are_those_that_are_installed() -> None:
    elastic = json.loads((DEPLOY / "elastic" / "lifecycle-policy.json").read_text())
    opensearch = json.loads((DEPLOY / "opensearch" / "lifecycle-policy.json").read_text())

    assert elastic == ilm_policy(LifecycleSettings())
    assert opensearch == ism_policy(LifecycleSettings(), PATTERNS)


async def test_elasticsearch_gets_the_policy_and_a_template_that_names_it() -> None:
    async with bulk_collector(streams=set()) as collector:
        elastic = output(collector.url, lifecycle={})
        line = await elastic.install()
        assert await elastic.install() == line
        await elastic.close()

    assert f"the index template {NAME} and the ILM policy" in line
    assert collector.policies == {NAME: ilm_policy(LifecycleSettings())["policy"]}
    settings = collector.templates[NAME]["template"]["settings"]["index"]
    assert settings["lifecycle"] == {"name": NAME}


async def test_opensearch_gets_a_policy_that_can_be_replaced_later() -> None:
    async with bulk_collector(product="opensearch", streams=set()) as collector:
        for days in (100, 200):
            search = output(collector.url, lifecycle={"delete_after": f"{days}d"})
            line = await search.install()
            await search.close()
            expected = ism_policy(LifecycleSettings(delete_after=timedelta(days=days)), PATTERNS)["policy"]
            assert collector.policies[NAME]["policy"] == expected
            assert "ISM policy" in line

    assert collector.templates[NAME] == shipped()


async def test_nothing_is_installed_that_was_not_asked_for() -> None:
    for product in ("elasticsearch", "opensearch"):
        async with bulk_collector(product=product, streams=set()) as collector:
            search = output(collector.url)
            assert "policy" not in await search.install()
            await search.close()
        assert collector.policies == {}
        assert collector.templates[NAME] == shipped()


async def test_an_opensearch_without_the_plugin_is_named() -> None:
    answers = {f"/_plugins/_ism/policies/{NAME}": failed(400, "illegal_argument_exception", "no handler")}
    async with bulk_collector(product="opensearch", answers=answers, streams=set()) as collector:
        search = output(collector.url, lifecycle={})
        with pytest.raises(Hold, match="no Index State Management here; remove lifecycle"):
            await search.install()
        await search.close()
    assert collector.templates == {}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"index": "mail", "lifecycle": {}}, "lifecycle requires a data stream"),
        ({"lifecycle": {"warm_after": "10d", "delete_after": "10d"}}, "warm_after must be shorter"),
        ({"lifecycle": {"rollover_age": "1m"}}, "greater than or equal"),
        ({"lifecycle": {"delete": "1d"}}, "Extra inputs"),
    ],
)
def test_a_lifecycle_that_cannot_be_is_refused(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        ElasticsearchSettings.model_validate({"url": "https://elastic.example:9200", **given})
