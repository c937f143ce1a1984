"""Rollover, compaction and deletion of a data stream: a policy of ILM (Elasticsearch) or ISM (OpenSearch)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field, model_validator

from connector.errors import Hold
from connector.model import JsonObject
from connector.net.transport import Response
from connector.outputs.elasticsearch.index_template import IndexTemplate
from connector.outputs.elasticsearch.node import ClusterNode, document
from connector.quantity_fields import Duration, Size

_DESCRIPTION = "Events of the Cloudflare Email Security connector: roll over, compact, delete."
# Above the default of other policies (0), as the index template is above other templates.
_ISM_PRIORITY = 250
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_SIZES = (("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10), ("b", 1))


class LifecycleSettings(BaseModel):
    """When the cluster rolls the data stream over, compacts and deletes its old indexes."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    rollover_age: Duration = Field(
        default=timedelta(days=30),
        ge=timedelta(hours=1),
        description="Start a new index when the current one is this old.",
    )
    rollover_size: Size = Field(
        default=50 << 30,
        ge=1 << 20,
        description="Start a new index when a primary shard of the current one is this large.",
    )
    warm_after: Duration | None = Field(
        default=timedelta(days=7),
        description="Merge an index to one segment per shard this long after its rollover; null: never.",
    )
    delete_after: Duration | None = Field(
        default=timedelta(days=180),
        ge=timedelta(hours=1),
        description="Delete an index this long after its rollover; null: never.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> LifecycleSettings:
        if self.warm_after and self.delete_after and self.warm_after >= self.delete_after:
            raise ValueError("warm_after must be shorter than delete_after")
        return self


def ilm_policy(lifecycle: LifecycleSettings) -> JsonObject:
    """The policy for Elasticsearch; ages count from the rollover.

    https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-ilm-put-lifecycle
    """
    rollover = {
        "max_age": _duration(lifecycle.rollover_age),
        "max_primary_shard_size": _size(lifecycle.rollover_size),
    }
    phases: JsonObject = {"hot": {"min_age": "0ms", "actions": {"rollover": rollover}}}
    if lifecycle.warm_after is not None:
        phases["warm"] = {
            "min_age": _duration(lifecycle.warm_after),
            "actions": {"forcemerge": {"max_num_segments": 1}},
        }
    if lifecycle.delete_after is not None:
        phases["delete"] = {"min_age": _duration(lifecycle.delete_after), "actions": {"delete": {}}}
    return {"policy": {"_meta": {"description": _DESCRIPTION}, "phases": phases}}


def ism_policy(lifecycle: LifecycleSettings, patterns: Sequence[str]) -> JsonObject:
    """The policy for OpenSearch, applied to new indexes of *patterns*; ages count from the rollover.

    https://docs.opensearch.org/latest/im-plugin/ism/policies/
    """
    rollover = {
        "min_index_age": _duration(lifecycle.rollover_age),
        "min_primary_shard_size": _size(lifecycle.rollover_size),
    }
    states: list[JsonObject] = [{"name": "hot", "actions": [{"rollover": rollover}], "transitions": []}]
    for name, age, action in (
        ("warm", lifecycle.warm_after, {"force_merge": {"max_num_segments": 1}}),
        ("delete", lifecycle.delete_after, {"delete": {}}),
    ):
        if age is not None:
            when = {"min_rollover_age": _duration(age)}
            states[-1]["transitions"].append({"state_name": name, "conditions": when})
            states.append({"name": name, "actions": [action], "transitions": []})
    applies = [{"index_patterns": list(patterns), "priority": _ISM_PRIORITY}]
    policy = {"description": _DESCRIPTION, "default_state": "hot", "states": states, "ism_template": applies}
    return {"policy": policy}


async def install_policy(
    node: ClusterNode, template: IndexTemplate, lifecycle: LifecycleSettings, *, opensearch: bool
) -> IndexTemplate:
    """Install or update the policy under the template's name; return the template that refers to it.

    Raises like ``Output.open``.
    """
    if opensearch:
        await _put_ism(
            node,
            f"/_plugins/_ism/policies/{template.name}",
            ism_policy(lifecycle, template.body["index_patterns"]),
        )
        return template  # the policy names the indexes, not the other way around
    _accept(node, await node.request("PUT", f"/_ilm/policy/{template.name}", ilm_policy(lifecycle)))
    index = template.body["template"]["settings"]["index"]
    index["lifecycle"] = {"name": template.name}
    return template


async def _put_ism(node: ClusterNode, path: str, policy: JsonObject) -> None:
    current = await node.request("GET", path)
    if current.status == HTTPStatus.BAD_REQUEST:
        raise Hold(f"{node.describe(current, 'no Index State Management here')}; remove lifecycle")
    if current.status == HTTPStatus.NOT_FOUND:
        _accept(node, await node.request("PUT", path, policy))
        return
    _accept(node, current)
    # An existing policy is replaced only by who says which version of it was read.
    found = document(current)
    version = f"?if_seq_no={found.get('_seq_no')}&if_primary_term={found.get('_primary_term')}"
    _accept(node, await node.request("PUT", path + version, policy))


def _accept(node: ClusterNode, answer: Response) -> None:
    error = node.classify(answer)
    if error is not None:
        raise error


def _duration(value: timedelta) -> str:
    """A time as both engines read it: one whole number and one unit."""
    seconds = int(value.total_seconds())
    name, length = next(unit for unit in _UNITS if seconds % unit[1] == 0)
    return f"{seconds // length}{name}"


def _size(value: int) -> str:
    """A size as both engines read it, whose units are powers of 1024."""
    name, length = next(unit for unit in _SIZES if value % unit[1] == 0)
    return f"{value // length}{name}"
