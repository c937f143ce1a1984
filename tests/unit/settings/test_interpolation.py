"""``${env:NAME}`` and ``${file:/path}`` in values."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.outputs.http.output import HttpSettings
from connector.settings.interpolation import resolve
from connector.yaml_nodes import parse
from tests.unit.settings.support import MINIMAL, read, wrong

FORMS = "use ${env:NAME}, ${env:NAME:-default} or ${file:/path}; write $${ for a literal ${"


def resolved(value: str, environ: dict[str, str] | None = None, base: Path = Path("/")) -> object:
    node, faults = resolve(parse(f"a: {value}", "f"), environ or {}, base)

    assert not faults
    plain = node.plain()
    assert isinstance(plain, dict)
    return plain["a"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${env:HOST}", "siem.example"),
        ("https://${env:HOST}:${env:PORT}/x", "https://siem.example:8088/x"),
        ("${env:NOWHERE:-other}", "other"),
        ("${env:EMPTY:-other}", "other"),
        ("${env:HOST:-other}", "siem.example"),
        ("x${env:NOWHERE:-}y", "xy"),
        ("${env:URL:-https://a:1/-}", "https://a:1/-"),
        ("$${env:HOST}", "${env:HOST}"),
        ("$$${env:HOST}", "$${env:HOST}"),
        ("$severity costs $5 {x}", "$severity costs $5 {x}"),
        ("${env:NESTED}", "${env:HOST}"),
    ],
)
def test_references_in_a_text(written: str, expected: str) -> None:
    environ = {"HOST": "siem.example", "PORT": "8088", "EMPTY": "", "NESTED": "${env:HOST}"}

    assert resolved(f"'{written}'", environ) == expected


def test_files_lie_beside_the_configuration_and_lose_their_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b" a\nb \r\n")

    assert resolved("${file:token}", base=tmp_path) == " a\nb "
    assert resolved(f"${{file:{tmp_path}/token}}") == " a\nb "


@given(st.text(min_size=1))
def test_what_a_reference_brings_in_never_changes_the_structure(text: str) -> None:
    """A secret that is YAML, or a reference itself, stays one text."""
    assert resolved("${env:X}", {"X": text}) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${env:NOWHERE}", "the variable NOWHERE is not set"),
        ("${env:BLANK}", "the variable BLANK is empty"),
        ("${file:nowhere}", "cannot read {dir}/nowhere: No such file or directory"),
        ("${file:.}", "cannot read {dir}: Is a directory"),
        ("${file:empty}", "{dir}/empty is empty"),
        ("${file:binary}", "{dir}/binary is not UTF-8 text"),
        ("${file:large}", "{dir}/large is larger than 64 KiB"),
        ("${TOKEN}", f"invalid reference ({FORMS})"),
        ("a${env:TOKEN", f"unterminated reference ({FORMS})"),
    ],
)
def test_a_reference_that_leads_nowhere_is_reported_with_its_position(
    tmp_path: Path, value: str, expected: str
) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    text = MINIMAL.replace("${env:TOKEN}", f"'{value}'")

    reported = wrong(tmp_path, text, {"BLANK": ""})

    expected = expected.replace("{dir}/", "").replace("{dir}", str(tmp_path))
    assert reported == [f"connector.yaml:4:5: accounts.prod.api_token: {expected}"]


def test_a_reference_becomes_what_is_wanted_where_it_stands(tmp_path: Path) -> None:
    text = MINIMAL + (
        "    batch: {events: '${env:EVENTS}'}\n"
        "    when: {subject: '${env:EVENTS}', from: '${env:SENDERS}'}\n"
        "log: {level: '${env:LEVEL:-debug}'}\n"
        "server: {listen: '${env:HOST:-[::1]}:${env:PORT}'}\n"
    )

    settings = read(tmp_path, text, {"EVENTS": "50", "PORT": "0", "SENDERS": "[a, b]"}).settings

    assert settings.outputs["siem"].batch.events == 50
    assert settings.outputs["siem"].when == {"subject": 50, "from": ["a", "b"]}
    assert settings.log.level == "debug"
    assert settings.server.listen == "[::1]:0"


def test_a_rotated_file_is_read_again_also_inside_a_longer_text(tmp_path: Path) -> None:
    token, hook = tmp_path / "token", tmp_path / "hook"
    token.write_text("first")
    hook.write_text("T1")
    text = MINIMAL.replace("${env:TOKEN}", "${file:token}").replace(
        "type: stdout",
        "type: http\n    url: https://hooks.example/${file:hook}\n    headers: {X: 'Key ${file:token}'}",
    )
    settings = read(tmp_path, text).settings
    output = settings.outputs["siem"]
    assert isinstance(output, HttpSettings)
    secret = settings.accounts["prod"].api_token
    assert secret is not None

    token.write_text("second\n")
    hook.write_text("T2\n")
    refreshed = [secret.refresh(), output.headers["X"].refresh(), output.url.refresh()]

    assert refreshed == [True, True, True]
    assert secret.reveal() == "second"
    assert output.headers["X"].reveal() == "Key second"
    assert output.url.reveal() == "https://hooks.example/T2"


@pytest.mark.parametrize("damage", ["gone", "empty", "binary"])
def test_a_file_that_is_broken_during_rotation_keeps_the_last_good_secret(
    tmp_path: Path, damage: str
) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    secret = (
        read(tmp_path, MINIMAL.replace("${env:TOKEN}", "${file:token}")).settings.accounts["prod"].api_token
    )
    assert secret is not None

    token.unlink()
    if damage != "gone":
        token.write_bytes(b"" if damage == "empty" else b"\xff")

    assert not secret.refresh()
    assert secret.reveal() == "first"
