"""Programs of others that tests talk to: found, or the test is skipped; in CI it fails."""

from __future__ import annotations

import os
import shutil

import pytest

_PLACES = "/usr/local/sbin:/usr/sbin:/sbin"


def program(name: str, package: str = "", *, always: bool = True) -> str:
    """The path of *name*; without it the test is skipped with the Debian *package* that has it.

    *always*: whether CI can have it everywhere, and so fails without it.
    """
    found = shutil.which(name) or shutil.which(name, path=_PLACES)
    if found:
        return found
    missing = f"{name} is not installed (Debian: {package or name})"
    if always and os.environ.get("CI"):
        pytest.fail(f"CI runs without it: {missing}")
    pytest.skip(missing)
