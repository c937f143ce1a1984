"""The recipe of docs/high-availability.md, executed as printed: real processes, a real database."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.postgres import postgres_server

PAGE = Path(__file__).parents[2] / "docs" / "high-availability.md"
END = "the recipe has ended"
HOLDS = re.compile(r"replica \S+?:(\d+)( \(this one\))? holds (.*)")


def recipe() -> str:
    """The first block of commands."""
    found = re.search(r"## Two minutes.*?```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("replicas")
def test_the_recipe_does_what_it_says(tmp_path: Path) -> None:
    script = recipe().replace("8787", str(free_port())).replace("8788", str(free_port()))
    programs = Path(sys.executable).parent
    with postgres_server() as server:
        environment = {**os.environ, "DATABASE": server.url(), "PATH": f"{programs}:{os.environ['PATH']}"}
        shell = subprocess.Popen(
            ["bash", "-c", f"set -e\n{script}\necho {END}"], cwd=tmp_path, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            # The background programs keep the pipe open: read up to the end of the script, then end them all.
            assert shell.stdout is not None
            lines: list[str] = []
            for line in shell.stdout:
                if line.strip() == END:
                    break
                lines.append(line.rstrip("\n"))
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
            assert shell.stdout is not None
            shell.stdout.close()
    parts = "\n".join(lines).split("email-connector 0")
    assert len(parts) == 3, lines
    first, second = (HOLDS.findall(re.sub(r"\n\s+", " ", part)) for part in parts[1:])
    assert len(first) == 2, parts[1]
    assert all(leases != "nothing" for _, _, leases in first), first
    assert len(second) == 1, parts[2]
    assert {"output/siem", "output/lake"} <= set(second[0][2].split(", ")), second
