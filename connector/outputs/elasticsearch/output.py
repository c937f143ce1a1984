"""Output ``elasticsearch``: settings and class; creates documents by identity."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from connector.errors import DeliveryError, Hold, Retryable
from connector.facts import EventsDiverted, OutputWarning
from connector.interfaces import Clock, Observe
from connector.model import Event, Limits, Receipt
from connector.net.backoff import parse_retry_after
from connector.net.clock import utc_now
from connector.outputs.elasticsearch import bulk
from connector.outputs.elasticsearch.index_template import template_for
from connector.outputs.elasticsearch.lifecycle import LifecycleSettings, install_policy
from connector.outputs.elasticsearch.node import ClusterCredentials, ClusterNode
from connector.outputs.elasticsearch.probe import UnsuitableTarget, check_target, inspect, is_opensearch
from connector.outputs.elasticsearch.returned import NotComparable, returned
from connector.outputs.shared.answer_text import is_page
from connector.outputs.shared.failover import Failover, MultiUrlSettings, check_each
from connector.secret import Secret

# Payload only: the action line adds about 90 bytes per event, and a request should stay below 5 MB.
_LIMITS = Limits(events=1000, bytes=3_000_000)
# Checking the target must not delay a start whose cluster is slow, in seconds.
_CHECK_TIMEOUT = 5.0
_INCOMPARABLE = (
    "events that exist already cannot be compared with the stored ones: if the journal was lost and a "
    "message returned to an earlier state, the cluster keeps showing the later one"
)
_DIVERTED = (
    "events went to the failure store, because indexing them failed: they are not in the data stream; see "
    "GET <data stream>::failures/_search for the error"
)
_STREAM = "logs-cloudflare.email_security-default"

IndexName = Annotated[
    str, StringConstraints(pattern=r"^[^A-Z\\/*?\"<>| ,#:%&_.+-][^A-Z\\/*?\"<>| ,#:%&]*$", max_length=200)
]


class ElasticsearchSettings(MultiUrlSettings):
    """Creates documents in a data stream or an index."""

    type: Literal["elasticsearch"] = "elasticsearch"
    api_key: Secret | None = Field(default=None, description="API key, Base64-encoded or as id:key.")
    username: str | None = Field(
        default=None,
        min_length=1,
        pattern="^[^:]+$",
        description="User name for basic authentication, without a colon.",
    )
    password: Secret | None = Field(default=None, description="Password of that user.")
    data_stream: IndexName | None = Field(
        default=None, description=f"Data stream; by default {_STREAM}, unless index is set."
    )
    index: IndexName | None = Field(
        default=None,
        description="Index or alias instead of a data stream: lower-case letters, digits, ., - and _.",
    )
    lifecycle: LifecycleSettings | None = Field(
        default=None,
        description="check --setup also installs a lifecycle policy for the data stream; "
        "{} takes the defaults.",
    )
    document_id: bool = Field(
        default=True,
        description="Send each event's identity as _id, so that repetitions are stored once. Set to "
        "false for time series collections of OpenSearch Serverless; these then store repetitions twice.",
    )

    reserved_parameters: ClassVar[frozenset[str]] = frozenset({"filter_path"})

    @model_validator(mode="after")
    def _unambiguous(self) -> ElasticsearchSettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password must be set together")
        if self.api_key is not None and self.username is not None:
            raise ValueError("api_key and username are mutually exclusive")
        if self.data_stream is not None and self.index is not None:
            raise ValueError("data_stream and index are mutually exclusive")
        if self.lifecycle is not None and self.index is not None:
            raise ValueError("lifecycle requires a data stream; remove index or lifecycle")
        return self

    @property
    def target(self) -> str:
        """The data stream or index that documents go to."""
        return self.index or self.data_stream or _STREAM

    @property
    def needs_json(self) -> bool:
        """Documents are JSON objects."""
        return True

    def build(self, name: str, observe: Observe) -> ElasticsearchOutput:
        """Build the output."""
        return ElasticsearchOutput(name, self, observe, utc_now)


class ElasticsearchOutput:
    """Accepted means: the cluster stored the event, now or at an earlier attempt.

    Args:
        name: the output's name.
        settings: of the output.
        observe: receives facts.
        clock: the wall clock, for dates in ``Retry-After``.
    """

    def __init__(self, name: str, settings: ElasticsearchSettings, observe: Observe, clock: Clock) -> None:
        limits = settings.batch.applied(_LIMITS)
        self._limits = Limits(limits.events, limits.bytes, None, settings.concurrency, limits.linger)
        self._name = name
        self._observe = observe
        self._document_id = settings.document_id
        self._lifecycle = settings.lifecycle
        self._target = settings.target
        self._target_checked = False
        self._incomparable = False
        self._stream = settings.index is None
        self._clock = clock
        self._credentials = ClusterCredentials(settings.api_key, settings.username, settings.password)
        self._nodes = [ClusterNode(settings, url, self._credentials, clock) for url in settings.urls]
        self._failover = Failover(len(self._nodes))

    @property
    def limits(self) -> Limits:
        """Limits of one ``send``."""
        return self._limits

    async def open(self) -> None:
        """Read rotated credentials again; warn once if the cluster would guess the target's field types."""
        self._credentials.refresh()
        with self._failover.attempt() as index:
            await self._nodes[index].open()
            await self._check_target(self._nodes[index])

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
        return await check_each(inspect(node, self._target, stream=self._stream) for node in self._nodes)

    async def install(self) -> str:
        """Install the index template for the target, and the lifecycle policy if one is configured."""
        for last in range(len(self._nodes) - 1, -1, -1):  # all nodes are one cluster
            try:
                with self._failover.attempt() as index:
                    return await self._install(self._nodes[index])
            except Retryable:
                if not last:
                    raise
        raise AssertionError("there is always a node")

    async def _install(self, node: ClusterNode) -> str:
        template = template_for(self._target, stream=self._stream)
        what = f"the index template {template.name}"
        if self._lifecycle is not None:
            opensearch = await is_opensearch(node)
            template = await install_policy(node, template, self._lifecycle, opensearch=opensearch)
            what += f" and the {'ISM' if opensearch else 'ILM'} policy of that name"
        error = node.classify(await node.request("PUT", f"/_index_template/{template.name}", template.body))
        if error is not None:
            raise error
        pronoun = "it" if self._lifecycle is None else "them"
        effect = (
            f"an existing data stream uses {pronoun} from its next rollover on"
            if self._stream
            else "an existing index keeps its mapping"
        )
        return f"installed {what} at {node.origin}; {effect}"

    async def _check_target(self, node: ClusterNode) -> None:
        """Report a target without a template. What else is wrong shows when events are sent."""
        if self._target_checked:
            return
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT):
                await check_target(node, self._target, stream=self._stream)
        except UnsuitableTarget as error:
            self._observe(OutputWarning(self._name, error.reason))
        except (DeliveryError, TimeoutError):
            return
        self._target_checked = True

    async def _create(self, node: ClusterNode, events: Sequence[Event]) -> Receipt:
        return await self._post(node, events, None)

    async def _post(self, node: ClusterNode, events: Sequence[Event], ids: Sequence[str] | None) -> Receipt:
        """Create *events* under their identities, or under *ids*."""
        named = None if node.names_index_itself else self._target
        body = node.compressed(bulk.body(events, document_id=self._document_id, index=named, ids=ids))
        answer = await node.bulk(self._target, *body)
        error = node.classify(answer, events)
        if error is not None:
            raise error
        outcome = bulk.outcome(answer.body, len(events))
        if outcome is None:
            what = "a page" if is_page(answer.body) else "the response does not report on every event"
            raise Retryable(node.describe(answer, f"{what}; check the URL and proxies"))
        if outcome.hold is not None:
            raise Hold(
                f"{node.describe(answer, f'{self._target}: {outcome.hold}')}; fix the index or the privileges"
            )
        if outcome.diverted:
            self._observe(EventsDiverted(self._name, outcome.diverted, f"{self._target}: {_DIVERTED}"))
        if outcome.busy is not None and len(outcome.retry) == len(events) and not outcome.overloaded:
            reason = node.describe(answer, f"all events refused: {outcome.busy}")
            raise Retryable(reason, parse_retry_after(answer.headers.get("retry-after"), self._clock()))
        after = parse_retry_after(answer.headers.get("retry-after"), self._clock()) if outcome.retry else None
        duplicates = len(outcome.conflicts)
        if outcome.conflicts and ids is None:
            conflicts = [events[index] for index in sorted(outcome.conflicts)]
            duplicates -= await self._create_returned(node, conflicts)
        why = outcome.busy or ""
        return Receipt(outcome.rejected, outcome.retry, after, duplicates, retry_reason=why)

    async def _create_returned(self, node: ClusterNode, conflicts: Sequence[Event]) -> int:
        """Create those of *conflicts* that returned to an earlier state; return how many."""
        try:
            ids = await returned(node, self._target, conflicts)
        except NotComparable as error:
            if not self._incomparable:
                self._incomparable = True
                self._observe(OutputWarning(self._name, f"{error.reason}; {_INCOMPARABLE}"))
            return 0
        if not ids:
            return 0
        receipt = await self._post(node, [conflicts[index] for index in ids], list(ids.values()))
        if receipt.rejected or receipt.retry:
            # The batch is sent again; documents stored meanwhile then count as repetitions.
            raise Retryable(f"{node.origin}: not all messages that returned to an earlier state were stored")
        return len(ids) - receipt.duplicates
