"""Memory without the interpreter's collector: what only it could free stays, and is seen."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector away; what is in a cycle lives on until the end of the block."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def living(kind: type) -> int:
    """How many objects of exactly *kind* there are."""
    return sum(type(one) is kind for one in gc.get_objects())
