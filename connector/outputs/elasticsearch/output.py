"""Output ``elasticsearch``: settings and class; creates documents by identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from connector.errors import Hold, Retryable
from connector.interfaces import Clock, Observe
from connector.model import Event, JsonObject, Limits, Receipt
from connector.net.backoff import parse_retry_after
from connector.net.clock import utc_now
from connector.outputs.elasticsearch import bulk
from connector.outputs.elasticsearch.index_template import template_for
from connector.outputs.elasticsearch.node import ClusterCredentials, Node
from connector.outputs.elasticsearch.probe import inspect
from connector.outputs.shared.failover import Failover, MultiUrlSettings
from connector.secret import Secret

# Payload only: the action line adds about 90 bytes per event, and a request should stay below 5 MB.
_LIMITS = Limits(events=1600, bytes=4_800_000)
_STREAM = "logs-cloudflare.email_security-default"

IndexName = Annotated[
    str, StringConstraints(pattern=r"^[^A-Z\\/*?\"<>| ,#:%&_.+-][^A-Z\\/*?\"<>| ,#:%&]*$", max_length=200)
]


class ElasticsearchSettings(MultiUrlSettings):
    """Creates documents in a data stream or an index."""

    type: Literal["elasticsearch"] = "elasticsearch"
    api_key: Secret | None = Field(default=None, description="API key, Base64-encoded or as id:key.")
    username: str | None = Field(
        default=None, min_length=1, pattern="^[^:]+$", description="User name for basic authentication."
    )
    password: Secret | None = Field(default=None, description="Password of that user.")
    data_stream: IndexName | None = Field(
        default=None, description=f"Data stream; by default {_STREAM}, unless index is set."
    )
    index: IndexName | None = Field(default=None, description="Index or alias instead of a data stream.")

    @model_validator(mode="after")
    def _unambiguous(self) -> ElasticsearchSettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password must be set together")
        if self.api_key is not None and self.username is not None:
            raise ValueError("api_key and username are mutually exclusive")
        if self.data_stream is not None and self.index is not None:
            raise ValueError("data_stream and index are mutually exclusive")
        return self

    @property
    def target(self) -> str:
        """The data stream or index that documents go to."""
        return self.index or self.data_stream or _STREAM

    def build(self, name: str, observe: Observe) -> ElasticsearchOutput:  # noqa: ARG002, delivery reports all facts
        """Build the output."""
        return ElasticsearchOutput(self, utc_now)


class ElasticsearchOutput:
    """Accepted means: the cluster stored the event, now or at an earlier attempt.

    Args:
        settings: of the output.
        clock: the wall clock, for dates in ``Retry-After``.
    """

    def __init__(self, settings: ElasticsearchSettings, clock: Clock) -> None:
        limits = settings.batch.applied(_LIMITS)
        self._limits = Limits(limits.events, limits.bytes, None, settings.concurrency, limits.linger)
        self._target = settings.target
        self._stream = settings.index is None
        self._clock = clock
        self._credentials = ClusterCredentials(settings.api_key, settings.username, settings.password)
        self._nodes = [Node(settings, url, self._credentials, clock) for url in settings.urls]
        self._failover = Failover(len(self._nodes))

    @property
    def limits(self) -> Limits:
        """Limits of one ``send``."""
        return self._limits

    async def open(self) -> None:
        """Read rotated credentials again."""
        self._credentials.refresh()
        with self._failover.attempt() as index:
            await self._nodes[index].open()

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Create all events in one request."""
        if not all(event.payload[:1] == b"{" for event in events):
            raise Hold("elasticsearch requires a mapping that produces JSON; set mapping to one, such as ecs")
        with self._failover.attempt() as index:
            return await self._create(self._nodes[index], events)

    async def close(self) -> None:
        """Close all connections."""
        for node in self._nodes:
            await node.close()

    async def check(self) -> str:
        """Query every node for its version, the target of events, and the privileges."""
        results = [await inspect(node, self._target, stream=self._stream) for node in self._nodes]
        return "; ".join(results)

    async def install(self) -> str:
        """Install the index template for the target."""
        template = template_for(self._target, stream=self._stream)
        node = await self._put(f"/_index_template/{template.name}", template.body)
        effect = (
            "an existing data stream uses it from its next rollover on"
            if self._stream
            else "an existing index keeps its mapping"
        )
        return f"installed the index template {template.name} at {node.origin}; {effect}"

    async def _put(self, path: str, body: JsonObject) -> Node:
        """PUT *body* at the first node that responds; all nodes are one cluster."""
        for last in range(len(self._nodes) - 1, -1, -1):
            try:
                with self._failover.attempt() as index:
                    node = self._nodes[index]
                    error = node.classify(await node.request("PUT", path, body))
                    if error is not None:
                        raise error
                    return node
            except Retryable:
                if not last:
                    raise
        raise AssertionError("there is always a node")

    async def _create(self, node: Node, events: Sequence[Event]) -> Receipt:
        answer = await node.bulk(self._target, bulk.body(events))
        error = node.classify(answer, events)
        if error is not None:
            raise error
        outcome = bulk.outcome(answer.body, len(events))
        if outcome is None:
            raise Retryable(node.describe(answer, "the response does not report on every event"))
        if outcome.hold is not None:
            raise Hold(
                f"{node.describe(answer, f'{self._target}: {outcome.hold}')}; fix the index or the privileges"
            )
        after = parse_retry_after(answer.headers.get("retry-after"), self._clock()) if outcome.retry else None
        return Receipt(outcome.rejected, outcome.retry, after, outcome.duplicates)
