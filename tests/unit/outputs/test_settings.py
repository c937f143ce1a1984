"""What a person may write for an output, and what is refused because it would have no effect."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from connector.model import Backlog, Limits, WhenFull
from connector.outputs import BUILT_IN
from connector.outputs.common import BatchSettings, OutputSettings


def parsed(kind: str, **given: Any) -> OutputSettings:
    return BUILT_IN[kind].model_validate({"type": kind, **given})


def test_common_keys_are_read_as_people_write_them() -> None:
    settings = parsed(
        "stdout",
        **{"from": "beginning"},
        emit="first",
        max_age="1h",
        when={"$severity": {"gte": 7}},
        backlog={"max_bytes": "2MiB", "when_full": "skip"},
        timeout="5s",
    )
    assert settings.start == "beginning"
    assert settings.max_age == timedelta(hours=1)
    assert settings.when == {"$severity": {"gte": 7}}
    assert settings.journal_limits() == Backlog(2 << 20, WhenFull.SKIP)


def test_a_batch_replaces_only_what_is_given() -> None:
    limits = BatchSettings.model_validate({"events": 7, "linger": "250ms"}).applied(Limits(bytes=1234))
    assert limits == Limits(events=7, bytes=1234, linger=0.25)


SYSLOG = {"address": "tcp://siem.example:514"}
UDP = {"address": "udp://siem.example:514"}
HTTP = {"url": "https://collector.example/in"}


@pytest.mark.parametrize(
    ("kind", "given", "complaint"),
    [
        ("stdout", {"path": "x"}, "Extra inputs"),
        ("stdout", {"tls": {}}, "Extra inputs"),
        ("stdout", {"start": "head"}, "Extra inputs"),
        ("stdout", {"timeout": "0s"}, "greater than 0"),
        ("stdout", {"batch": {"events": 0}}, "greater than or equal to 1"),
        ("file", {}, "path"),
        ("file", {"path": "x", "rotate": {"keep": 3}}, "rotate requires size, every, or both"),
        ("file", {"path": "x", "rotate": {"every": "1s"}}, "greater than or equal to"),
        ("syslog", {"address": "siem.example:514"}, "expected an address"),
        ("syslog", {"address": "tcp://siem.example"}, "expected an address"),
        ("syslog", {"address": "tcp://:514"}, "expected an address"),
        ("syslog", {"address": "tcp://siem.example:99999"}, "expected an address"),
        ("syslog", {"address": "tcp://siem.example:514/path"}, "expected an address"),
        ("syslog", {"address": []}, "expected an address"),
        ("syslog", {"address": ["tls://a.example:1", "tcp://b.example:1"]}, "must have the same"),
        ("syslog", {**SYSLOG, "tls": {}}, "tls has no effect with tcp"),
        ("syslog", {**UDP, "framing": "lf"}, "no effect with udp"),
        ("syslog", {**UDP, "resend": 0}, "no effect with udp"),
        ("syslog", {**UDP, "max_message_bytes": "64KiB"}, "one datagram carries"),
        ("syslog", {**SYSLOG, "tag": False}, "requires format: rfc3164"),
        ("syslog", {**SYSLOG, "facility": "local9"}, "unknown facility"),
        ("http", {"url": "collector.example"}, "expected an http or https URL"),
        ("http", {"url": "https://siem..example/"}, "expected an http or https URL"),
        ("syslog", {"address": f"tls://{'x' * 64}.example:6514"}, "expected an address"),
        ("kafka", {"brokers": "kafka..example:9092", "topic": "t"}, "expected a broker"),
        ("http", {"url": "https://user:pw@collector.example"}, "use auth instead"),
        ("http", {"url": "http://collector.example", "tls": {}}, "tls has no effect"),
        ("http", {**HTTP, "auth": {}}, "exactly one of"),
        (
            "http",
            {**HTTP, "auth": {"bearer": "aaaa", "header": {"name": "X", "value": "b"}}},
            "exactly one of",
        ),
        ("http", {**HTTP, "headers": {"Content-Length": "1"}}, "sets the header"),
        ("http", {**HTTP, "headers": {"X Y": "1"}}, "is not a valid header name"),
        ("http", {**HTTP, "headers": {"X": "1", "x": "2"}}, "set twice: x"),
        ("http", {**HTTP, "headers": {"authorization": "1"}, "auth": {"bearer": "t"}}, "set twice"),
        ("http", {**HTTP, "body": "single", "batch": {"events": 10}}, "one event per request"),
        ("http", {**HTTP, "concurrency": 9}, "less than or equal to 8"),
    ],
)
def test_what_cannot_work_is_refused(kind: str, given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parsed(kind, **given)
    assert complaint in str(caught.value)


def test_an_ipv6_collector_is_written_in_brackets() -> None:
    settings = parsed("syslog", address="tcp://[2001:db8::1]:514")
    assert settings.model_dump(mode="json")["address"] == "tcp://[2001:db8::1]:514"


def test_several_collectors_are_a_list() -> None:
    both = ["udp://a.example:514", "udp://b.example:1514"]
    assert parsed("syslog", address=both).model_dump(mode="json")["address"] == both


def test_no_secret_is_shown_by_settings() -> None:
    settings = parsed(
        "http",
        url="https://hooks.example/services/canary?key=canary",
        headers={"X-Key": "canary"},
        auth={"header": {"name": "X-Token", "value": "canary"}},
        signing={"secret": "canary"},
        proxy="http://u:canary@proxy.example:3128",
    )
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert "canary" not in shown
    assert "https://hooks.example/**********" in shown


def test_a_refused_url_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ValidationError) as caught:
        parsed("http", url="ftp://hooks.example/canary")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("kind", BUILT_IN)
def test_every_type_has_a_schema_for_editors(kind: str) -> None:
    schema = BUILT_IN[kind].model_json_schema()
    assert schema["properties"]["type"]["const"] == kind
    assert "from" in schema["properties"]
