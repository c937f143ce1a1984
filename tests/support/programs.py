"""Programs of others that tests talk to: where they are; without one the test is skipped, in CI it fails."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

TOOLS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "email-connector-tools"
"""Where ``.ci/install-tools`` puts what is in no Debian release."""

_SEARCHED = f"{TOOLS}:/usr/local/sbin:/usr/sbin:/sbin"


def program(name: str, package: str = "", *, always: bool = True) -> str:
    """Return the path of *name*; without it the test is skipped with the Debian *package* that has it.

    Args:
        name: the program.
        package: the Debian package, if it is called otherwise.
        always: whether CI can have it everywhere, and so fails without it.
    """
    path = shutil.which(name) or shutil.which(name, path=_SEARCHED)
    return path or missing(f"{name} is not installed (Debian: {package or name})", always=always)


def tool(name: str) -> Path:
    """Return the path of what ``.ci/install-tools`` installs as *name*; without it the test is skipped."""
    installed = shutil.which(name)
    path = Path(installed) if installed else TOOLS / name
    return path if path.exists() else missing(f"{name} is not installed: run .ci/install-tools")


def missing(reason: str, *, always: bool = True) -> NoReturn:
    """End the test for *reason*: fail in CI, which has *always* to have it; skip elsewhere."""
    if always and os.environ.get("CI"):
        pytest.fail(f"CI runs without it: {reason}")
    pytest.skip(reason)
