"""TLS over memory buffers (bytes in, bytes out), so that plain and TLS connections share all of their I/O."""

from __future__ import annotations

import ssl

_CHUNK = 1 << 16
"""Bytes of one read: whatever a collector answers fits."""


class TlsLayer:
    """One TLS connection as a client."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)

    @property
    def version(self) -> str:
        """The protocol agreed on, for example ``TLSv1.3``."""
        return self._object.version() or "TLS"

    def handshake(self) -> bool:
        """Continue the handshake; return whether it is complete. Raises ``ssl.SSLError``."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def seal(self, data: bytes) -> None:
        """Encrypt *data*; ``outgoing`` then returns the bytes to send."""
        view = memoryview(data)
        while view:
            view = view[self._object.write(view) :]

    def outgoing(self) -> bytes:
        """Take the bytes to send."""
        return self._outgoing.read()

    def feed(self, data: bytes) -> None:
        """Add received bytes; an empty *data* means end of stream."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def drain(self) -> bool:
        """Read and discard received data; return whether the peer may send more. Raises ``ssl.SSLError``."""
        try:
            while self._object.read(_CHUNK):
                pass
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLZeroReturnError:
            return False
        return False

    def close_notify(self) -> None:
        """Put the closing alert (close_notify) into ``outgoing``."""
        try:
            self._object.unwrap()
        except ssl.SSLError:
            # It wants to wait for the peer's close_notify, which is not needed; or there was no session.
            return
