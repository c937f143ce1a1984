"""Variables that set one value each."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from connector.errors import ConfigurationError
from connector.outputs.http.output import HttpSettings
from connector.settings import Loaded, load
from tests.unit.settings.support import ACCOUNT, MINIMAL, read, wrong

HTTP = MINIMAL.replace("type: stdout", "type: http\n    url: https://siem.example/in\n    auth: {bearer: x}")


def http(loaded: Loaded) -> HttpSettings:
    output = loaded.settings.outputs["siem"]
    assert isinstance(output, HttpSettings)
    return output


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    environ = {
        "CONNECTOR_OUTPUTS__SIEM__TIMEOUT": "5s",
        "CONNECTOR_OUTPUTS__SIEM__BATCH__EVENTS": "7",
        "CONNECTOR_OUTPUTS__SIEM__FROM": "beginning",
        "CONNECTOR_OUTPUTS__SIEM__MAPPING": "0123",
        "connector_outputs__siem__gzip": "true",
        "CONNECTOR_SEARCHES__DETECTIONS__EVERY": "5m",
        "CONNECTOR_LOG__LEVEL": "debug",
        "CONNECTOR_DRAIN": "1s",
    }

    loaded = read(tmp_path, HTTP, environ)

    output = http(loaded)
    assert (output.timeout, output.batch.events, output.start) == (timedelta(seconds=5), 7, "beginning")
    assert (output.mapping, output.gzip) == ("0123", True)
    assert loaded.settings.searches["detections"].every == timedelta(minutes=5)
    assert (loaded.settings.log.level, loaded.settings.drain) == ("debug", timedelta(seconds=1))


def test_lists_are_written_with_commas_or_as_yaml(tmp_path: Path) -> None:
    environ = {
        "CONNECTOR_SEARCHES__DETECTIONS__REVISIT": "5m, 1h",
        "CONNECTOR_SEARCHES__DETECTIONS__ACCOUNTS": "prod",
        "CONNECTOR_SEARCHES__DETECTIONS__WATCH": "[final_disposition, is_quarantined]",
        "CONNECTOR_SEARCHES__DETECTIONS__FILTERS__FINAL_DISPOSITION": "spam,malicious",
        "CONNECTOR_SEARCHES__DETECTIONS__FILTERS__SUBJECT": "invoice, due: now",
        "CONNECTOR_SEARCHES__DETECTIONS__FILTERS__DETECTIONS_ONLY": "false",
    }

    search = read(tmp_path, MINIMAL, environ).settings.searches["detections"]

    assert search.revisit == (timedelta(minutes=5), timedelta(hours=1))
    assert search.accounts == ("prod",)
    assert search.watch == ("final_disposition", "is_quarantined")
    assert search.filters == {
        "final_disposition": ("SPAM", "MALICIOUS"),
        "subject": "invoice, due: now",
        "detections_only": False,
    }


def test_words_and_null_keep_their_meaning(tmp_path: Path) -> None:
    environ = {"CONNECTOR_SEARCHES__DETECTIONS__ACCOUNTS": "all", "CONNECTOR_SERVER__LISTEN": "null"}

    settings = read(tmp_path, MINIMAL, environ).settings

    assert settings.searches["detections"].accounts == "all"
    assert settings.server.listen is None


@pytest.mark.parametrize("text", ["123", "true", "null", "a: b", "[x]", "${env:X}", "x#y", "$${"])
def test_a_secret_is_taken_as_it_stands(tmp_path: Path, text: str) -> None:
    loaded = read(tmp_path, HTTP, {"CONNECTOR_OUTPUTS__SIEM__AUTH__BEARER": text})

    auth = http(loaded).auth
    assert auth is not None
    assert auth.bearer is not None
    assert auth.bearer.reveal() == text
    assert not auth.bearer.literal


def test_secrets_may_come_from_files_also_those_in_maps_and_urls(tmp_path: Path) -> None:
    for name in ("bearer", "header", "url"):
        (tmp_path / name).write_text(f"https://{name}.example/x\n")
    environ = {
        "CONNECTOR_OUTPUTS__SIEM__AUTH__BEARER_FILE": str(tmp_path / "bearer"),
        "CONNECTOR_OUTPUTS__SIEM__HEADERS__API_KEY_FILE": str(tmp_path / "header"),
        "CONNECTOR_OUTPUTS__SIEM__URL_FILE": str(tmp_path / "url"),
    }

    output = http(read(tmp_path, HTTP, environ))

    assert output.auth is not None
    assert output.auth.bearer is not None
    assert output.auth.bearer.reveal() == "https://bearer.example/x"
    assert output.headers["api_key"].reveal() == "https://header.example/x"
    assert output.url.origin == "https://url.example"


def test_a_key_of_the_file_is_found_in_any_case(tmp_path: Path) -> None:
    text = HTTP + "    headers: {Authorization-Key: x}\n"

    output = http(read(tmp_path, text, {"CONNECTOR_OUTPUTS__SIEM__HEADERS__AUTHORIZATION-KEY": "y"}))

    assert {name: value.reveal() for name, value in output.headers.items()} == {"Authorization-Key": "y"}


def test_names_with_underscores_are_found() -> None:
    environ = {
        "CONNECTOR_ACCOUNTS__EU_WEST__ACCOUNT_ID": ACCOUNT,
        "CONNECTOR_ACCOUNTS__EU_WEST__API_TOKEN": "x",
        "CONNECTOR_OUTPUTS__MAIN__PATH": "/tmp/events",
        "CONNECTOR_OUTPUTS__MAIN__TYPE": "file",
    }

    settings = load(None, environ).settings

    assert list(settings.accounts) == ["eu_west"]
    assert list(settings.outputs) == ["main"]


WRONG = {
    "CONNECTOR_OUTPUT__SIEM__TIMEOUT=5s": ": this variable matches no setting "
    "(did you mean CONNECTOR_OUTPUTS__SIEM__TIMEOUT?)",
    "CONNECTOR_LOG_LEVEL=debug": ": this variable matches no setting (did you mean CONNECTOR_LOG__LEVEL?)",
    "CONNECTOR_CONFG=x": ": this variable matches no setting (did you mean CONNECTOR_CONFIG?)",
    "CONNECTOR_OUTPUTS__SIEM__TIMEOUT_FILE=x": ": this variable matches no setting "
    "(did you mean CONNECTOR_OUTPUTS__SIEM__TIMEOUT?)",
    "CONNECTOR_OUTPUTS__SIEM={}": ": this variable matches no setting "
    "(name a single value, with __ between keys)",
    "CONNECTOR_OUTPUTS__SEIM__TIMEOUT=5s": ": outputs.seim: type is missing (did you mean siem?)",
    "CONNECTOR_OUTPUTS__SIEM__TIMEOUT=5": ": outputs.siem.timeout: expected a duration, "
    "such as 30s, 15m, 1h or 2d",
    "CONNECTOR_OUTPUTS__SIEM__TIMEOUT=": ": outputs.siem.timeout: the variable "
    "CONNECTOR_OUTPUTS__SIEM__TIMEOUT is empty",
    "CONNECTOR_SERVER__LISTEN=": ": server.listen: the variable CONNECTOR_SERVER__LISTEN is empty",
    "CONNECTOR_OUTPUTS__SIEM__BATCH__EVENTS=many": ": outputs.siem.batch.events: expected a whole number",
    "CONNECTOR_ACCOUNTS__PROD__API_TOKEN_FILE=/nowhere/x": ": accounts.prod.api_token: "
    "cannot read /nowhere/x: No such file or directory",
    "CONNECTOR_SEARCHES__DETECTIONS__REVISIT=5m,soon": ": searches.detections.revisit: "
    "expected a duration, such as 30s, 15m, 1h or 2d",
}


@pytest.mark.parametrize(("assignment", "expected"), WRONG.items())
def test_what_is_wrong_is_reported_by_the_variables_name(
    tmp_path: Path, assignment: str, expected: str
) -> None:
    name, _, value = assignment.partition("=")

    assert wrong(tmp_path, MINIMAL, {name: value}) == [name + expected]


def test_a_value_and_its_file_exclude_each_other(tmp_path: Path) -> None:
    environ = {"CONNECTOR_ACCOUNTS__PROD__API_TOKEN": "x", "CONNECTOR_ACCOUNTS__PROD__API_TOKEN_FILE": "/x"}

    expected = "CONNECTOR_ACCOUNTS__PROD__API_TOKEN already sets this value (keep one of the two)"
    assert wrong(tmp_path, MINIMAL, environ) == [f"CONNECTOR_ACCOUNTS__PROD__API_TOKEN_FILE: {expected}"]


def test_what_an_orchestrator_says_of_a_service_called_connector_is_no_setting(tmp_path: Path) -> None:
    environ = {
        "CONNECTOR_SERVICE_HOST": "10.0.0.7",
        "CONNECTOR_SERVICE_PORT": "9464",
        "CONNECTOR_SERVICE_PORT_METRICS": "9464",
        "CONNECTOR_PORT": "tcp://10.0.0.7:9464",
        "CONNECTOR_PORT_9464_TCP": "tcp://10.0.0.7:9464",
        "CONNECTOR_PORT_9464_TCP_PROTO": "tcp",
        "CONNECTOR_PORT_9464_TCP_ADDR": "10.0.0.7",
        "CONNECTOR_METRICS_SERVICE_HOST": "fd00::7",
    }

    assert read(tmp_path, MINIMAL, environ).settings == read(tmp_path, MINIMAL).settings


def test_every_wrong_variable_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, MINIMAL, {"CONNECTOR_A": "1", "CONNECTOR_B": "2", "CONNECTOR_DRAIN": "x"})

    assert [str(problem.position) for problem in caught.value.problems] == [
        "CONNECTOR_A",
        "CONNECTOR_B",
        "CONNECTOR_DRAIN",
    ]
