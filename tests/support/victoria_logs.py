"""A real VictoriaLogs server on loopback ports: one program that speaks the protocols of many collectors."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.collectors import free_port
from tests.support.programs import tool
from tests.support.server_process import ServerProcess

_STREAMS = {"_stream", "_stream_id"}


class VictoriaLogs(ServerProcess):
    """One server. What it took lies in memory for up to a second before it is on disk.

    Args:
        command: how to start it.
        url: its base URL.
        log: the file for its output.
        syslog: the TCP port for syslog.
    """

    def __init__(self, command: list[str | Path], url: str, log: Path, syslog: int) -> None:
        super().__init__(command, url, "/health", log)
        self.syslog = syslog

    def rows(self) -> list[dict[str, str]]:
        """Return everything that is stored, as flat fields."""
        self.request("/internal/force_flush")
        query = urllib.parse.urlencode({"query": "*", "start": "1970-01-01T00:00:00Z"})
        lines = self.request(f"/select/logsql/query?{query}").split(b"\n")
        return [
            {name: value for name, value in json.loads(line).items() if name not in _STREAMS}
            for line in lines
            if line
        ]

    def persisted(self, count: int) -> bool:
        """Whether *count* rows are on disk, and none in memory alone.

        Protocols with acknowledgement are answered before; syslog rows wait up to a second to be seen at all.
        """
        metrics = self.request("/metrics").decode()
        gauges = re.findall(
            r'^vl_(storage_rows|pending_rows)\{type="([a-z/]+)"\} (\d+)', metrics, re.MULTILINE
        )
        rows = {(name, kind): int(number) for name, kind, number in gauges}
        on_disk = rows["storage_rows", "storage/small"] + rows["storage_rows", "storage/big"]
        waiting = rows["storage_rows", "storage/inmemory"] + rows["pending_rows", "indexdb"]
        return on_disk >= count and not waiting


def flattened(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the fields that the server makes of a JSON document: dotted names, texts, nothing empty.

    A list stays one; the server stores it as JSON text.
    """
    fields: dict[str, Any] = {}
    for key, value in document.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            fields |= flattened(value, f"{name}.")
        elif isinstance(value, list):
            fields[name] = value
        elif isinstance(value, bool):
            fields[name] = str(value).lower()
        elif value not in (None, ""):
            fields[name] = str(value)
    return fields


@contextmanager
def victoria_logs(directory: Path, *flags: str) -> Iterator[VictoriaLogs]:
    """Run a server with its data in *directory*."""
    http, syslog = free_port(), free_port()
    command: list[str | Path] = [
        tool("victoria-logs"),
        f"-storageDataPath={directory / 'data'}",
        f"-httpListenAddr=127.0.0.1:{http}",
        f"-syslog.listenAddr.tcp=127.0.0.1:{syslog}",
        "-syslog.useRemoteIP.tcp=false",
        "-retentionPeriod=100y",
        "-inmemoryDataFlushInterval=1s",
        *flags,
    ]
    directory.mkdir(exist_ok=True)
    server = VictoriaLogs(command, f"http://127.0.0.1:{http}", directory / "log", syslog)
    try:
        server.start()
        yield server
    finally:
        server.stop()
