"""One daemon for all tests of a file: it takes seconds to start, and each test has messages of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.acting_daemon import ActingDaemon, acting_daemon


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ActingDaemon]:
    with acting_daemon(tmp_path_factory.mktemp("acting")) as running:
        yield running
