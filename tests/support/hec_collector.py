"""Splunk's HTTP Event Collector on a loopback socket: tokens, both endpoints, all codes, acknowledgement.

Several indexers may stand behind one address, as behind a load balancer; each counts batches per channel
for itself and knows nothing of the others.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.support.scripted_http import Asked, Reply, ScriptedServer, json_reply, scripted

TOKEN = "11111111-2222-3333-4444-555555555555"
CHANNEL = "x-splunk-request-channel"
TEXTS = {
    0: (200, "Success"),
    1: (403, "Token disabled"),
    2: (401, "Token is required"),
    3: (401, "Invalid authorization"),
    4: (403, "Invalid token"),
    5: (400, "No data"),
    6: (400, "Invalid data format"),
    7: (400, "Incorrect index"),
    8: (500, "Internal server error"),
    9: (503, "Server is busy"),
    10: (400, "Data channel is missing"),
    11: (400, "Invalid data channel"),
    12: (400, "Event field is required"),
    13: (400, "Event field cannot be blank"),
    14: (400, "ACK is disabled"),
    15: (400, "Error in handling indexed fields"),
    16: (400, "Query string authorization is not enabled"),
    17: (200, "HEC is healthy"),
    18: (503, "HEC is unhealthy, queues are full"),
    19: (503, "HEC is unhealthy, ack service unavailable"),
    20: (503, "HEC is unhealthy, queues are full, ack service unavailable"),
    21: (400, "Invalid token"),
    22: (400, "Token disabled"),
    23: (503, "Server is shutting down"),
    24: (200, "Success, queue approaching capacity"),
    25: (200, "Success, ack channel approaching capacity"),
    26: (429, "Queue at capacity"),
    27: (429, "Ack channel at capacity"),
}
"""Every code with its HTTP status and text."""


def reported(code: int, **more: Any) -> Reply:
    """The answer with *code*."""
    status, text = TEXTS[code]
    return json_reply({"text": text, "code": code, **more}, status)


class Rejected(Exception):
    """Event number *number* is not accepted."""

    def __init__(self, code: int, number: int) -> None:
        super().__init__(code)
        self.code = code
        self.number = number


@dataclass
class Indexer:
    """One of the machines behind the address."""

    issued: dict[str, int] = field(default_factory=dict)
    asked: dict[tuple[str, int], int] = field(default_factory=dict)

    def issue(self, channel: str) -> int:
        """The next number of *channel*; each channel counts from 0."""
        number = self.issued.get(channel, 0)
        self.issued[channel] = number + 1
        self.asked[channel, number] = 0
        return number

    def indexed(self, channel: str, number: int, patience: int | None) -> bool:
        """Whether a batch is indexed; told once, then forgotten. Unknown ones are not."""
        key = (channel, number)
        if key not in self.asked:
            return False
        self.asked[key] += 1
        if patience is None or self.asked[key] <= patience:
            return False
        del self.asked[key]
        return True


@dataclass
class HecCollector:
    """What the collector is like, and what it took.

    Args:
        token: the one token it knows.
        indexes: the indexes that the token may write to.
        ack: whether the token has indexer acknowledgement.
        patience: how many questions are answered with no before a batch is indexed; ``None``: for ever.
        poison: says for a document or line with which code it is refused.
        base: the number of the first event of a request, where an event is named.
        keeps_head: whether events before the refused one are indexed all the same.
        longest: the most bytes of a request, unpacked.
        indexers: the machines behind the address.
        sticky: how requests find the same machine again.
        faults: answers to the next requests for events, instead of taking them.
        ack_faults: answers to the next questions for what is indexed.
    """

    token: str = TOKEN
    indexes: frozenset[str] = frozenset({"mail"})
    ack: bool = False
    patience: int | None = 0
    poison: Callable[[Any], int | None] = lambda _: None
    base: int = 0
    keeps_head: bool = False
    longest: int = 800 << 20
    indexers: list[Indexer] = field(default_factory=lambda: [Indexer()])
    sticky: Literal["cookie", "connection", "no"] = "cookie"
    faults: list[Reply] = field(default_factory=list)
    ack_faults: list[Reply] = field(default_factory=list)
    health: Reply = field(default_factory=lambda: reported(17))
    events: list[dict[str, Any]] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    server: ScriptedServer | None = None
    turn: int = 0

    @property
    def url(self) -> str:
        assert self.server is not None
        return self.server.url

    @property
    def pending(self) -> int:
        """Batches taken of which nobody was told yet that they are indexed."""
        return sum(len(indexer.asked) for indexer in self.indexers)

    def documents(self) -> list[bytes]:
        """What was taken, as payloads."""
        return [
            json.dumps(each["event"], separators=(",", ":")).encode() for each in self.events
        ] + self.lines

    def answer(self, asked: Asked) -> Reply:
        """Answer one request as Splunk does."""
        number = self._route(asked)
        reply = self._answer(asked, self.indexers[number])
        if self.sticky == "cookie" and len(self.indexers) > 1 and reply.raw is None:
            return Reply(
                reply.status,
                reply.body,
                {**reply.headers, "set-cookie": f"indexer={number}"},
                hold=reply.hold,
            )
        return reply

    def _route(self, asked: Asked) -> int:
        if self.sticky == "connection":
            return asked.connection % len(self.indexers)
        cookie = asked.headers.get("cookie", "")
        if self.sticky == "cookie" and "indexer=" in cookie:
            return int(cookie.rpartition("=")[2])
        self.turn += 1
        return self.turn % len(self.indexers)

    def _answer(self, asked: Asked, indexer: Indexer) -> Reply:
        name = asked.path.removeprefix("/services/collector").strip("/")
        if asked.path == name or name not in {"event", "raw", "ack", "health"}:
            return json_reply({"text": "The requested URL was not found on this server.", "code": 404}, 404)
        if name == "health":
            known = asked.headers.get("authorization") in {None, f"Splunk {self.token}"}
            return self.health if known else reported(21)
        channel = asked.headers.get(CHANNEL) or asked.params.get("channel")
        refusal = self._authorized(asked)
        if refusal is None and channel is None and (self.ack or name == "raw"):
            refusal = reported(10)
        if refusal is not None:
            return refusal
        if name == "ack":
            return self._acks(asked, indexer, channel)
        return self.faults.pop(0) if self.faults else self._take(asked, indexer, channel, raw=name == "raw")

    def _authorized(self, asked: Asked) -> Reply | None:
        given = asked.headers.get("authorization")
        if given is None:
            return reported(2)
        scheme, _, token = given.partition(" ")
        if scheme != "Splunk" or not token:
            return reported(3)
        return None if token == self.token else reported(4)

    def _acks(self, asked: Asked, indexer: Indexer, channel: str | None) -> Reply:
        if not self.ack:
            return reported(14)
        assert channel is not None
        if self.ack_faults:
            return self.ack_faults.pop(0)
        numbers = json.loads(asked.body)["acks"]
        return json_reply(
            {"acks": {str(number): indexer.indexed(channel, number, self.patience) for number in numbers}}
        )

    def _take(self, asked: Asked, indexer: Indexer, channel: str | None, *, raw: bool) -> Reply:
        packed = asked.headers.get("content-encoding") == "gzip"
        body = gzip.decompress(asked.body) if packed else asked.body
        if len(body) > self.longest:
            return Reply(413, b"Request exceeds maximum")
        if not body:
            return reported(5)
        self.sizes.append(len(body))
        if channel is not None:
            self.channels.append(channel)
        refusal = self._raw(asked, body) if raw else self._events(body)
        if refusal is not None:
            return refusal
        return reported(0, ackId=indexer.issue(channel)) if self.ack and channel else reported(0)

    def _raw(self, asked: Asked, body: bytes) -> Reply | None:
        if asked.params.get("index", "mail") not in self.indexes:
            return reported(7)
        found = body.split(b"\n")[:-1]
        code = next((code for one in found if (code := self.poison(one))), None)
        if code:
            return reported(code)
        self.lines += found
        return None

    def _events(self, body: bytes) -> Reply | None:
        taken: list[dict[str, Any]] = []
        try:
            for number, envelope in enumerate(_objects(body.decode())):
                taken.append(self._checked(envelope, number))
        except Rejected as rejected:
            self.events += taken if self.keeps_head else []
            return reported(rejected.code, **{"invalid-event-number": rejected.number + self.base})
        self.events += taken
        return None

    def _checked(self, envelope: Any, number: int) -> dict[str, Any]:
        if not isinstance(envelope, dict):
            raise Rejected(6, number)
        if "event" not in envelope:
            raise Rejected(12, number)
        if envelope["event"] in ("", None, {}):
            raise Rejected(13, number)
        if any(isinstance(value, dict) for value in envelope.get("fields", {}).values()):
            raise Rejected(15, number)
        if envelope.get("index", "mail") not in self.indexes:
            raise Rejected(7, number)
        code = self.poison(envelope["event"])
        if code:
            raise Rejected(code, number)
        return envelope


def _objects(text: str) -> Iterator[Any]:
    """JSON values one after the other, with or without white space between them."""
    decoder, start, number = json.JSONDecoder(), 0, 0
    while start < len(text):
        if text[start].isspace():
            start += 1
            continue
        try:
            value, start = decoder.raw_decode(text, start)
        except json.JSONDecodeError:
            raise Rejected(6, number) from None
        number += 1
        yield value


@contextlib.asynccontextmanager
async def hec_collector(*, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[HecCollector]:
    """Run a collector on a free port of 127.0.0.1."""
    collector = HecCollector(**options)
    async with scripted(collector.answer, tls=tls) as server:
        collector.server = server
        yield collector
