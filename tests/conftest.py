"""What every test shares: the switch for golden files, and an environment without settings of its own."""

import os
import signal

import pytest
from hypothesis import settings

settings.register_profile(
    "connector", deadline=None
)  # how long an example takes says nothing on a busy machine
settings.load_profile("connector")

# A shell that starts the tests in the background has them ignore Ctrl-C, and so every program that they run.
signal.signal(signal.SIGINT, signal.default_int_handler)

_SETTINGS = ("CONNECTOR_", "CLOUDFLARE_", "EMAIL_CONNECTOR_")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the mappings make now as what is expected; the difference is the review",
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten instead of compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token in somebody's shell must not change what a test sees."""
    for name in [name for name in os.environ if name.startswith(_SETTINGS)]:
        monkeypatch.delenv(name)
