"""A real OpenSearch server on loopback ports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.collectors import free_port
from tests.support.programs import tool
from tests.support.server_process import ServerProcess

_PAGE = 10_000
"""The most documents that one search returns (``index.max_result_window``)."""


class OpenSearch(ServerProcess):
    """One node without security; every request is on disk before it is answered (translog)."""

    def documents(self, target: str) -> list[dict[str, Any]]:
        """Return every document of a data stream or index, as hits with ``_source`` and ``_ignored``."""
        self.request(f"/{target}/_refresh", {})
        answer = self.json(f"/{target}/_search", {"size": _PAGE, "query": {"match_all": {}}})
        hits: list[dict[str, Any]] = answer["hits"]["hits"]
        assert len(hits) < _PAGE
        return hits

    def persisted(self, count: int) -> bool:
        """Whether *count* events are on disk."""
        return True


@contextmanager
def opensearch_server(directory: Path, *settings: str) -> Iterator[OpenSearch]:
    """Run a node with its data in *directory*; *settings* as ``name=value``."""
    program, http, transport = tool("opensearch"), free_port(), free_port()
    command: list[str | Path] = [program, directory / "home", str(http), str(transport), *settings]
    directory.mkdir(exist_ok=True)
    server = OpenSearch(command, f"http://127.0.0.1:{http}", "/_cluster/health", directory / "log")
    try:
        server.start()
        yield server
    finally:
        server.stop()
