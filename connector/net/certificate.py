"""``ServerCertificate``: the TLS context of a listener, made anew when its files change.

Certificates are renewed every few weeks by programs that replace files (cert-manager, certbot). A listener
that kept the old one would be refused by its clients from the day it expires.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

_Stamp: TypeAlias = tuple[tuple[int, int, int] | None, ...]


class ServerCertificate:
    """The context for new connections; those that are open keep theirs.

    Args:
        files: what the context is made of.
        make: makes it; may raise ``ConfigurationError``.
    """

    def __init__(self, files: Sequence[Path], make: Callable[[], ssl.SSLContext]) -> None:
        self._files = files
        self._make = make
        self._stamp = self._stamp_of_files()
        self._context = make()

    def __call__(self) -> ssl.SSLContext:
        """The newest context that could be made."""
        return self._context

    def refresh(self) -> bool:
        """Make the context anew if a file has changed, and say whether it was.

        Raises ``ConfigurationError`` once per change that cannot be used; the former context stays.
        """
        stamp = self._stamp_of_files()
        if stamp == self._stamp:
            return False
        # Noted first. Files that are replaced one by one fit only after the last, which is a change again.
        self._stamp = stamp
        self._context = self._make()
        return True

    def _stamp_of_files(self) -> _Stamp:
        return tuple(map(_stamp_of, self._files))


def _stamp_of(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
