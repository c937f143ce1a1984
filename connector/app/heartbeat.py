"""Heartbeats: the connector's own status as an event in an output's format."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import datetime, timedelta

from connector.delivery import Heartbeat
from connector.formats.json import instant
from connector.interfaces import Clock, Mapper
from connector.mapping import Library, Pack, build_mapper
from connector.model import Event, Feed, JsonObject, Record, Revision

_NOBODY = Feed("", "")
_PROBLEMS = 5
_TEXT = 200
"""Problems that one heartbeat names, and characters of each."""


def heartbeat_mapper(library: Library, pack: Pack) -> Mapper:
    """What makes a heartbeat of the format that *pack* writes.

    A configuration that shadows it with a mistake is refused before anything starts.
    """
    heartbeats = library.heartbeats()
    return build_mapper(heartbeats.load(pack.format))


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
        every: how often.
        mapper: makes its event.
        snapshot: the status that the endpoint shows.
        clock: the wall clock.
        event_bytes: the most its payload may have; where the problems do not fit they are left out.
    """

    def make() -> Event:
        status, now = snapshot(), clock()
        for count in (_PROBLEMS, 0):
            told = {**status, "reasons": status["reasons"][:count]}
            event = mapper(_revision(output, every, told, now))
            if event is not None and (event_bytes is None or len(event.payload) <= event_bytes):
                return event
        raise ValueError("the mapping of heartbeats makes no event that fits")

    return Heartbeat(every, make)


def _revision(output: str, every: timedelta, status: JsonObject, now: datetime) -> Revision:
    """The status as a record, so that a mapping can shape it; ``docs/outputs.md`` lists its fields."""
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
    return Revision(_NOBODY, Record(name, body), "heartbeat", 1, now)


def _problem(reason: JsonObject, output: str) -> str:
    about = (str(reason[key]) for key in ("account", "search", "output") if reason.get(key))
    said = str(reason["reason"])
    if reason.get("output") not in {None, output}:
        # What another collector answered may quote mail, and this output may be one that redacts it.
        said = said.partition(":")[0]
    text = f"{reason['what']} {'/'.join(about)}".strip() + f": {said}"
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"
