"""Syslog header encoders: RFC 5424, and the older BSD format described by RFC 3164.

Header fields are printable ASCII without spaces, whatever the input holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

NIL = "-"
FACILITIES = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8,
    "cron": 9, "authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19,
    "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}  # fmt: skip
"""Facility names as syslog daemons spell them."""

# Index: severity 0 to 10 of an event. Value: syslog severity, 2 critical to 6 informational (RFC 5424 6.2.1).
_SEVERITIES = (6, 6, 6, 5, 4, 4, 4, 3, 3, 2, 2)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Longest fields, in characters: RFC 5424 section 6; the tag by RFC 3164 section 4.1.3.
_HOSTNAME, _APP_NAME, _MSGID, _TAG = 255, 48, 32, 32
_STAMP = len("2026-01-01T00:00:00.000000")
_UNFIT = re.compile(r"[^!-~]+")
_UNFIT_IN_TAG = re.compile(r"[^!-~]+|[:\[\]]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """Header fields shared by all messages of a sender. *tag* (RFC 3164): put *app_name* before the text."""

    facility: int
    hostname: str
    app_name: str
    tag: bool = True


def severity(number: int) -> int:
    """Return the syslog severity for an event's severity *number* (clamped to 0..10)."""
    return _SEVERITIES[max(0, min(10, number))]


@lru_cache(maxsize=256)
def clean(text: str, longest: int) -> str:
    """Return *text* as a header field: printable ASCII without spaces, cut to *longest*; ``-`` if empty."""
    return _UNFIT.sub("", text)[:longest] or NIL


def rfc5424(origin: Origin, number: int, time: datetime, msgid: str) -> bytes:
    """Write a header of RFC 5424, up to and with the space before the message.

    No process ID and no structured data: in a container the process ID is always the same, and the message
    itself is structured. No byte order mark either: common receivers pass it on as part of the message.
    """
    host = clean(origin.hostname, _HOSTNAME)
    app = clean(origin.app_name, _APP_NAME)
    moment = time if time.tzinfo is UTC else time.astimezone(UTC)
    stamp = moment.isoformat(timespec="microseconds")[:_STAMP]
    return (
        f"<{origin.facility * 8 + severity(number)}>1 {stamp}Z {host} {app} - {clean(msgid, _MSGID)} - "
    ).encode("ascii")


def rfc3164(origin: Origin, number: int, time: datetime, msgid: str) -> bytes:  # noqa: ARG001, one signature
    """Write a header as described by RFC 3164, in UTC; it has no place for *msgid*, year or time zone."""
    host = clean(origin.hostname, _HOSTNAME)
    moment = time.astimezone(UTC)
    stamp = f"{_MONTHS[moment.month - 1]} {moment.day:2d} {moment:%H:%M:%S}"
    # A colon or bracket would end the tag early.
    tag = f"{clean(_UNFIT_IN_TAG.sub('', origin.app_name), _TAG)}: " if origin.tag else ""
    return f"<{origin.facility * 8 + severity(number)}>{stamp} {host} {tag}".encode("ascii")
