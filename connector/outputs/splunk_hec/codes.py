"""What an answer of the HTTP Event Collector means for delivery: its code first, else its HTTP status."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import orjson

from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.interfaces import Clock
from connector.net.backoff import parse_retry_after
from connector.net.transport import Response
from connector.outputs.shared.http_client import HttpSender

NO_DATA = 5
INCORRECT_INDEX = 7
ACK_DISABLED = 14


class CodeClass(enum.Enum):
    """What follows from a code."""

    ACCEPTED = enum.auto()
    SLOW = enum.auto()
    RETRY = enum.auto()
    HOLD = enum.auto()
    REFUSED = enum.auto()


CODES: Mapping[int, tuple[CodeClass, str]] = {
    0: (CodeClass.ACCEPTED, "success"),
    1: (CodeClass.HOLD, "the token is disabled; enable it in Splunk, or configure another"),
    2: (CodeClass.HOLD, "no token arrived; a proxy on the way may remove the Authorization header"),
    3: (CodeClass.HOLD, "the Authorization header is not understood; check token for stray characters"),
    4: (CodeClass.HOLD, "it does not know the token; check token and url"),
    NO_DATA: (CodeClass.REFUSED, "no event arrived"),
    6: (CodeClass.REFUSED, "the format of an event is not accepted"),
    INCORRECT_INDEX: (
        CodeClass.HOLD,
        "the index does not exist, or the token may not write to it; correct index or the token",
    ),
    8: (CodeClass.RETRY, "internal error"),
    9: (CodeClass.RETRY, "it is busy"),
    10: (
        CodeClass.HOLD,
        "the token wants indexer acknowledgement; set ack: auto, or turn it off for the token",
    ),
    11: (CodeClass.HOLD, "the data channel is not accepted; turn indexer acknowledgement off with ack: off"),
    12: (CodeClass.REFUSED, "an event is missing in its envelope"),
    13: (CodeClass.REFUSED, "an event is blank"),
    ACK_DISABLED: (
        CodeClass.HOLD,
        "indexer acknowledgement is off for this token; turn it on in Splunk, or set ack: auto",
    ),
    15: (CodeClass.REFUSED, "the indexed fields of an event are not accepted"),
    16: (CodeClass.HOLD, "tokens in a URL are not accepted; write the token as token"),
    17: (CodeClass.ACCEPTED, "healthy"),
    18: (CodeClass.RETRY, "its queues are full"),
    19: (CodeClass.RETRY, "its acknowledgement service is not available"),
    20: (CodeClass.RETRY, "its queues are full and its acknowledgement service is not available"),
    21: (CodeClass.HOLD, "it does not know the token; check token and url"),
    22: (CodeClass.HOLD, "the token is disabled; enable it in Splunk, or configure another"),
    23: (CodeClass.RETRY, "it is shutting down"),
    24: (CodeClass.SLOW, "its queue is nearly full"),
    25: (CodeClass.SLOW, "its acknowledgement channel is nearly full"),
    26: (CodeClass.RETRY, "its queue is full"),
    27: (CodeClass.RETRY, "its acknowledgement channel is full"),
}
"""Every code that Splunk documents, with what to tell a person."""

_TOO_LARGE = 413


@dataclass(frozen=True, slots=True)
class HecReply:
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


def read(body: bytes) -> HecReply:
    """Read a body of any kind; never raises."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return HecReply(page=body.lstrip()[:1] == b"<")
    if not isinstance(found, dict):
        return HecReply()
    acks = found.get("acks")
    return HecReply(
        _number(found.get("code")),
        _number(found.get("ackId")),
        _number(found.get("invalid-event-number")),
        {key: value is True for key, value in acks.items()} if isinstance(acks, dict) else None,
    )


def classify(
    sender: HttpSender,
    answer: Response,
    traces: Iterable[str],
    size: int,
    clock: Clock,
    *,
    routed: bool = False,
) -> DeliveryError | bool:
    """Say what *answer* to a batch of *size* events means: an error, or whether to slow down.

    *traces* are texts that the error must not show. *routed*: an index was chosen event by event, so that a
    wrong one is the matter of those events.
    """
    told = read(answer.body)
    kind, text = CODES.get(told.code, (None, "")) if told.code is not None else (None, "")
    if (
        answer.status == _TOO_LARGE
        or kind is None
        or (kind in {CodeClass.ACCEPTED, CodeClass.SLOW} and not answer.ok)
    ):
        if answer.ok and told.page:
            return Hold(
                f"{sender.describe(answer, 'a page for a browser')}; url does not lead to the collector"
            )
        return sender.classify(answer, traces) or False
    reason = sender.describe(answer, f"{text} (code {told.code})")
    if told.code == INCORRECT_INDEX and routed:
        kind = CodeClass.REFUSED
    if kind is CodeClass.HOLD:
        return Hold(reason)
    if kind is CodeClass.RETRY:
        return Retryable(reason, parse_retry_after(answer.headers.get("retry-after"), clock()))
    if kind is CodeClass.REFUSED:
        suspect = told.suspect if told.suspect is not None and told.suspect < size else None
        return Refused(reason, suspect=suspect)
    return kind is CodeClass.SLOW


def _number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None
