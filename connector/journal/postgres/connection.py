"""A connection that does not wait for ever: a proxy in between may hold it open though its server is gone."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")
_CANCEL_SECONDS = 5.0


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """Closes itself where the server says nothing for *answer_seconds*."""

    answer_seconds = float("inf")

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **named: Any) -> T:
        """See ``psycopg.Connection``. Raises ``OperationalError`` where no answer comes in time."""
        return super().wait(self._bounded(gen), *arguments, **named)

    def _bounded(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        deadline = monotonic() + self.answer_seconds
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    deadline = monotonic() + self.answer_seconds
                elif monotonic() >= deadline:
                    break
                wanted = gen.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        # What it does on the server, such as waiting for a lock, should end as well.
        with suppress(psycopg.Error):
            self.cancel_safe(timeout=_CANCEL_SECONDS)
        self.close()
        raise psycopg.OperationalError(f"no answer within {self.answer_seconds:.0f} s")
