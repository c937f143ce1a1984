"""Values that are valid text and certainly not meant: unresolved variables, times that never come."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import ConfigurationError
from connector.settings import load
from tests.support.process import ACCOUNT

HEX = "0123456789abcdef" * 2
CONFIG = """
accounts:
  prod: {{account_id: {account}, api_token: {token}}}
searches:
  detections: {{every: 60s{search}}}
outputs:
  siem: {{type: http, url: "https://siem.example/in", auth: {{bearer: {bearer}}}}}
"""


def problems(tmp_path: Path, environ: dict[str, str] | None = None, /, **parts: str) -> str:
    file = tmp_path / "connector.yaml"
    values = {"account": ACCOUNT, "token": "a-token", "search": "", "bearer": "a-bearer", **parts}
    file.write_text(CONFIG.format(**values))
    try:
        load(file, environ or {})
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("form", ["$CLOUDFLARE_API_TOKEN", "$(TOKEN)", "'%TOKEN%'"])
@pytest.mark.parametrize("key", ["token", "bearer", "account"])
def test_a_variable_that_nothing_resolved_is_refused(tmp_path: Path, form: str, key: str) -> None:
    text = problems(tmp_path, None, **{key: form})

    assert "the value is an unresolved variable (write ${env:NAME}, or set the value)" in text
    assert form.strip("'") not in text


@pytest.mark.parametrize("value", ["$TOKEN", "${TOKEN}", "$(TOKEN)", "%TOKEN%"])
def test_also_where_a_variable_of_the_environment_holds_it(tmp_path: Path, value: str) -> None:
    assert "unresolved variable" in problems(tmp_path, {"T": value}, token='"${env:T}"')
    with pytest.raises(ConfigurationError, match="unresolved variable"):
        load(None, {"CLOUDFLARE_API_TOKEN": value, "CLOUDFLARE_ACCOUNT_ID": ACCOUNT})


@pytest.mark.parametrize("value", ["$ecret-password", "p%A%w", "$$", "$5", "pa$$WORD"])
def test_a_password_with_a_dollar_sign_is_a_password(tmp_path: Path, value: str) -> None:
    assert problems(tmp_path, {"T": value}, bearer='"${env:T}"') == ""


@pytest.mark.parametrize(
    ("start", "text"),
    [
        ("2130-01-01", "the start is in the future"),
        ("0001-01-01", "the start is before 2000-01-01"),
        ("9999999d", "the start is before 2000-01-01"),
        ("20000d", "the start is before 2000-01-01"),
        ("2026-01-31", ""),
        ("365d", ""),
    ],
)
def test_a_start_that_cannot_be_meant_is_refused(tmp_path: Path, start: str, text: str) -> None:
    found = problems(tmp_path, search=f", start: {start}")

    assert text in found if text else not found


def test_an_age_beyond_a_year_is_refused(tmp_path: Path) -> None:
    assert "each age must be 365d or less" in problems(tmp_path, search=", revisit: [9999999d]")


@pytest.mark.parametrize(
    ("output", "is_noted"),
    [
        ("type: http, url: 'http://siem.example/in', auth: {bearer: '${env:T}'}", True),
        ("type: splunk_hec, url: ['http://siem.example:8088'], token: '${env:T}'", True),
        ("type: otlp, url: 'http://siem.example:4318', headers: {api-key: '${env:T}'}", True),
        ("type: otlp, url: 'http://siem.example:4318'", False),
        ("type: http, url: 'http://127.0.0.1:8080/in', auth: {bearer: '${env:T}'}", False),
        ("type: http, url: 'https://siem.example/in', auth: {bearer: '${env:T}'}", False),
    ],
)
def test_credentials_that_cross_a_network_unencrypted_are_noted(
    tmp_path: Path, output: str, is_noted: bool
) -> None:
    file = tmp_path / "connector.yaml"
    text = CONFIG.format(account=ACCOUNT, token="'${env:T}'", search="", bearer="x")
    file.write_text(f"{text.partition('outputs:')[0]}outputs: {{siem: {{{output}}}}}\n")

    notes = [note for note in load(file, {"T": "a-secret-of-somebody"}).notes if "unencrypted" in note]

    assert bool(notes) is is_noted
