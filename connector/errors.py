"""Every error of the connector, by what a caller can do about it.

::

    ConnectorError
    ├── ConfigurationError    exit 2 before anything starts: file, line, column, what to do
    ├── SourceError           the search ends, the checkpoint stays
    │   ├── Unavailable       network, 5xx, 429: try again later (``after``)
    │   ├── Denied            401, 403: credentials or permission; wait for the operator, probe slowly
    │   ├── BadQuery          400, 404, 405, 410, 422: the API refuses this request
    │   ├── OutcomeUnknown    the request may have taken effect: read what became of it, never repeat
    │   └── SearchIncomplete  the search cannot be completed as asked: halve the slice
    ├── JournalError
    │   ├── JournalFull       disk or backlog limit: wait, lose nothing
    │   │   └── DeadLettersFull an output keeps as many dead letters as it may: the operator has to look
    │   ├── JournalBroken     the database cannot be used: stop, say how to get out
    │   │   └── JournalDamaged its contents are damaged: name the file, point at ``state recover``
    │   ├── JournalUnavailable the database server cannot be reached: wait, lose nothing
    │   ├── LimitReached      somebody stored as many actions as they may: refuse, say until when
    │   ├── LeaseLost         another replica does this work now: stop, write nothing
    │   ├── JournalInUse      another process holds the state directory (``pid``): ask it instead
    │   └── Moved             a compare-and-set found another value: read again
    └── DeliveryError         about a whole request; per-item results are data in ``Receipt``
        ├── Retryable         nothing may be assumed, send the same again (``after``)
        │   └── PartlyDown    a check: some collectors of an output fail, others work, so events are delivered
        ├── Refused           the request was refused, the culprit is unknown: split
        └── Hold              only an operator can help: credentials, TLS, missing index

No message ever holds a secret or the text of a message.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from connector.values import dataclass


class ConnectorError(Exception):
    """An error the connector can name.

    *kind* is the public name of the class: a label value in metrics and logs, written down so that renaming a
    class cannot change it.
    """

    kind: ClassVar[str] = "error"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file, counted from 1. Line 0: *file* names what has no lines, such as a variable."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a configuration or mapping: where, what, and what to do."""

    message: str
    position: Position | None = None
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.position}: " if self.position else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.message}{hint}"


class ConfigurationError(ConnectorError):
    """The configuration or mapping cannot be used. Holds every problem found, one line each."""

    kind = "configuration"

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class SourceError(ConnectorError):
    """The API did not give what was asked.

    Args:
        reason: what happened, in words, without secrets.
        status: HTTP status, where there was one.
        code: Cloudflare's error code, where there was one.
        ray: the ``CF-Ray`` of the answer; Cloudflare's support asks for it.
        hint: what the operator can do.
    """

    kind = "source"

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        code: int | None = None,
        ray: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.code = code
        self.ray = ray
        self.hint = hint

    def __str__(self) -> str:
        facts = [f"HTTP {self.status}" if self.status else "", f"code {self.code}" if self.code else ""]
        facts.append(f"CF-Ray {self.ray}" if self.ray else "")
        details = ", ".join(fact for fact in facts if fact)
        return self.reason + (f" [{details}]" if details else "") + (f"; {self.hint}" if self.hint else "")


class Unavailable(SourceError):
    """The API cannot answer now; *after* is how long, in seconds, it asked to wait."""

    kind = "unavailable"

    def __init__(
        self,
        reason: str,
        *,
        after: float | None = None,
        status: int | None = None,
        code: int | None = None,
        ray: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(reason, status=status, code=code, ray=ray, hint=hint)
        self.after = after


class Denied(SourceError):
    """The API does not accept the credentials or their permissions."""

    kind = "denied"


class BadQuery(SourceError):
    """The API refuses this request; the same request would be refused again."""

    kind = "bad_query"


class OutcomeUnknown(SourceError):
    """A request that must not be repeated left, and no answer tells whether it took effect."""

    kind = "outcome_unknown"


class SearchIncomplete(SourceError):
    """The search cannot be completed as asked; a shorter window may succeed."""

    kind = "search_incomplete"


class JournalError(ConnectorError):
    """The journal could not do what was asked."""

    kind = "journal"


class JournalFull(JournalError):
    """There is no room: the disk is full, or an output that pauses collection is over its limit."""

    kind = "journal_full"

    def __init__(self, reason: str, outputs: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.outputs = outputs


class DeadLettersFull(JournalFull):
    """An output keeps as many dead letters as it may; an operator has to look at them first."""

    kind = "dead_letters_full"


class JournalBroken(JournalError):
    """The database cannot be used; the message says how to get out."""

    kind = "journal_broken"


class JournalDamaged(JournalBroken):
    """The database holds what the connector never wrote; the message names the file and how to recover."""

    kind = "journal_damaged"


class JournalInUse(JournalError):
    """Another process holds the state directory; *pid* is its id, where it is known."""

    kind = "journal_in_use"

    def __init__(self, reason: str, pid: int | None = None) -> None:
        super().__init__(reason)
        self.pid = pid


class JournalUnavailable(JournalError):
    """The database server cannot be reached or cannot work now; nothing was stored, try again later."""

    kind = "journal_unavailable"


class LeaseLost(JournalError):
    """This process does not hold the lease any more that a write needs; nothing was stored."""

    kind = "lease_lost"


class LimitReached(JournalError):
    """Somebody stored as many actions within an hour as they may; the next one is possible at *until*."""

    kind = "limit_reached"

    def __init__(self, reason: str, until: datetime) -> None:
        super().__init__(reason)
        self.until = until


class Moved(JournalError):
    """Somebody else moved the position or checkpoint; read it again."""

    kind = "moved"


class DeliveryError(ConnectorError):
    """A whole request of an output failed. *reason* holds no secret."""

    kind = "delivery"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retryable(DeliveryError):
    """The collector cannot take it now.

    Args:
        reason: why.
        after: how long, in seconds, it asked to wait.
        busy: it works and asks for fewer requests, as by HTTP 429; nothing is broken.
    """

    kind = "retryable"

    def __init__(self, reason: str, after: float | None = None, *, busy: bool = False) -> None:
        super().__init__(reason)
        self.after = after
        self.busy = busy


class PartlyDown(Retryable):
    """What a check of several collectors found: some fail, and events go to those that work."""

    kind = "partly_down"


class Refused(DeliveryError):
    """The collector refused the request as data; *suspect* is the index of the event it named."""

    kind = "refused"

    def __init__(self, reason: str, *, too_large: bool = False, suspect: int | None = None) -> None:
        super().__init__(reason)
        self.too_large = too_large
        self.suspect = suspect


class Hold(DeliveryError):
    """Only an operator can help: credentials, permission, TLS, an index that does not exist."""

    kind = "hold"
