"""Output ``kafka``: produces each event as one record, in order and without repetitions while it runs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, TypeAlias

from aiokafka import errors

from connector.errors import Retryable
from connector.model import Event, Limits, Receipt
from connector.outputs.common import TOO_LARGE
from connector.outputs.kafka import failures
from connector.outputs.kafka.cluster import Cluster, TopicFacts
from connector.outputs.kafka.producer import Producer
from connector.outputs.kafka.settings import EVENT_HUBS_REQUEST, KafkaSettings

_DEFAULT_MESSAGE = 1_000_000
"""Bytes of a record where the topic's limit cannot be read; brokers allow 1,048,588 by default."""

_BATCH = 128 << 10
"""Bytes of a batch for a partition. Larger ones save no time; each is sent after the one before it."""

_EVENT_HUBS_BATCH = 32 << 10
"""The same for Event Hubs: a request has one for each of up to 32 partitions."""

_OVERHEAD = 512
"""Bytes that a batch has beside records, at most."""

_Identity: TypeAlias = tuple[str, str, str, bytes]
_Sent: TypeAlias = "asyncio.Future[Any]"


class KafkaOutput:
    """Accepted means: all replicas in sync have the record (acks=all).

    A send that ends early, by its timeout or because it is cancelled, leaves its records with the producer,
    which goes on to repeat them. The same events come again, and are then waited for instead of sent anew.

    Args:
        settings: of the output.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._limits = settings.limits
        self._cluster: Cluster | None = None
        self._producer: Producer | None = None
        self._facts: TopicFacts | None = None
        self._credentials: tuple[str, ...] = ()
        self._unclaimed: dict[_Identity, list[_Sent]] = {}

    @property
    def limits(self) -> Limits:
        """Limits of one ``send``."""
        return self._limits

    async def open(self) -> None:
        """Ask for the topic; start a producer unless one is at work. Reads rotated credentials again."""
        for secret in self._settings.secrets():
            secret.refresh()
        credentials = tuple(secret.reveal() for secret in self._settings.secrets())
        if credentials != self._credentials:
            await self.close()
            self._credentials = credentials
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                self._facts = await self._opened().facts()
        except TimeoutError:
            raise Retryable(f"{self._where}: no broker answered in time") from None
        if self._producer is not None and self._producer.is_usable:
            self._producer.learn(self._facts.metadata)
        else:
            try:
                async with asyncio.timeout(self._settings.timeout.total_seconds()):
                    await self._start()
            except TimeoutError:
                raise Retryable(self._unreachable()) from None

    async def resume(self) -> None:
        """Like ``open``. The producer goes on with what is under way, so that nothing is stored twice."""
        await self.open()

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Produce *events*; wait until each is acknowledged or refused."""
        seconds = self._settings.timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds):
                return await self._send(events)
        except TimeoutError:
            raise Retryable(f"{self._where}: no acknowledgement within {seconds:g} s") from None

    async def close(self) -> None:
        """Close all connections."""
        producer, self._producer = self._producer, None
        cluster, self._cluster = self._cluster, None
        try:
            if producer is not None:
                await producer.close()
        finally:
            if cluster is not None:
                await cluster.close()

    async def check(self) -> str:
        """Connect, authenticate and ask for the topic; nothing is produced."""
        await self.open()
        facts = await self._opened().facts()
        limit = facts.max_message_bytes
        size = (
            f"records up to {limit} bytes" if limit else f"its limit is unreadable, {self._most} bytes apply"
        )
        brokers = f"{len(facts.advertised)} broker" + ("s" if len(facts.advertised) != 1 else "")
        parts = f"{facts.partitions} partition" + ("s" if facts.partitions != 1 else "")
        return f"reached {facts.broker} ({brokers}); topic {self._settings.topic} has {parts}, {size}"

    @property
    def _where(self) -> str:
        return f"{self._settings.brokers[0]}, topic {self._settings.topic}"

    @property
    def _most(self) -> int:
        """Most bytes of a record, before compression."""
        limit = self._settings.max_message_bytes
        if limit is None and self._facts is not None:
            limit = self._facts.max_message_bytes
        limit = limit or _DEFAULT_MESSAGE
        return min(limit, EVENT_HUBS_REQUEST) if self._settings.profile == "event_hubs" else limit

    def _opened(self) -> Cluster:
        if self._cluster is None:
            self._cluster = Cluster(self._settings)
        return self._cluster

    async def _start(self) -> Producer:
        """Replace the producer by a new one."""
        if self._producer is not None:
            broken, self._producer = self._producer, None
            await broken.close()
        settings, cluster = self._settings, self._opened()
        event_hubs = settings.profile == "event_hubs"
        topic = self._facts.max_message_bytes if self._facts else None
        producer = Producer(
            [str(broker) for broker in settings.brokers],
            settings.topic,
            cluster.options,
            batch_bytes=min(_EVENT_HUBS_BATCH if event_hubs else _BATCH, (topic or _BATCH) - _OVERHEAD),
            max_message_bytes=self._most,
            gzip=settings.compression == "gzip",
            event_hubs=event_hubs,
        )
        try:
            await producer.start()
        except BaseException as error:
            await producer.close()
            if isinstance(error, errors.KafkaError):
                raise failures.delivery_error(self._where, error) from None
            raise
        self._producer = producer
        return producer

    async def _send(self, events: Sequence[Event]) -> Receipt:
        producer = self._producer
        if producer is None or not producer.is_usable:
            raise Retryable(f"{self._where}: the producer has to be started anew")
        sent: dict[int, _Sent] = {}
        rejected: dict[int, str] = {}
        try:
            for index, event in enumerate(events):
                await self._produce(producer, index, event, sent, rejected)
            if sent:
                await asyncio.wait(sent.values())
            failed = {index: error for index, one in sent.items() if (error := one.exception()) is not None}
            if failed:
                return await self._isolate(events, failed, sent, rejected)
        except BaseException:
            self._keep(events, sent)
            raise
        return Receipt(rejected=rejected)

    async def _isolate(
        self,
        events: Sequence[Event],
        failed: dict[int, BaseException],
        sent: dict[int, _Sent],
        rejected: dict[int, str],
    ) -> Receipt:
        """Send one by one what failed because of an event among them.

        A broker refuses the whole batch of a partition, and the producer's later ones with it.
        """
        if not any(isinstance(error, failures.OF_THE_EVENT) for error in failed.values()):
            raise failures.delivery_error(self._where, next(iter(failed.values())))
        for index in sorted(failed):
            producer = self._producer
            if producer is None or not producer.is_usable:
                producer = await self._start()
            del sent[index]
            await self._produce(producer, index, events[index], sent, rejected)
            if index not in sent:
                continue
            await asyncio.wait([sent[index]])
            error = sent[index].exception()
            if isinstance(error, failures.OF_THE_EVENT):
                rejected[index] = _reason(error)
            elif error is not None:
                raise failures.delivery_error(self._where, error)
        if self._producer is None or not self._producer.is_usable:
            await self._start()
        return Receipt(rejected=rejected)

    async def _produce(
        self, producer: Producer, index: int, event: Event, sent: dict[int, _Sent], rejected: dict[int, str]
    ) -> None:
        """Queue one event, or find it again among what an earlier send left."""
        known = self._claimed(event)
        if known is not None:
            sent[index] = known
            return
        try:
            sent[index] = await producer.enqueue(self._key(event), event.payload, self._headers(event))
        except failures.TOO_LARGE:
            rejected[index] = f"{TOO_LARGE}: more than {self._most} bytes with key and headers"
        except errors.KafkaTimeoutError:
            raise TimeoutError from None
        except errors.KafkaError as error:
            raise failures.delivery_error(self._where, error) from None

    def _claimed(self, event: Event) -> _Sent | None:
        """The future of *event* if an earlier send left it and it has not failed."""
        waiting = self._unclaimed.get(identity := _identity(event))
        while waiting:
            future = waiting.pop(0)
            if not waiting:
                del self._unclaimed[identity]
            if not future.done() or future.exception() is None:
                return future
        return None

    def _keep(self, events: Sequence[Event], sent: dict[int, _Sent]) -> None:
        """Remember what is under way or acknowledged although its send does not return."""
        for index, future in sent.items():
            if not future.done() or future.exception() is None:
                self._unclaimed.setdefault(_identity(events[index]), []).append(future)
        # What delivery never asks for again: after a rewind, for example.
        while len(self._unclaimed) > 2 * self._limits.events:
            del self._unclaimed[next(iter(self._unclaimed))]

    def _key(self, event: Event) -> bytes:
        feed = event.revision.feed
        if self._settings.key == "account":
            return feed.account.encode("utf-8", "surrogatepass")
        # A digest, as the output may redact the record's id.
        text = f"{feed.account}|{event.revision.record.id}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32].encode()

    def _headers(self, event: Event) -> list[tuple[str, bytes]]:
        revision = event.revision
        return [
            ("identity", revision.identity.encode()),
            ("mapping", self._settings.mapping.encode()),
            ("account", revision.feed.account.encode("utf-8", "replace")),
            ("search", revision.feed.search.encode("utf-8", "replace")),
        ]

    def _unreachable(self) -> str:
        facts = self._facts
        if facts is None:
            return f"{self._where}: no broker answered in time"
        return (
            f"{facts.broker} answers and names {', '.join(facts.advertised)} as the brokers, which cannot be "
            "reached: check advertised.listeners of the brokers, names and firewalls"
        )


def _identity(event: Event) -> _Identity:
    feed = event.revision.feed
    return feed.account, feed.search, event.revision.identity, event.payload


def _reason(error: BaseException) -> str:
    if isinstance(error, failures.TOO_LARGE):
        return f"{TOO_LARGE}: the broker refuses the record: {failures.words(error)}"
    return f"the broker refuses the record: {failures.words(error)}"
