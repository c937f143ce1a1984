"""Presets for known receivers: what they put on the wire, and that a person's own keys win."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from connector.outputs.syslog.output import SyslogSettings
from connector.outputs.syslog.profiles import PROFILES, ProfileName
from connector.testing.outputs import events
from tests.support.collectors import stream_collector, unobserved, until

DOCS = Path(__file__).parents[3] / "docs" / "outputs.md"
TCP, TLS, UDP = "tcp://siem.example:514", "tls://siem.example:6514", "udp://siem.example:514"


def settings(**given: Any) -> SyslogSettings:
    return SyslogSettings.model_validate({"type": "syslog", **given})


@pytest.mark.parametrize(
    ("profile", "wire"),
    [
        (
            "rsyslog",
            rb"\d+ <131>1 2026-01-01T12:00:00\.000000Z here cf-email-security - email\.malicious - \{",
        ),
        (
            "syslog_ng",
            rb"\d+ <131>1 2026-01-01T12:00:00\.000000Z here cf-email-security - email\.malicious - \{",
        ),
        ("qradar", rb"<131>Jan  1 12:00:00 here \{"),
        ("arcsight", rb"<131>Jan  1 12:00:00 here \{"),
        ("sc4s", rb"\d+ <131>Jan  1 12:00:00 here \{"),
        ("sentinel_ama", rb"<131>Jan  1 12:00:00 here \{"),
        (
            "elastic_agent",
            rb"<131>1 2026-01-01T12:00:00\.000000Z here cf-email-security - email\.malicious - \{",
        ),
    ],
)
async def test_a_profile_says_how_a_message_looks(profile: str, wire: bytes) -> None:
    async with stream_collector() as collector:
        given = settings(address=f"tcp://127.0.0.1:{collector.port}", hostname="here", profile=profile)
        siem = given.build("siem", unobserved)
        await siem.send(events(1))
        await siem.close()
        await until(collector.messages)
        assert re.match(wire, bytes(collector.connections[0]))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("address", [TCP, TLS, UDP])
def test_a_profile_sets_mapping_and_size_for_every_transport(profile: Any, address: str) -> None:
    made = settings(address=address, profile=profile)
    row = PROFILES[profile]
    assert made.mapping == row.mapping
    assert made.format == row.format
    assert made.tag == row.tag
    assert made.max_message_bytes == (row.datagram_bytes if address == UDP else row.stream_bytes)
    assert made.framing == (None if address == UDP else row.framing)


def test_keys_that_are_given_win() -> None:
    made = settings(
        address=[TLS, TLS],
        profile="qradar",
        mapping="cef",
        format="rfc5424",
        framing="octet",
        max_message_bytes="1KiB",
    )
    assert (made.mapping, made.format, made.framing, made.max_message_bytes) == (
        "cef",
        "rfc5424",
        "octet",
        1024,
    )
    assert settings(address=UDP, profile="rsyslog", format="rfc3164").tag is True


@pytest.mark.parametrize("profile", ["graylog", 5, ["rsyslog"]])
def test_an_unknown_receiver_is_refused(profile: object) -> None:
    with pytest.raises(ValidationError, match="profile"):
        settings(address=TCP, profile=profile)


def test_every_name_has_a_row() -> None:
    assert set(PROFILES) == set(get_args(ProfileName))


def test_without_a_profile_nothing_changes() -> None:
    made = settings(address=TLS)
    assert (made.mapping, made.format, made.framing, made.max_message_bytes) == ("cef", "rfc5424", None, None)


def test_the_documented_table_is_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    reported = {name: [cell.strip("` ") for cell in cells.split("|")][:-1] for name, cells in rows}
    assert {name: reported.get(name) for name in PROFILES} == {
        name: [
            row.format,
            row.framing,
            "" if row.format == "rfc5424" else str(row.tag).lower(),
            f"{row.stream_bytes >> 10}KiB",
            f"{row.datagram_bytes >> 10}KiB",
            row.mapping,
        ]
        for name, row in PROFILES.items()
    }
