"""Heartbeats of outputs: the status as a record, mapped in the format of the output."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import datetime, timedelta

from connector.delivery import Heartbeat
from connector.formats.json import instant
from connector.interfaces import Clock, Mapper
from connector.mapping import Library, Pack, build_mapper
from connector.model import Event, Feed, JsonObject, Record, Revision

_NO_FEED = Feed("", "")
_HEARTBEAT_PROBLEMS = 5
_PROBLEM_CHARACTERS = 200
"""Problems listed in a heartbeat, and characters of each: it must fit a syslog line of 2 KiB."""


def heartbeat_mapper(library: Library, pack: Pack) -> Mapper:
    """The mapper of heartbeats in the format of *pack*.

    Raises ``ConfigurationError`` if a custom mapping overrides it with a mistake.
    """
    heartbeats = library.heartbeats()
    return build_mapper(heartbeats.load(pack.format), cache=library.cache)


def build_heartbeat(
    output: str,
    every: timedelta,
    mapper: Mapper,
    snapshot: Callable[[], JsonObject],
    clock: Clock,
    *,
    event_bytes: int | None = None,
) -> Heartbeat:
    """The heartbeat of *output*.

    Args:
        output: the output's name.
        every: interval.
        mapper: builds its event.
        snapshot: returns the current status.
        clock: the wall clock.
        event_bytes: largest payload; problems are left out if they do not fit.
    """

    def make() -> Event:
        status, now = snapshot(), clock()
        for count in (_HEARTBEAT_PROBLEMS, 0):
            trimmed = {**status, "reasons": status["reasons"][:count]}
            event = mapper(_revision(output, every, trimmed, now))
            if event is not None and (event_bytes is None or len(event.payload) <= event_bytes):
                return event
        raise ValueError("the heartbeat mapping produces no event that fits")

    return Heartbeat(every, make)


def _revision(output: str, every: timedelta, status: JsonObject, now: datetime) -> Revision:
    """The status as a record, so that a mapping can transform it; ``docs/heartbeats.md`` lists its fields."""
    own: JsonObject = next((one for one in status["outputs"] if one["output"] == output), {})
    feeds = status["feeds"]
    name = f"heartbeat-{output}-{instant(now)}"
    body: JsonObject = {
        "id": name,
        "time": instant(now),
        "output": output,
        "host": socket.gethostname(),
        "version": status["version"],
        "every_seconds": int(every.total_seconds()),
        "ready": status["ready"],
        "problems": [_problem(reason, output) for reason in status["reasons"]],
        "feeds": len(feeds),
        "fresh": sum(feed["state"] == "fresh" for feed in feeds),
        "sent": own.get("sent"),
        "waiting": own.get("backlog"),
        "dead_letters": own.get("dead_letters"),
        "newest_event": own.get("newest_event"),
    }
    return Revision(_NO_FEED, Record(name, body), "heartbeat", 1, now)


def _problem(reason: JsonObject, output: str) -> str:
    names = (str(reason[key]) for key in ("account", "search", "output") if reason.get(key))
    text = str(reason["reason"])
    if reason.get("output") not in {None, output}:
        # The answer of another collector may quote email content that this output redacts.
        text = text.partition(":")[0]
    text = f"{reason['what']} {'/'.join(names)}".strip() + f": {text}"
    return text if len(text) <= _PROBLEM_CHARACTERS else text[: _PROBLEM_CHARACTERS - 1] + "…"
