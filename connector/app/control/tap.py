"""``tap``: shows an operator the events of one output as its collector answers for them.

Events are what the output sent: filtered, redacted and mapped. Nobody waits for a viewer: events that do not
fit its buffer are left out and counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from connector.broadcast import Broadcast
from connector.errors import ConnectorError
from connector.formats.json import instant
from connector.model import Event, JsonObject, Receipt
from connector.yaml_nodes import suggestion

_BUFFER_EVENTS = 1000
_BUFFER_BYTES = 4 << 20
"""What one viewer may be behind: a second of a fast output, little beside a memory budget of 120 MiB."""

_VIEWERS = 8
"""At once, so that forgotten terminals do not add up."""

_BATCH = 100
"""Events in one line of the answer."""


class _Viewer:
    """What waits to be shown to one operator."""

    def __init__(self) -> None:
        self.changed = Broadcast()
        self.left_out = 0
        self._waiting: deque[JsonObject] = deque()
        self._bytes = 0

    def add(self, event: Event, outcome: str, reason: str) -> None:
        size = len(event.payload)
        if len(self._waiting) >= _BUFFER_EVENTS or self._bytes + size > _BUFFER_BYTES:
            self.left_out += 1
            return
        self._bytes += size
        self._waiting.append(
            {
                "time": instant(event.time),
                "search": event.revision.feed.search,
                "record": event.revision.record.id,
                "outcome": outcome,
                "reason": reason,
                "payload": event.payload.decode("utf-8", "replace"),
            }
        )

    def take(self) -> tuple[list[JsonObject], int]:
        """The next events, and how many were left out since the last call."""
        events = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
        if not self._waiting:
            self._bytes = 0
        left_out, self.left_out = self.left_out, 0
        return events, left_out


class Taps:
    """Who watches which output. Deliverers report to it; a reload replaces them and keeps the viewers."""

    def __init__(self) -> None:
        self._viewers: dict[str, list[_Viewer]] = {}
        self._outputs: Collection[str] = ()
        self._is_here: Callable[[str], bool] = bool

    def configure(self, outputs: Collection[str], is_here: Callable[[str], bool] = bool) -> None:
        """Set the names of the outputs there are. Viewers of others end.

        *is_here* says whether this replica delivers to an output now.
        """
        self._outputs, self._is_here = frozenset(outputs), is_here
        for viewers in self._viewers.values():
            for viewer in viewers:
                viewer.changed.notify()

    def sent(self, output: str, events: Sequence[Event], receipt: Receipt) -> None:
        """Show what the collector of *output* accepted and what it refused."""
        viewers = self._viewers.get(output)
        if not viewers:
            return
        for index, event in enumerate(events):
            if index in receipt.retry:
                continue
            # If some were refused and the collector does not say which, all become dead letters.
            reason = receipt.rejected.get(index, receipt.unnamed_reason if receipt.unnamed else None)
            for viewer in viewers:
                viewer.add(event, "accepted" if reason is None else "refused", reason or "")
        for viewer in viewers:
            viewer.changed.notify()

    async def watch(self, request: JsonObject) -> AsyncGenerator[object, None]:
        """Yield ``{"events": [...], "left_out": N}`` as events of the output ``output`` pass, without end.

        The first answer is empty and says with ``here`` whether this replica delivers to the output.
        Raises ``ConnectorError`` for an output that is not configured (any more), and when too many watch.
        """
        output = str(request.get("output"))
        self._check(output)
        yield {"events": [], "left_out": 0, "here": self._is_here(output)}
        with self._viewing(output) as viewer:
            while True:
                events, left_out = viewer.take()
                if events or left_out:
                    yield {"events": events, "left_out": left_out}
                else:
                    self._check(output)
                    await viewer.changed.wait()

    def _check(self, output: str) -> None:
        if output not in self._outputs:
            raise ConnectorError(f"no output is named {output!r}; {suggestion(output, self._outputs)}")

    @contextmanager
    def _viewing(self, output: str) -> Iterator[_Viewer]:
        if sum(map(len, self._viewers.values())) >= _VIEWERS:
            raise ConnectorError(f"{_VIEWERS} terminals watch already; end one of them first")
        viewer = _Viewer()
        self._viewers.setdefault(output, []).append(viewer)
        try:
            yield viewer
        finally:
            self._viewers[output].remove(viewer)
            if not self._viewers[output]:
                del self._viewers[output]
