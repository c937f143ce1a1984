"""From the wheel to events in OpenSearch as a stranger does it: install, init, check --setup, run."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from connector.simulator import Simulator, running
from tests.integration.test_built_wheel import install_wheel, outside, wheel  # noqa: F401, a fixture
from tests.support.opensearch import OpenSearch
from tests.support.process import ACCOUNT, TOKEN

pytestmark = [pytest.mark.xdist_group("opensearch"), pytest.mark.slow]

STREAM = "logs-cloudflare.email_security-default"
_LIMIT = 180.0
"""What the documentation promises, in seconds."""


@pytest.mark.timeout(600)
def test_events_are_in_opensearch_within_three_minutes_of_the_installation(
    wheel: Path,  # noqa: F811
    opensearch: OpenSearch,
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with running(Simulator(backlog=300)) as api:
        started = time.monotonic()
        program = install_wheel(wheel, tmp_path / "venv")
        environ = {
            **outside(),
            "HOME": str(home),
            "CLOUDFLARE_API_TOKEN": TOKEN,
            "OPENSEARCH_PASSWORD": "not asked for",
            "CONNECTOR_ACCOUNTS__DEFAULT__BASE_URL": api,
            "CONNECTOR_STATE__DIRECTORY": str(home / "state"),
            "CONNECTOR_SERVER__LISTEN": "127.0.0.1:0",
        }

        def email_connector(*arguments: str) -> str:
            done = subprocess.run(
                [program, *arguments],
                cwd=home,
                env=environ,
                capture_output=True,
                text=True,
                timeout=200,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout + done.stderr

        said = email_connector(
            "init", "opensearch", "--account-id", ACCOUNT, "--url", opensearch.url, "--username", "connector"
        )
        assert "set: CLOUDFLARE_API_TOKEN OPENSEARCH_PASSWORD" in said
        assert "installed the index template" in email_connector("check", "--setup")
        email_connector("run", "--once")
        took = time.monotonic() - started

    stored = opensearch.documents(STREAM)
    opensearch.json(f"/_data_stream/{STREAM}", method="DELETE")  # other tests may use it
    assert len(stored) > 20
    assert {hit["_source"]["event"]["dataset"] for hit in stored} == {"cloudflare.email_security"}
    assert took < _LIMIT
