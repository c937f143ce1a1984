"""Channels to HTTP Event Collectors, and the wait until a batch is indexed.

A channel is one connection to one collector with its own cookies and its own GUID, and carries one batch
at a time. So a number under which a batch is asked for can never mean another batch, whichever indexer
behind a load balancer answered, and questions reach the indexer that took the batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import uuid4

import orjson

from connector.errors import DeliveryError, Hold, Retryable
from connector.interfaces import Clock
from connector.net.transport import Response
from connector.outputs.http.auth import header_secrets
from connector.outputs.shared.failover import MultiUrlSettings, address
from connector.outputs.shared.http_client import HttpSender
from connector.outputs.splunk_hec.codes import ACK_DISABLED, classify, read

HEC = "/services/collector"
_ENDINGS = (f"{HEC}/event", f"{HEC}/raw", f"{HEC}/health", f"{HEC}/ack", HEC)
_BUSY = 429


class Unconfirmable(Exception):
    """The collector does not tell what is indexed; *reason* says why.

    *off*: because the token does not have acknowledgement. *passing*: the next question may do better.
    """

    def __init__(self, reason: str, *, off: bool = False, passing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.off = off
        self.passing = passing


@dataclass(frozen=True, slots=True)
class AckPolling:
    """How often to ask whether a batch is indexed.

    Args:
        first: seconds until the first question; doubled from question to question.
        longest: the most seconds between two questions.
        failures: questions without an answer, in a row, after which the batch counts as lost.
    """

    first: float = 0.5
    longest: float = 10.0
    failures: int = 3


class Channel:
    """One channel. Authorization comes anew from *headers* for each request: the token may be rotated."""

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

    async def post(self, path: str, body: bytes, *, named: bool, compressed: bool = False) -> Response:
        """Post *body* below ``/services/collector``; *named* tells the collector the channel."""
        content, encoding_headers = self._sender.compressed(body) if compressed else (body, {})
        headers = {**self._headers(), **encoding_headers}
        if named:
            headers["x-splunk-request-channel"] = self._guid
        return await self._sender.post(content, headers, url=self._at(path))

    async def health(self) -> Response:
        """Ask whether the collector is well."""
        return await self._sender.request("GET", self._headers(), url=self._at("/health"))

    def classify(self, answer: Response, size: int = 0, *, routed: bool = False) -> DeliveryError | bool:
        """Say what *answer* to a batch of *size* events means: an error, or whether to slow down."""
        return classify(
            self._sender, answer, header_secrets(self._headers()), size, self._clock, routed=routed
        )

    async def indexed(self, number: int, polling: AckPolling, patience: float) -> None:
        """Wait until batch *number* is indexed.

        Raises ``Unconfirmable`` when the collector does not tell such things, ``Retryable`` when it did
        not confirm within *patience* seconds or is gone: what became of the batch is then unknown.
        """
        loop = asyncio.get_running_loop()
        deadline, wait, failures = loop.time() + patience, polling.first, 0
        while (left := deadline - loop.time()) > 0:
            await asyncio.sleep(min(wait, left))
            wait = min(wait * 2, polling.longest)
            try:
                if await self.ask(number):
                    return
                failures = 0
            except (Retryable, Unconfirmable) as error:
                failures += 1
                final = isinstance(error, Unconfirmable) and not error.passing
                if final or failures >= polling.failures:
                    raise
        raise Retryable(
            f"{self.origin}: no indexer confirmed the batch within {patience:g} s, so that it is sent again"
        )

    async def ask(self, number: int) -> bool:
        """Ask once whether batch *number* is indexed; "no" may also mean that nobody knows it."""
        answer = await self.post("/ack", orjson.dumps({"acks": [number]}), named=True)
        if answer.status == _BUSY:
            return False
        told = read(answer.body)
        if told.code == ACK_DISABLED:
            raise self.off()
        error = self.classify(answer)
        if isinstance(error, Retryable) or (isinstance(error, Hold) and answer.status in {401, 403}):
            raise error
        if told.acks is None:
            said = error.reason if isinstance(error, DeliveryError) else self.origin
            raise Unconfirmable(f"{said}: asked for what is indexed, it gives no answer", passing=answer.ok)
        return told.acks.get(str(number), False)

    def off(self) -> Unconfirmable:
        """What a token without acknowledgement leads to."""
        return Unconfirmable(f"{self.origin}: indexer acknowledgement is off for the token", off=True)

    async def close(self) -> None:
        """Close the connection."""
        await self._sender.close()

    def _at(self, path: str) -> str:
        return address(self._url, *_ENDINGS) + HEC + path


class Channels:
    """The channels of one output: borrowed for one batch, given back when all is well."""

    def __init__(
        self, settings: MultiUrlSettings, headers: Callable[[], Mapping[str, str]], clock: Clock
    ) -> None:
        self._settings = settings
        self._headers = headers
        self._clock = clock
        self._idle: list[Channel] = []
        self._lent: set[Channel] = set()

    def acquire(self, target: int) -> Channel:
        """Return a channel to the collector number *target* that nobody else uses."""
        for channel in reversed(self._idle):
            if channel.target == target:
                self._idle.remove(channel)
                break
        else:
            channel = Channel(self._settings, target, self._headers, self._clock)
        self._lent.add(channel)
        return channel

    async def release(self, channel: Channel, *, reusable: bool) -> None:
        """End the use of *channel*; one that is not *sound* is closed, and its GUID never used again."""
        if channel in self._lent and reusable:
            self._lent.discard(channel)
            self._idle.append(channel)
        else:
            self._lent.discard(channel)
            await channel.close()

    async def close(self) -> None:
        """Close what is idle now, and what is lent as soon as it comes back."""
        self._lent.clear()
        while self._idle:
            await self._idle.pop().close()
