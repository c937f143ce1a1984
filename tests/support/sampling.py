"""Long lists of parameters: the default tests run a sample of them, ``make test-all`` runs all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(values: Iterable[Any], every: int) -> list[Any]:
    """*values* as parameters of one argument; all but each *every*-th are marked slow."""
    return [
        value if index % every == 0 else pytest.param(value, marks=pytest.mark.slow)
        for index, value in enumerate(values)
    ]


def slow(*values: Any) -> Any:
    """One set of parameters, marked slow."""
    return pytest.param(*values, marks=pytest.mark.slow)
