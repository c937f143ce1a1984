"""Types by name: built in, from other distributions, and what is said when that goes wrong."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Literal, get_args

import pytest

from connector.errors import ConfigurationError
from connector.interfaces import Observe, Output
from connector.outputs import BUILT_IN, GROUP, names, settings_class
from connector.outputs.common import OutputSettings


class PigeonSettings(OutputSettings):
    """A type that somebody else ships."""

    type: Literal["pigeon"] = "pigeon"

    def build(self, name: str, observe: Observe) -> Output:
        raise NotImplementedError


class UnfinishedSettings(OutputSettings):
    """It cannot be built."""

    type: Literal["pigeon"] = "pigeon"


class NamelessSettings(PigeonSettings):
    """It calls itself something else."""

    type: Literal["dove"] = "dove"  # type: ignore[assignment]


def plugin(target: str, name: str = "pigeon") -> EntryPoint:
    return EntryPoint(name, f"{__name__}:{target}" if target.isidentifier() else target, GROUP)


def test_each_built_in_type_answers_to_its_name() -> None:
    for name, settings in BUILT_IN.items():
        assert settings_class(name) is settings
        assert get_args(settings.model_fields["type"].annotation) == (name,)


def test_plugin_is_found_and_listed() -> None:
    plugins = [plugin("PigeonSettings")]
    assert settings_class("pigeon", plugins) is PigeonSettings
    assert names(plugins) == sorted([*BUILT_IN, "pigeon"])


def test_plugin_that_nobody_names_is_not_loaded() -> None:
    assert settings_class("stdout", [plugin("no_such_module:Nothing")]) is BUILT_IN["stdout"]


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("no_such_module:Nothing", "cannot be loaded: ModuleNotFoundError"),
        ("os:getcwd", "is not a settings class"),
        ("UnfinishedSettings", "lacks build"),
        ("NamelessSettings", "does not declare its field `type`"),
    ],
)
def test_broken_plugin_is_named(target: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=r"the output type pigeon of .*distribution.*") as caught:
        settings_class("pigeon", [plugin(target)])
    assert complaint in str(caught.value)


def test_plugin_cannot_take_the_place_of_a_built_in_type() -> None:
    with pytest.raises(ConfigurationError, match="claims the output type http, which is built in"):
        settings_class("http", [plugin("PigeonSettings", name="http")])


def test_two_plugins_for_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"claimed by .* and by"):
        settings_class("pigeon", [plugin("PigeonSettings"), plugin("UnfinishedSettings")])


def test_misspelt_type_gets_a_suggestion() -> None:
    with pytest.raises(ConfigurationError, match=r"no output type sylsog \(did you mean syslog\?\)"):
        settings_class("sylsog", [])
