"""A real PgBouncer on loopback, from Debian's package."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from tests.support.programs import program

_START_SECONDS = 20.0


@contextmanager
def pgbouncer(server_port: int, directory: Path, mode: Literal["session", "transaction"]) -> Iterator[int]:
    """A pooler in front of the server on *server_port*, for the block; yields its port."""
    binary = program("pgbouncer")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    users = directory / "users.txt"
    users.write_text('"postgres" ""\n')
    config = directory / "pgbouncer.ini"
    config.write_text(
        f"[databases]\npostgres = host=127.0.0.1 port={server_port} dbname=postgres user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = trust\n"
        f"auth_file = {users}\npool_mode = {mode}\nunix_socket_dir =\nlogfile = {directory / 'log'}\n"
    )
    for one in (directory, users, config):
        one.chmod(0o777)
    user = ["-u", "postgres"] if os.getuid() == 0 else []
    process = subprocess.Popen([binary, "-q", *user, str(config)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()
