"""Lower bounds of dependencies exclude known advisories, and the locked versions satisfy them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent.parent
FIXED = {"starlette": (0, 49, 1), "h11": (0, 16), "orjson": (3, 13)}
"""Oldest versions without an advisory; the decision on libraries has the reasons."""


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def test_no_version_with_an_advisory_is_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = dict(re.findall(r"^([a-z0-9-]+)>=([0-9.]+)", "\n".join(project["dependencies"]), re.MULTILINE))
    lock = (ROOT / "requirements" / "runtime.txt").read_text()
    locked = dict(re.findall(r"^([a-z0-9-]+)==([0-9.]+)", lock, re.MULTILINE))

    for name, fixed in FIXED.items():
        assert version(bounds[name]) >= fixed, name
    for name, bound in bounds.items():
        assert version(locked[name]) >= version(bound), name
