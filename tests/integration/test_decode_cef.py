"""Elastic's own decoder of CEF reads every line, with every field, under the type that it gives it."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.model import Event
from tests.support.cef_parser import parse
from tests.support.hostile_day import fitted, hostile_day
from tests.support.programs import tool

CASES = {"ordinary": 0.0, "hostile": 1.0}
LIMIT = 8192
"""Bytes of the shorter lines: what most syslog profiles allow."""


def decoded(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Return what the decoder reads in each event's line."""
    lines = b"".join(event.payload + b"\n" for event in events)
    done = subprocess.run([tool("decode_cef")], input=lines, capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def same(read: Any, text: str) -> bool:
    """Whether the converted value *read* means what *text* says."""
    match read:
        case bool() | int() | float():
            return float(text) == read
        case str() if text.isdigit() and "T" in read:  # a time in milliseconds
            return datetime.fromisoformat(read) == datetime.fromtimestamp(int(text) / 1000, UTC)
        case str():
            return read == text or _address(read) == _address(text)
    return False


def _address(text: str) -> object:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return text


@pytest.mark.parametrize("corpus", CASES)
@pytest.mark.parametrize("shortened", [False, True], ids=["whole", "shortened"])
def test_no_field_is_missed_forged_or_of_a_wrong_type(corpus: str, shortened: bool) -> None:
    events: Sequence[Event] = hostile_day("cef", 400, CASES[corpus])
    events = fitted(events, LIMIT) if shortened else events

    results = decoded(events)

    assert len(results) == len(events)
    for event, result in zip(events, results, strict=True):
        line = parse(event.payload)
        assert result["errors"] == []
        assert {
            "deviceVendor": result["device_vendor"],
            "deviceProduct": result["device_product"],
            "deviceVersion": result["device_version"],
            "deviceEventClassId": result["device_event_class_id"],
            "name": result["name"],
            "severity": result["severity"],
        } == line.header
        assert {key: field["String"] for key, field in result["extensions"].items()} == line.extension
        for key, field in result["extensions"].items():
            if field["Interface"] is not None:  # a key of the dictionary, with its type
                assert same(field["Interface"], line.extension[key]), (key, field)


def test_a_wrong_type_would_be_found() -> None:
    [event] = hostile_day("cef", 1)
    wrong = Event(event.revision, event.payload + b" cn3=three", event.time, event.severity, event.code)

    [result] = decoded([wrong])

    assert result["errors"] == ["error in field 'cn3': strconv.ParseInt: parsing \"three\": invalid syntax"]
