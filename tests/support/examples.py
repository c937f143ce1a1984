"""How many examples a property test tries: a quarter by default, all of them under ``make test-all``."""

from __future__ import annotations

from hypothesis import settings

_FULL = 100
"""``max_examples`` of the profile "full" in ``tests/conftest.py``; counts are scaled against it."""


def examples(count: int) -> int:
    """*count* in the profile "full", and in proportion in one with fewer examples."""
    return max(1, count * settings().max_examples // _FULL)
