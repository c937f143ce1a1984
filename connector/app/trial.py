"""A test event: through an output's own mapping, redaction and encoding to its collector."""

from __future__ import annotations

from datetime import datetime

from connector.app.routes import Route
from connector.errors import Refused, Retryable
from connector.formats.json import instant
from connector.model import Event, Feed, JsonObject, Record, Revision

_FEED = Feed("", "check")
_TEXT = "Test event of the Cloudflare Email Security connector: no mail, nothing to do"


async def send_trial(route: Route, now: datetime) -> str:
    """Send one test event to the collector of *route*; ``when`` does not hold it back.

    Returns one line that says how to find it there. Raises ``DeliveryError`` like ``Output.open`` and
    ``Output.send``; an event that cannot be made or is not accepted is one as well.
    """
    event = _event(route, now)
    try:
        await route.output.open()
        receipt = await route.output.send([event])
    finally:
        await route.output.close()
    if receipt.rejected:
        raise Refused(f"the collector refused it: {receipt.rejected[0]}")
    if receipt.retry:
        raise Retryable("the collector asked to send it again later")
    return f"accepted; look for {event.revision.record.id}"


def _event(route: Route, now: datetime) -> Event:
    revision = trial_revision(now)
    try:
        event = route.unfiltered()(revision)
    except Exception as error:
        raise Refused(f"the mapping failed on it: {error}") from error
    if event is None:
        raise Refused("the mapping makes no event of it")
    most = route.output.limits.event_bytes
    if most is not None and len(event.payload) > most:
        raise Refused(f"it has {len(event.payload)} bytes, the output takes {most}", too_large=True)
    return event


def trial_revision(now: datetime) -> Revision:
    """A harmless record that says in its subject what it is; its fields are those of the API."""
    name = f"test-{instant(now)}"
    body: JsonObject = {
        "id": name,
        "alert_id": name,
        "subject": _TEXT,
        "from": "connector@test.invalid",
        "from_name": "Connector",
        "to": ["soc@test.invalid"],
        "to_name": [],
        "message_id": f"<{name}@test.invalid>",
        "scanned_at": instant(now),
        "sent_date": instant(now),
        "final_disposition": "NONE",
        "detection_reasons": [_TEXT],
        "is_phish_submission": False,
        "is_quarantined": False,
    }
    return Revision(_FEED, Record(name, body), "test", 1, now)
