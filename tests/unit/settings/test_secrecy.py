"""A canary in every place that can hold a secret, and in those where one may be put by mistake."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from connector.errors import ConfigurationError
from connector.outputs import BUILT_IN
from connector.settings import Loaded
from connector.settings.render import render
from connector.settings.schema_index import SchemaNode, settings_schema
from tests.support.sampling import slow
from tests.unit.settings.support import ACCOUNT, MINIMAL, read

CANARY = "canary-5f0e9c7a"
WAYS = [CANARY, "${env:CANARY}", "${file:secret}", "${env:NOWHERE:-" + CANARY + "}"]
EVERYWHERE = f"""\
accounts:
  prod:
    account_id: {ACCOUNT}
    api_token: HERE
    proxy: http://soc:HERE@proxy.example:3128
    tls:
      cert_file: client.pem
      key_password: HERE
  old:
    account_id: 123e105f4ecef8ad9ca31a8372d0c353
    email: soc@example.org
    api_key: HERE
outputs:
  hook:
    type: http
    url: https://hooks.example/HERE?key=HERE
    headers:
      X-Key: Key HERE
    auth:
      basic:
        username: soc
        password: HERE
    signing:
      secret: HERE
    proxy: http://soc:HERE@proxy.example:3128
"""


def shown(loaded: Loaded) -> list[str]:
    settings = loaded.settings
    return [
        repr(loaded),
        str(loaded),
        repr(loaded.node),
        repr(settings),
        str(settings),
        str(settings.model_dump(mode="json")),
        settings.model_dump_json(by_alias=True),
        render(loaded),
        *loaded.notes,
        *(f"{one} {one!r}" for one in settings.outputs.values()),
        *(f"{one} {one!r}" for one in settings.accounts.values()),
    ]


def reported(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Everything that people get to see of *text*, be it right or wrong."""
    (tmp_path / "secret").write_text(CANARY)
    try:
        return shown(read(tmp_path, text, {"CANARY": CANARY, **(environ or {})}))
    except ConfigurationError as error:
        return [str(error), repr(error), repr(error.problems), *traceback.format_exception(error)]


@pytest.mark.parametrize("way", WAYS)
def test_nothing_that_is_shown_of_a_good_configuration_holds_a_secret(
    tmp_path: Path, way: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also not what the settings library logs of its input when it is asked to."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    (tmp_path / "secret").write_text(CANARY)

    loaded = read(tmp_path, EVERYWHERE.replace("HERE", way), {"CANARY": CANARY})

    token = loaded.settings.accounts["prod"].api_token
    assert token is not None
    assert token.reveal() == CANARY
    assert "api_token" in caplog.text
    assert not [one for one in [*shown(loaded), caplog.text] if CANARY in one]


def places(shape: SchemaNode, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], SchemaNode]]:
    """Every value that can be configured, with ``x`` for names and ``siem`` for the output."""
    keys = shape.known or (("siem",) if path == ("outputs",) else ("prod",) if shape.open() else ())
    for key in keys:
        inner = shape.child(key)
        assert inner is not None
        yield (*path, key), inner
        if not inner.untyped:
            yield from places(inner, (*path, key))


def of_every_type() -> list[tuple[str, tuple[str, ...], SchemaNode]]:
    found = []
    for kind in BUILT_IN:
        outputs = settings_schema().child("outputs")
        siem = outputs.child("siem") if outputs else None
        assert siem is not None
        found += [(kind, ("outputs", "siem", *path), one) for path, one in places(siem.of_type(kind))]
    rest = [(path, one) for path, one in places(settings_schema()) if path[0] != "outputs"]
    return [*found, *(("stdout", path, one) for path, one in rest)]


def each_path_once(places: set[tuple[str, tuple[str, ...]]]) -> list[Any]:
    """*places* in order; what several types share is slow for all but one of them."""
    seen: set[tuple[str, ...]] = set()
    parameters = []
    for kind, path in sorted(places):
        parameters.append(slow(kind, path) if path in seen else (kind, path))
        seen.add(path)
    return parameters


SETTINGS = of_every_type()
SECRETS = {(kind, path) for kind, path, one in SETTINGS if one.accepts_file}
OTHERS = {(kind, path) for kind, path, one in SETTINGS if not one.accepts_file and path[-1] != "type"}


def under(path: tuple[str, ...], value: str) -> str:
    """YAML that sets *path* of a new account, search or output, or at the top."""
    indents = [f"{'  ' * depth}{key}:" for depth, key in enumerate(path)]
    return "\n".join(indents) + f" {value}\n"


def test_secret_places_are_known() -> None:
    assert {path[-1] for _, path in SECRETS} >= {
        "api_token",
        "api_key",
        "key_password",
        "proxy",
        "bearer",
        "url",
    }


@pytest.mark.parametrize(("kind", "path"), each_path_once(SECRETS), ids=str)
def test_no_secret_place_shows_its_value_right_or_wrong(
    tmp_path: Path, kind: str, path: tuple[str, ...]
) -> None:
    name = "CONNECTOR_" + "__".join(path).upper()
    good = MINIMAL.replace("type: stdout", f"type: {kind}")
    seen = reported(tmp_path, good, {name: CANARY})
    seen += reported(tmp_path, good, {f"{name}_FILE": str(tmp_path / "secret")})
    for value in (*(f"'{way}'" for way in WAYS), f"[{CANARY}]", f"{{a: {CANARY}}}", f"'{CANARY} {CANARY}'"):
        seen += reported(tmp_path, under(path, value))

    assert not [one for one in seen if CANARY in one]


@pytest.mark.parametrize(("kind", "path"), each_path_once(OTHERS), ids=str)
def test_no_error_repeats_a_secret_that_was_put_into_another_place(
    tmp_path: Path, kind: str, path: tuple[str, ...]
) -> None:
    """A place that takes any text may show it; an error may not."""
    typed = under(path, f"'{CANARY}'")
    if path[0] == "outputs":
        typed = typed.replace("  siem:\n", f"  siem:\n    type: {kind}\n", 1)
    for text in (typed, typed.replace(CANARY, "${env:CANARY}"), typed.replace(CANARY, "${file:secret}")):
        with pytest.raises(ConfigurationError) as caught:
            read(tmp_path, text + "unknown: true\n", {"CANARY": CANARY})

        assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "mistake",
    [
        "api_token:" + CANARY,
        "api_token: !" + CANARY,
        "api_token: *" + CANARY,
        f'api_token: "\\{CANARY}"',
        f"api_token: {CANARY}: x",
        f"api_token {CANARY}",
        f"{{api_token:{CANARY}}}",
        f"api_token: [{CANARY}",
        f"api_token: ${{{CANARY}}}",
        f"api_token: ${{env:{CANARY}",
        f"api_token: Bearer {CANARY}",
        f"api_token: {CANARY}\n    api_token: {CANARY}",
        f"api_token: {CANARY}\n    api_key: {CANARY}\n    email: {CANARY}",
        f"base_url: https://soc:{CANARY}@api.example",
    ],
)
def test_a_slip_of_the_pen_does_not_show_the_secret(tmp_path: Path, mistake: str) -> None:
    text = f"accounts:\n  prod:\n    account_id: {ACCOUNT}\n    {mistake}\n"

    assert not [one for one in reported(tmp_path, text) if CANARY in one]


@pytest.mark.parametrize(
    "text",
    [
        f"accounts: {{prod: {{account_id: {ACCOUNT}, api_token:{CANARY}}}}}",
        f"accounts: {{prod: {{token:{CANARY}}}}}",
        "outputs: {siem: {type: '${env:CANARY}'}}",
        "searches: {all: {accounts: ['${file:secret}'], filters: {subject: ['${env:CANARY}']}}}",
    ],
)
def test_keys_and_names_that_are_reported_hold_no_secret(tmp_path: Path, text: str) -> None:
    seen = reported(tmp_path, text)

    assert "ConfigurationError" in seen[-1]
    assert not [one for one in seen if CANARY in one]


def test_variables_that_set_nothing_do_not_show_their_value(tmp_path: Path) -> None:
    environ = {"CONNECTOR_TOKEN": CANARY, "CONNECTOR_LOG__LEVEL": CANARY, "CONNECTOR_DRAIN": CANARY}

    assert not [one for one in reported(tmp_path, MINIMAL, environ) if CANARY in one]
