"""Bodies of templates as a person configures them: from the file, from a variable, wrong."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from connector.app.routes import Route, build_routes
from connector.errors import ConfigurationError
from connector.ops.check import check
from connector.settings import load
from connector.settings.render import render
from tests.support.collectors import unobserved
from tests.unit.mapping.packs import revision

HEAD = """
accounts:
  prod: {account_id: 0123456789abcdef0123456789abcdef, api_token: "${env:TOKEN}"}
state: {directory: ./state}
outputs:
  chat:
    type: http
    url: https://chat.example/in
"""
ENVIRON = {"TOKEN": "canary-token", "KEY": "canary-{key}"}


def route(tmp_path: Path, text: str, **environ: str) -> Route:
    file = tmp_path / "connector.yaml"
    file.write_text(HEAD + text)
    [made] = build_routes(load(file, ENVIRON | environ), unobserved, {})
    return made


def payload(made: Route) -> object:
    event = made.mapper(revision({"id": "r1", "subject": "see http://a.example"}))
    assert event is not None
    return json.loads(event.payload)


def test_a_body_of_the_file_is_rendered(tmp_path: Path) -> None:
    made = route(tmp_path, '    body: {text: "{subject}", key: "${env:KEY}"}\n')
    assert payload(made) == {"text": "see hxxp://a[.]example", "key": "canary-{key}"}


def test_a_body_of_a_variable_is_rendered(tmp_path: Path) -> None:
    made = route(tmp_path, "", CONNECTOR_OUTPUTS__CHAT__BODY='{text: "{subject}", n: 1}')
    assert payload(made) == {"text": "see hxxp://a[.]example", "n": 1}


def test_a_body_that_is_wrong_is_reported_with_its_position_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        route(tmp_path, '    body:\n      text: "{$disposition} {$subjectt}"\n')
    [problem] = caught.value.problems
    assert str(problem.position) == f"{tmp_path}/connector.yaml:10:13"
    assert "there is no $subjectt" in str(problem)


def test_what_is_redacted_is_in_no_body(tmp_path: Path) -> None:
    made = route(
        tmp_path, '    redact: {subject: drop}\n    body: {text: "{id}: {subject}", all: "{$record}"}\n'
    )
    assert payload(made) == {"text": "r1: ", "all": {"id": "r1"}}


def test_check_notes_a_field_that_no_record_has(tmp_path: Path) -> None:
    file = tmp_path / "connector.yaml"
    file.write_text(HEAD + '    body: {text: "{sbject}"}\n')
    results = asyncio.run(check(load(file, ENVIRON), offline=True))
    [note] = [result for result in results if "sbject" in result.text]
    assert note.outcome == "note"
    assert "connector.yaml:9:18: the API documents no record field sbject" in note.text


def test_a_secret_of_a_body_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "connector.yaml"
    file.write_text(HEAD + '    body: {text: "{subject}", key: "${env:KEY}"}\n')
    loaded = load(file, ENVIRON)
    assert "canary" not in render(loaded)
    assert "canary" not in repr(loaded.settings.outputs)
    assert "${env:KEY}" in render(loaded)
