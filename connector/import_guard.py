"""Skips optional imports of libraries that this program does not use, to save memory and start time.

Some libraries import a whole drawing library only because it is installed, for a command line or for
tracebacks of their own. In a daemon that is six megabytes and a tenth of a second.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Let imports in the block find the packages *names* not installed, unless they are loaded already.

    Only for packages that the importing one declares optional.
    """
    hidden = [name for name in names if name not in sys.modules]
    # None is the import system's own word for "do not even look".
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
