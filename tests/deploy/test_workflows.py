"""The workflows are valid, safe, and run nothing that is not in the repository."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.artefacts import ROOT
from tests.support.programs import tool

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def jobs(path: Path) -> dict[str, Any]:
    """The jobs of a workflow by name."""
    return dict(yaml.safe_load(path.read_text())["jobs"])


def test_actionlint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [tool("actionlint"), *WORKFLOWS], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_zizmor_has_nothing_to_say() -> None:
    command = [str(Path(sys.executable).with_name("zizmor")), "--offline", *map(str, WORKFLOWS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_digest_and_every_job_ends(path: Path) -> None:
    for job in jobs(path).values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_make_target_and_module_exists(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    script = "\n".join(step.get("run", "") for job in jobs(path).values() for step in job["steps"])

    for target in re.findall(r"\bmake ([a-z-]+)", script):
        assert f"\n{target}:" in makefile, target
    for module in re.findall(r"python -m tools\.(\w+)", script):
        assert (ROOT / "tools" / f"{module}.py").exists()
    assert "bash .ci/run" in script


def test_nothing_becomes_public_before_it_was_tested_and_approved() -> None:
    release = jobs(ROOT / ".github" / "workflows" / "release.yml")

    assert release["dist"]["needs"] == release["image"]["needs"] == "test"
    assert release["publish"]["needs"] == ["dist", "image"]
    assert release["publish"]["environment"] == "release"
    for name in ("test", "dist", "image"):
        assert release[name].get("permissions", {}).get("contents", "read") == "read"
