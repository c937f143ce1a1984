"""HEC channels: one connection to one Splunk collector, and polling until a batch is indexed.

A channel has its own connection, cookies and GUID and carries one batch at a time. So an ackId can never
mean another batch, whichever indexer behind a load balancer assigned it, and ack queries reach the indexer
that received the batch. Source: Splunk, "About HTTP Event Collector Indexer Acknowledgment".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import uuid4

import orjson

from connector.errors import DeliveryError, Hold, Retryable
from connector.interfaces import Clock
from connector.model import Event
from connector.net.transport import Response
from connector.outputs.http.auth import header_secrets
from connector.outputs.shared.failover import MultiUrlSettings, address
from connector.outputs.shared.http_client import HttpSender
from connector.outputs.splunk_hec.codes import ACK_DISABLED, classify, read
from connector.outputs.splunk_hec.request import JSON, HecRequest

HEC = "/services/collector"
_ENDINGS = (f"{HEC}/event", f"{HEC}/raw", f"{HEC}/health", f"{HEC}/ack", HEC)
_BUSY = 429


class Unconfirmable(Exception):
    """The collector does not report what is indexed; *reason* says why.

    *off*: indexer acknowledgement is off for the token. *passing*: the next query may succeed.
    """

    def __init__(self, reason: str, *, off: bool = False, passing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.off = off
        self.passing = passing


@dataclass(frozen=True, slots=True)
class AckPolling:
    """How often to query whether a batch is indexed.

    Args:
        first: seconds until the first query; doubled after each.
        longest: most seconds between two queries (Splunk recommends 10).
        failures: consecutive failed queries after which the batch is sent again.
    """

    first: float = 0.5
    longest: float = 10.0
    failures: int = 3


class Channel:
    """One channel. Calls *headers* for each request, because the token may have been rotated."""

    def __init__(
        self, settings: MultiUrlSettings, target: int, headers: Callable[[], Mapping[str, str]], clock: Clock
    ) -> None:
        self.target = target
        self._guid = str(uuid4())
        self._url = settings.urls[target]
        self._headers = headers
        self._clock = clock
        self._sender = HttpSender(settings, self._url, (), clock, cookies=True, connections=1)

    @property
    def origin(self) -> str:
        """Scheme, host and port, for messages."""
        return self._url.origin

    async def post(self, request: HecRequest, *, named: bool) -> Response:
        """Post *request*; *named* sends the channel's GUID."""
        headers = {**self._headers(), "content-type": request.content_type, **request.encoding}
        if named:
            headers["x-splunk-request-channel"] = self._guid
        return await self._sender.post(request.body, headers, url=self._at(request.path))

    async def health(self) -> Response:
        """Query the health endpoint."""
        return await self._sender.request("GET", self._headers(), url=self._at("/health"))

    def classify(
        self, answer: Response, sent: Sequence[Event] = (), *, routed: bool = False
    ) -> DeliveryError | bool:
        """What *answer* to a batch of the events *sent* means: an error, or whether to slow down."""
        return classify(
            self._sender, answer, header_secrets(self._headers()), sent, self._clock, routed=routed
        )

    async def wait_indexed(self, ack_id: int, polling: AckPolling, timeout: float) -> None:  # noqa: ASYNC109
        """Wait until batch *ack_id* is indexed.

        Raises ``Unconfirmable`` if the collector does not report that, ``Retryable`` if it did not confirm
        within *timeout* seconds or is unreachable: the fate of the batch is then unknown.
        """
        loop = asyncio.get_running_loop()
        deadline, wait, failures = loop.time() + timeout, polling.first, 0
        while (left := deadline - loop.time()) > 0:
            await asyncio.sleep(min(wait, left))
            wait = min(wait * 2, polling.longest)
            try:
                if await self.is_indexed(ack_id):
                    return
                failures = 0
            except (Retryable, Unconfirmable) as error:
                failures += 1
                final = isinstance(error, Unconfirmable) and not error.passing
                if final or failures >= polling.failures:
                    raise
        raise Retryable(
            f"{self.origin}: no indexer confirmed the batch within {timeout:g} s; it is sent again"
        )

    async def is_indexed(self, ack_id: int) -> bool:
        """Query once whether batch *ack_id* is indexed; ``False`` also if the ackId is unknown."""
        answer = await self.post(HecRequest("/ack", orjson.dumps({"acks": [ack_id]}), JSON), named=True)
        if answer.status == _BUSY:
            return False
        reply = read(answer.body)
        if reply.code == ACK_DISABLED:
            raise self.ack_disabled()
        error = self.classify(answer)
        if isinstance(error, Retryable) or (isinstance(error, Hold) and answer.status in {401, 403}):
            raise error
        if reply.acks is None:
            reason = error.reason if isinstance(error, DeliveryError) else self.origin
            raise Unconfirmable(f"{reason}: no reply to the acknowledgement query", passing=answer.ok)
        return reply.acks.get(str(ack_id), False)

    def ack_disabled(self) -> Unconfirmable:
        """The error for a token without acknowledgement."""
        return Unconfirmable(f"{self.origin}: indexer acknowledgement is off for the token", off=True)

    async def close(self) -> None:
        """Close the connection."""
        await self._sender.close()

    def _at(self, path: str) -> str:
        return address(self._url, *_ENDINGS) + HEC + path


class Channels:
    """The pool of channels of one output: acquired for one batch, released afterwards."""

    def __init__(
        self, settings: MultiUrlSettings, headers: Callable[[], Mapping[str, str]], clock: Clock
    ) -> None:
        self._settings = settings
        self._headers = headers
        self._clock = clock
        self._idle: list[Channel] = []
        self._in_use: set[Channel] = set()

    def acquire(self, target: int) -> Channel:
        """Return an unused channel to collector number *target*."""
        for channel in reversed(self._idle):
            if channel.target == target:
                self._idle.remove(channel)
                break
        else:
            channel = Channel(self._settings, target, self._headers, self._clock)
        self._in_use.add(channel)
        return channel

    async def release(self, channel: Channel, *, reusable: bool) -> None:
        """Return *channel* to the pool; if not *reusable*, close it and never use its GUID again."""
        if channel in self._in_use and reusable:
            self._in_use.discard(channel)
            self._idle.append(channel)
        else:
            self._in_use.discard(channel)
            await channel.close()

    async def close(self) -> None:
        """Close idle channels now, and channels in use when they are released."""
        self._in_use.clear()
        while self._idle:
            await self._idle.pop().close()
