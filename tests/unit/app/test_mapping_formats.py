"""A mapping that writes text for an output that takes JSON objects only."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.app.routes import build_routes
from connector.errors import ConfigurationError
from tests.unit.settings.support import MINIMAL, read

URL = "url: https://collector.example"
SENTINEL = f"type: sentinel, {URL}, rule: dcr-{'0a' * 16}, auth: {{managed_identity: {{}}}}"


def build(tmp_path: Path, output: str) -> None:
    text = MINIMAL.replace("siem:\n    type: stdout", f"siem: {{{output}}}")
    build_routes(read(tmp_path, text), lambda fact: None, {})


@pytest.mark.parametrize("mapping", ["cef", "leef"])
@pytest.mark.parametrize(
    "output", [f"type: elasticsearch, {URL}", SENTINEL, f"type: http, {URL}, body: array"]
)
def test_it_is_refused_at_start(tmp_path: Path, output: str, mapping: str) -> None:
    with pytest.raises(ConfigurationError, match=r":8:\d+: outputs.siem.mapping: (cef|leef) writes .* JSON"):
        build(tmp_path, f"{output}, mapping: {mapping}")


@pytest.mark.parametrize(
    "output",
    [
        f"type: http, {URL}, mapping: cef",
        f"type: http, {URL}, mapping: cef, body: {{text: $subject}}",
        f"type: splunk_hec, {URL}, token: t, mapping: leef",
        f"type: elasticsearch, {URL}, mapping: ocsf",
        f"{SENTINEL}, mapping: asim",
    ],
)
def test_what_fits_is_accepted(tmp_path: Path, output: str) -> None:
    build(tmp_path, output)
