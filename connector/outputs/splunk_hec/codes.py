"""HEC response codes: what a response means for delivery, by its code first, else by its HTTP status.

Source: Splunk, "Troubleshoot HTTP Event Collector", possible error codes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.interfaces import Clock
from connector.model import Event
from connector.net.backoff import parse_retry_after
from connector.net.transport import Response
from connector.outputs.shared.answer_text import is_page
from connector.outputs.shared.http_client import HttpSender

# Codes of HEC responses that other files refer to ("Troubleshoot HTTP Event Collector", Splunk).
NO_DATA = 5
INCORRECT_INDEX = 7
SERVER_BUSY = 9
ACK_DISABLED = 14


class CodeClass(enum.Enum):
    """What a code means for delivery."""

    ACCEPTED = enum.auto()
    SLOW = enum.auto()
    RETRY = enum.auto()
    HOLD = enum.auto()
    REFUSED = enum.auto()


CODES: Mapping[int, tuple[CodeClass, str]] = {
    0: (CodeClass.ACCEPTED, "success"),
    1: (CodeClass.HOLD, "the token is disabled; enable it in Splunk, or configure another one"),
    2: (CodeClass.HOLD, "no token received; a proxy may remove the Authorization header"),
    3: (CodeClass.HOLD, "invalid Authorization header; check token for stray characters"),
    4: (CodeClass.HOLD, "unknown token; check token and url"),
    NO_DATA: (CodeClass.REFUSED, "no event received"),
    6: (CodeClass.REFUSED, "invalid event format"),
    INCORRECT_INDEX: (
        CodeClass.HOLD,
        "the index does not exist, or the token may not write to it; correct index or the token's indexes",
    ),
    8: (CodeClass.RETRY, "internal error"),
    SERVER_BUSY: (CodeClass.RETRY, "server busy"),
    10: (
        CodeClass.HOLD,
        "the token requires indexer acknowledgement; set ack: auto, or turn it off for the token",
    ),
    11: (CodeClass.HOLD, "invalid data channel; set ack: off to send none"),
    12: (CodeClass.REFUSED, "an envelope lacks its event field"),
    13: (CodeClass.REFUSED, "an event is blank"),
    ACK_DISABLED: (
        CodeClass.HOLD,
        "indexer acknowledgement is off for this token; turn it on in Splunk, or set ack: auto",
    ),
    15: (CodeClass.REFUSED, "invalid indexed fields"),
    16: (CodeClass.HOLD, "tokens in the URL are disabled; set token instead"),
    17: (CodeClass.ACCEPTED, "healthy"),
    18: (CodeClass.RETRY, "queues full"),
    19: (CodeClass.RETRY, "acknowledgement service unavailable"),
    20: (CodeClass.RETRY, "queues full and acknowledgement service unavailable"),
    21: (CodeClass.HOLD, "unknown token; check token and url"),
    22: (CodeClass.HOLD, "the token is disabled; enable it in Splunk, or configure another one"),
    23: (CodeClass.RETRY, "shutting down"),
    24: (CodeClass.SLOW, "queue almost full"),
    25: (CodeClass.SLOW, "acknowledgement channel almost full"),
    26: (CodeClass.RETRY, "queue full"),
    27: (CodeClass.RETRY, "acknowledgement channel full"),
}
"""Every documented code: what it means for delivery, and what to do, in words."""

_TOO_LARGE = 413


@dataclass(frozen=True, slots=True)
class HecReply:
    """The parts of a HEC response body; ``None`` where absent.

    Args:
        code: Splunk's code.
        ack_id: the ackId of the batch.
        suspect: the index of the event where parsing stopped (``invalid-event-number``).
        acks: by ackId, whether a batch is indexed.
        page: the body is an HTML page.
        success: the text says so, as collectors do that imitate Splunk without its codes.
    """

    code: int | None = None
    ack_id: int | None = None
    suspect: int | None = None
    acks: Mapping[str, bool] | None = None
    page: bool = False
    success: bool = False


def read(body: bytes) -> HecReply:
    """Parse a body of any kind; never raises."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return HecReply(page=is_page(body))
    if not isinstance(document, dict):
        return HecReply()
    acks = document.get("acks")
    return HecReply(
        _number(document.get("code")),
        _number(document.get("ackId")),
        _number(document.get("invalid-event-number")),
        {key: value is True for key, value in acks.items()} if isinstance(acks, dict) else None,
        success=str(document.get("text")).casefold() == "success",
    )


def classify(
    sender: HttpSender,
    answer: Response,
    secrets: Iterable[str],
    sent: Sequence[Event],
    clock: Clock,
    *,
    routed: bool = False,
) -> DeliveryError | bool:
    """What *answer* to a batch of the events *sent* means: an error, or whether to slow down.

    The error shows neither *secrets* nor text of *sent*. *routed*: events have indexes of their own, so a
    wrong index is the fault of single events.
    """
    reply = read(answer.body)
    kind, text = CODES.get(reply.code, (None, "")) if reply.code is not None else (None, "")
    contradicts = kind in {CodeClass.ACCEPTED, CodeClass.SLOW} and not answer.ok
    if answer.status == _TOO_LARGE or kind is None or contradicts:
        return _by_status(sender, answer, reply, secrets, sent)
    reason = sender.describe(answer, f"{text} (code {reply.code})")
    if reply.code == INCORRECT_INDEX and routed:
        kind = CodeClass.REFUSED
    if kind is CodeClass.HOLD:
        return Hold(reason)
    if kind is CodeClass.RETRY:
        after = parse_retry_after(answer.headers.get("retry-after"), clock())
        return Retryable(reason, after, busy=reply.code == SERVER_BUSY)
    if kind is CodeClass.REFUSED:
        suspect = reply.suspect if reply.suspect is not None and reply.suspect < len(sent) else None
        return Refused(reason, suspect=suspect)
    return kind is CodeClass.SLOW


def _by_status(
    sender: HttpSender, answer: Response, reply: HecReply, secrets: Iterable[str], sent: Sequence[Event]
) -> DeliveryError | bool:
    """What a response without a known code means."""
    if answer.ok and reply.page:
        return Hold(f"{sender.describe(answer, 'an HTML page')}; url is not that of a collector")
    if answer.ok and sent and not reply.success:
        # A proxy, a captive portal or another service answered: nothing says that the events arrived.
        answered = sender.describe(answer, sender.safe_excerpt(answer, secrets, sent))
        return Hold(
            f"{answered} without HEC's success reply; url is not that of a collector, or a proxy answers in "
            "its place"
        )
    return sender.classify(answer, secrets, sent) or False


def _number(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return None
