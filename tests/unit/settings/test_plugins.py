"""An output type of another distribution is configured like the built-in ones."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Literal

import pytest
import yaml

from connector import outputs
from connector.interfaces import Observe, Output
from connector.outputs.common import OutputSettings
from connector.secret import Secret
from connector.settings.render import render
from tests.unit.settings.support import MINIMAL, read, wrong


class PagerSettings(OutputSettings):
    """Wakes people."""

    type: Literal["pager"] = "pager"
    numbers: tuple[str, ...]
    pin: Secret
    loud: bool = False

    def build(self, name: str, observe: Observe) -> Output:
        raise NotImplementedError


PAGER = MINIMAL.replace("type: stdout", "type: pager\n    numbers: ['1']\n    pin: ${env:TOKEN}")


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = [
        EntryPoint("pager", f"{__name__}:PagerSettings", outputs.GROUP),
        EntryPoint("broken", f"{__name__}:Absent", outputs.GROUP),
    ]
    monkeypatch.setattr(outputs, "entry_points", lambda group: plugins if group == outputs.GROUP else [])


def test_its_keys_are_known_to_file_variables_and_view(tmp_path: Path) -> None:
    environ = {
        "CONNECTOR_OUTPUTS__SIEM__NUMBERS": "007,008",
        "CONNECTOR_OUTPUTS__SIEM__LOUD": "true",
        "CONNECTOR_OUTPUTS__SIEM__PIN": "8315",
    }

    loaded = read(tmp_path, PAGER, environ)

    settings = loaded.settings.outputs["siem"]
    assert isinstance(settings, PagerSettings)
    assert (settings.numbers, settings.loud, settings.pin.reveal()) == (("007", "008"), True, "8315")
    assert yaml.safe_load(render(loaded))["outputs"]["siem"]["numbers"] == ["007", "008"]
    assert "8315" not in render(loaded)


def test_its_mistakes_are_reported_with_their_position(tmp_path: Path) -> None:
    assert wrong(tmp_path, PAGER + "    lowd: true\n") == [
        "connector.yaml:12:5: outputs.siem.lowd: unknown key (did you mean loud?)"
    ]


def test_a_broken_plugin_is_a_problem_of_the_output_that_names_it(tmp_path: Path) -> None:
    (reported,) = wrong(tmp_path, MINIMAL.replace("stdout", "broken"))

    assert reported.startswith("connector.yaml:9:5: outputs.siem.type: the output type broken of")
    assert "cannot be loaded: AttributeError" in reported
