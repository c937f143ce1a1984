"""One idempotent producer. It keeps what it sends in order and outlives timeouts of single sends.

The one place that knows inner parts of the client library, whose version is therefore bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from types import MethodType
from typing import Any

from aiokafka import AIOKafkaProducer, errors
from aiokafka.protocol.metadata import MetadataRequest

# The client logs an error for each of many attempts to connect; what matters reaches the output as an error.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

_CLOSING = 2.0
"""Seconds that closing waits for what is in flight to be told."""

_RETRY_BACKOFF_MS = 200

Headers = Sequence[tuple[str, bytes]]


class Producer:
    """A producer of one topic.

    While it lives, the broker recognises its repetitions: a batch whose acknowledgement was lost is stored
    once. It repeats what is under way until it is acknowledged or refused, however long that takes.

    Args:
        brokers: ``host:port`` of brokers to ask for the cluster.
        topic: where to produce.
        options: of connections.
        batch_bytes: most bytes of a batch for a partition.
        max_message_bytes: most bytes of one record, before compression.
        gzip: whether to compress.
        event_hubs: keep metadata and idle connections three minutes only, as Event Hubs asks.
    """

    def __init__(
        self,
        brokers: Sequence[str],
        topic: str,
        options: dict[str, Any],
        *,
        batch_bytes: int,
        max_message_bytes: int,
        gzip: bool,
        event_hubs: bool,
    ) -> None:
        self._topic = topic
        idle = {"metadata_max_age_ms": 180_000, "connections_max_idle_ms": 180_000} if event_hubs else {}
        self._producer = AIOKafkaProducer(
            bootstrap_servers=list(brokers),
            acks="all",
            enable_idempotence=True,
            compression_type="gzip" if gzip else None,
            max_batch_size=batch_bytes,
            max_request_size=max_message_bytes,
            retry_backoff_ms=_RETRY_BACKOFF_MS,
            **options,
            **idle,
        )
        client = self._producer.client
        client._metadata_update = MethodType(_metadata_update, client)  # noqa: SLF001
        self._unsettled: set[asyncio.Future[Any]] = set()
        self._is_broken = False

    @property
    def is_usable(self) -> bool:
        """Whether it can send: it has started, and no batch of it failed.

        A batch that failed leaves a hole in the sequence numbers, and a broker refuses what comes after it.
        """
        task = self._producer._sender.sender_task  # noqa: SLF001
        return task is not None and not task.done() and not self._is_broken

    async def start(self) -> None:
        """Connect and get a producer id. Raises the client's errors; waits as long as it is let."""
        await self._producer.start()

    def learn(self, metadata: Any) -> None:
        """Take over where brokers are. The client asks only those it knows, which may all be gone."""
        self._producer.client.cluster.update_metadata(metadata)

    async def enqueue(self, key: bytes, value: bytes, headers: Headers) -> asyncio.Future[Any]:
        """Queue one record; the future is done when the broker acknowledged or refused it."""
        future: asyncio.Future[Any] = await self._producer.send(
            self._topic, value, key=key, headers=list(headers)
        )
        self._unsettled.add(future)
        future.add_done_callback(self._settle)
        return future

    async def close(self) -> None:
        """Close all connections. What is not acknowledged yet fails."""
        producer = self._producer
        self._is_broken = True
        producer._closed = True  # noqa: SLF001, its `stop` would wait for acknowledgements without a bound
        sender, client = producer._sender, producer.client  # noqa: SLF001
        task = sender.sender_task
        if task is not None:
            task.cancel()
        with contextlib.suppress(errors.KafkaError, OSError):
            await client.close()
        deadline = asyncio.get_running_loop().time() + _CLOSING
        while task is not None and not task.done():
            # Batches under way wait for metadata that nobody fetches any more.
            update = client._md_update_fut  # noqa: SLF001
            if update is not None and not update.done():
                update.set_result(False)
            await asyncio.wait([task], timeout=0.02)
            if asyncio.get_running_loop().time() > deadline:
                task.cancel()
        # A batch is known as pending while it is sent; those that wait to be repeated have to be, too, as the
        # client forgets each that ends.
        accumulator = producer._message_accumulator  # noqa: SLF001
        for waiting in accumulator._batches.values():  # noqa: SLF001
            accumulator._pending_batches.update(waiting)  # noqa: SLF001
        accumulator.fail_all(errors.ProducerClosed())
        for future in list(self._unsettled):
            if not future.done():
                future.set_exception(errors.ProducerClosed())

    def _settle(self, future: asyncio.Future[Any]) -> None:
        self._unsettled.discard(future)
        if not future.cancelled() and future.exception() is not None:
            self._is_broken = True


async def _metadata_update(client: Any, cluster: Any, topics: Sequence[str]) -> bool:
    """Replaces the client's method of this name, which lets brokers create topics that are absent."""
    request = MetadataRequest(list(topics), allow_auto_topic_creation=False)
    nodes = [broker.nodeId for broker in cluster.brokers()]
    for node in nodes:
        connection = await client._get_conn(node)  # noqa: SLF001
        if connection is None:
            continue
        try:
            answer = await connection.send(request)
        except (errors.KafkaError, TimeoutError):
            continue
        if not answer.brokers:
            return False
        cluster.update_metadata(answer)
        return True
    cluster.failed_update(None)
    return False
