"""What is shipped is tested as shipped: the same bytes each time, installed without the repository, run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.process import ROOT

SOURCES = ("connector", "mappings", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE")
EPOCH = "1763769600"
OURS = ("PYTHON", "VIRTUAL", "CONNECTOR_", "CLOUDFLARE_")
"""Variables that would lead what was installed back to the repository, or to somebody's account."""


def copy(target: Path) -> Path:
    """The sources of a wheel in *target*, as a fresh clone has them."""
    left_out = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=left_out, copy_function=shutil.copyfile)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / name)
    return target


def build(source: Path, target: Path, umask: int) -> Path:
    """Build sdist and wheel of *source* in an environment of its own habits; where the wheel is."""
    command = f"umask {umask:03o}; exec {sys.executable} -m hatchling build -d {target}"
    environ = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH}
    subprocess.run(["sh", "-c", command], cwd=source, env=environ, check=True, capture_output=True)
    (wheel,) = target.glob("*.whl")
    return wheel


def digests(directory: Path) -> dict[str, str]:
    """What was built into *directory*, by its name."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in directory.iterdir()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    return build(copy(directory / "source"), directory / "dist", 0o022)


def test_the_same_sources_give_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    again = build(copy(tmp_path / "elsewhere" / "deeper"), tmp_path / "dist", 0o077)

    assert len(digests(wheel.parent)) == 2
    assert digests(again.parent) == digests(wheel.parent)


def test_everything_that_is_needed_is_inside_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    packs = {f"connector/packs/{pack.name}" for pack in (ROOT / "mappings").glob("*.yaml")}

    assert {top.split("-")[0] for top in tops} == {"connector", "cloudflare_email_connector"}
    assert packs <= set(names)
    assert {"connector/py.typed", "connector/telemetry/page/page.js"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.timeout(400)
def test_installed_without_the_repository_it_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environ = outside()
    program = install_wheel(wheel, tmp_path / "venv")

    done = subprocess.run(
        [program, "demo", "--once", "--backlog", "300"],
        cwd=home,
        env={**environ, "HOME": str(home)},
        capture_output=True,
        timeout=200,
        check=False,
    )
    where = subprocess.run(
        [program.with_name("python"), "-c", "import connector; print(connector.__file__)"],
        cwd=home,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.returncode == 0, done.stderr.decode()
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(events) > 50
    assert all(event["ecs"]["version"] for event in events)
    assert where.stdout.startswith(str(tmp_path / "venv"))
    assert list(home.iterdir()) == []


def outside() -> dict[str, str]:
    """The environment without what leads to the repository or to an account."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}


def install_wheel(wheel: Path, venv: Path) -> Path:
    """Install *wheel* and what it needs into a new environment; where the program is."""
    environ = outside()
    command = [sys.executable, "-m", "venv", "--without-pip", str(venv)]
    subprocess.run(command, env=environ, check=True, capture_output=True)
    python = venv / "bin" / "python"
    lock = ROOT / "requirements" / "runtime.txt"
    _install(environ, python, "--require-hashes", "-r", str(lock))
    _install(environ, python, "--no-deps", str(wheel))
    return python.with_name("email-connector")


def _install(environ: dict[str, str], python: Path, *what: str) -> None:
    """Install with uv, or with pip and the registry it knows; skips where neither can, fails in CI."""
    uv = [str(_beside("uv")), "pip", "install", "--python", str(python)]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--disable-pip-version-check"]
    said = ""
    for program in (uv, pip):
        command = [*program, "--quiet", *what]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        said += done.stderr
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(f"packages cannot be installed here: {said[-300:]}")


def _beside(program: str) -> Path:
    """A *program* of the environment that runs the tests."""
    return Path(sys.executable).parent / program
