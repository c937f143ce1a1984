"""What every test shares: the switch for golden files, and an environment without settings of its own."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says nothing on a busy machine; a failure must be the same one at the next run.
settings.register_profile("default", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("full", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# A shell that starts the tests in the background has them ignore Ctrl-C, and so every program that they run.
signal.signal(signal.SIGINT, signal.default_int_handler)

_MARKS = {
    "benchmarks": ("benchmark",),
    "crash": ("crash",),
    "deploy": ("deploy", "slow"),
    "docs": ("docs", "slow"),
    "image": ("deploy", "slow"),
    "integration": ("integration", "slow"),
    "scenarios/collection": ("slow",),
    "scenarios/commands": ("slow",),
    "scenarios/daemon": ("slow",),
}
"""What every test of a directory under ``tests/`` is marked with. ``slow`` keeps it out of ``make test``."""

_SETTINGS = ("CONNECTOR_", "CLOUDFLARE_", "EMAIL_CONNECTOR_")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the mappings make now as what is expected; the difference is the review",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import directories of which the default tests run nothing."""
    if config.option.markexpr != "not slow" or not collection_path.is_dir():
        return None
    here = Path(__file__).parent
    place = collection_path.relative_to(here).as_posix() if collection_path.is_relative_to(here) else ""
    return True if "slow" in _MARKS.get(place, ()) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of whole directories, so that a new file needs no marker of its own."""
    here = Path(__file__).parent
    for item in items:
        place = item.path.relative_to(here).as_posix() if item.path.is_relative_to(here) else ""
        for directory, marks in _MARKS.items():
            if place.startswith(f"{directory}/"):
                for mark in marks:
                    item.add_marker(mark)


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten instead of compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token in somebody's shell must not change what a test sees."""
    for name in [name for name in os.environ if name.startswith(_SETTINGS)]:
        monkeypatch.delenv(name)
