"""What an answer of the HTTP Event Collector means for delivery: its code first, else its HTTP status."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.interfaces import Clock
from connector.net.backoff import parse_retry_after
from connector.net.transport import Answer
from connector.outputs.shared.http_client import Web

NO_DATA = 5
INCORRECT_INDEX = 7
ACK_DISABLED = 14


class Class(enum.Enum):
    """What follows from a code."""

    TAKEN = enum.auto()
    SLOW = enum.auto()
    AGAIN = enum.auto()
    PERSON = enum.auto()
    DATA = enum.auto()


CODES: Mapping[int, tuple[Class, str]] = {
    0: (Class.TAKEN, "success"),
    1: (Class.PERSON, "the token is disabled; enable it in Splunk, or configure another"),
    2: (Class.PERSON, "no token arrived; a proxy on the way may remove the Authorization header"),
    3: (Class.PERSON, "the Authorization header is not understood; check token for stray characters"),
    4: (Class.PERSON, "it does not know the token; check token and url"),
    NO_DATA: (Class.DATA, "no event arrived"),
    6: (Class.DATA, "the format of an event is not accepted"),
    INCORRECT_INDEX: (
        Class.PERSON,
        "the index does not exist, or the token may not write to it; correct index or the token",
    ),
    8: (Class.AGAIN, "internal error"),
    9: (Class.AGAIN, "it is busy"),
    10: (
        Class.PERSON,
        "the token wants indexer acknowledgement; set ack: auto, or turn it off for the token",
    ),
    11: (Class.PERSON, "the data channel is not accepted; turn indexer acknowledgement off with ack: off"),
    12: (Class.DATA, "an event is missing in its envelope"),
    13: (Class.DATA, "an event is blank"),
    ACK_DISABLED: (
        Class.PERSON,
        "indexer acknowledgement is off for this token; turn it on in Splunk, or set ack: auto",
    ),
    15: (Class.DATA, "the indexed fields of an event are not accepted"),
    16: (Class.PERSON, "tokens in a URL are not accepted; write the token as token"),
    17: (Class.TAKEN, "healthy"),
    18: (Class.AGAIN, "its queues are full"),
    19: (Class.AGAIN, "its acknowledgement service is not available"),
    20: (Class.AGAIN, "its queues are full and its acknowledgement service is not available"),
    21: (Class.PERSON, "it does not know the token; check token and url"),
    22: (Class.PERSON, "the token is disabled; enable it in Splunk, or configure another"),
    23: (Class.AGAIN, "it is shutting down"),
    24: (Class.SLOW, "its queue is nearly full"),
    25: (Class.SLOW, "its acknowledgement channel is nearly full"),
    26: (Class.AGAIN, "its queue is full"),
    27: (Class.AGAIN, "its acknowledgement channel is full"),
}
"""Every code that Splunk documents, with what to tell a person."""

_TOO_LARGE = 413


@dataclass(frozen=True, slots=True)
class Told:
    """What the body of an answer says, as far as it says anything.

    Args:
        code: Splunk's code.
        ack_id: the number under which the batch can be asked for.
        suspect: the index of the event where reading ended.
        acks: by number, whether a batch is indexed; ``None`` where the answer is not about that.
        page: it is a page for a browser.
    """

    code: int | None = None
    ack_id: int | None = None
    suspect: int | None = None
    acks: Mapping[str, bool] | None = None
    page: bool = False


def read(body: bytes) -> Told:
    """Read a body of any kind; never raises."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Told(page=body.lstrip()[:1] == b"<")
    if not isinstance(found, dict):
        return Told()
    acks = found.get("acks")
    return Told(
        _number(found.get("code")),
        _number(found.get("ackId")),
        _number(found.get("invalid-event-number")),
        {key: value is True for key, value in acks.items()} if isinstance(acks, dict) else None,
    )


def judge(
    web: Web, answer: Answer, traces: Iterable[str], size: int, clock: Clock, *, routed: bool = False
) -> DeliveryError | bool:
    """Say what *answer* to a batch of *size* events means: an error, or whether to slow down.

    *traces* are texts that the error must not show. *routed*: an index was chosen event by event, so that a
    wrong one is the matter of those events.
    """
    told = read(answer.body)
    kind, text = CODES.get(told.code, (None, "")) if told.code is not None else (None, "")
    if answer.status == _TOO_LARGE or kind is None or (kind in {Class.TAKEN, Class.SLOW} and not answer.ok):
        if answer.ok and told.page:
            return Hold(f"{web.told(answer, 'a page for a browser')}; url does not lead to the collector")
        return web.judge(answer, traces) or False
    reason = web.told(answer, f"{text} (code {told.code})")
    if told.code == INCORRECT_INDEX and routed:
        kind = Class.DATA
    if kind is Class.PERSON:
        return Hold(reason)
    if kind is Class.AGAIN:
        return Retryable(reason, parse_retry_after(answer.headers.get("retry-after"), clock()))
    if kind is Class.DATA:
        suspect = told.suspect if told.suspect is not None and told.suspect < size else None
        return Refused(reason, suspect=suspect)
    return kind is Class.SLOW


def _number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None
