"""Settings of the kafka output: what is refused, with what suggestion, and what a profile sets."""

from __future__ import annotations

import importlib.util
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from connector.outputs.kafka import settings as module
from connector.outputs.kafka.settings import Broker, KafkaSettings
from connector.secret import MASK

LOGIN = {"username": "connector", "password": "canary-1"}


def parsed(**given: Any) -> KafkaSettings:
    return KafkaSettings.model_validate(
        {"type": "kafka", "brokers": "kafka.example:9092", "topic": "mail", **given}
    )


def test_brokers_are_read_as_people_write_them() -> None:
    assert parsed().brokers == (Broker("kafka.example", 9092),)
    listed = parsed(brokers=["a.example:1", "[2001:db8::1]:2"])
    assert listed.brokers == (Broker("a.example", 1), Broker("2001:db8::1", 2))
    assert listed.model_dump()["brokers"] == ["a.example:1", "[2001:db8::1]:2"]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"brokers": "kafka.example"}, "expected a broker as host:port"),
        ({"brokers": "kafka://kafka.example:9092"}, "expected a broker as host:port"),
        ({"brokers": "user@kafka.example:9092"}, "expected a broker as host:port"),
        ({"brokers": []}, "expected a broker as host:port"),
        ({"brokers": "kafka.example:99999"}, "expected a broker as host:port"),
        ({"topic": "no spaces"}, "topic"),
        ({"sasl": {}}, "exactly one of plain"),
        ({"sasl": {"plain": LOGIN, "scram_sha_256": LOGIN}, "tls": {}}, "exactly one of plain"),
        ({"sasl": {"plain": LOGIN}}, "would send the credentials in the clear; set tls"),
        ({"sasl": {"scram_sha_256": {"password": "x"}}}, "requires a username"),
        ({"proxy": "http://proxy.example:3128"}, "brokers are reached directly"),
        ({"profile": "event_hubs"}, "requires sasl.plain or sasl.oauth2"),
        ({"profile": "event_hubs", "sasl": {"scram_sha_512": LOGIN}}, "requires sasl.plain or sasl.oauth2"),
        (
            {"profile": "event_hubs", "sasl": {"plain": LOGIN}, "batch": {"bytes": "1MB"}},
            "allows batch.bytes up to 500000",
        ),
        (
            {"profile": "event_hubs", "sasl": {"plain": LOGIN}, "max_message_bytes": "2MB"},
            "allows max_message_bytes up to 1000000",
        ),
    ],
)
def test_what_cannot_work_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        parsed(**given)


def test_credentials_in_the_clear_are_allowed_on_this_host_alone() -> None:
    assert not parsed(brokers="127.0.0.1:9092", sasl={"plain": LOGIN}).secure


def test_event_hubs_has_tls_its_user_name_and_its_limits() -> None:
    settings = parsed(profile="event_hubs", sasl={"plain": {"password": "Endpoint=sb://canary-2"}})

    assert settings.secure
    assert settings.username == "$ConnectionString"
    assert settings.limits.bytes == 500_000
    assert settings.request_timeout == timedelta(minutes=1)


def test_no_password_shows() -> None:
    settings = parsed(sasl={"scram_sha_512": LOGIN})

    assert "canary-1" not in f"{settings!r} {settings.model_dump_json()}"
    assert MASK in settings.model_dump_json()
    assert [secret.reveal() for secret in settings.secrets()] == ["canary-1"]


def test_without_the_client_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "aiokafka" else found(name))

    with pytest.raises(ValidationError, match=r"pip install 'cloudflare-email-connector\[kafka\]'"):
        parsed()
