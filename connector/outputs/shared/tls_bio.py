"""TLS without a socket: bytes in, bytes out. So plain and encrypted connections share all of their I/O."""

from __future__ import annotations

import ssl

_CHUNK = 1 << 16


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
        """Go on with the handshake; says whether it is done. Raises ``ssl.SSLError``."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def seal(self, data: bytes) -> None:
        """Encrypt *data*; ``outgoing`` then has the bytes for the wire."""
        view = memoryview(data)
        while view:
            view = view[self._object.write(view) :]

    def outgoing(self) -> bytes:
        """Take the bytes that wait for the wire."""
        return self._outgoing.read()

    def feed(self, data: bytes) -> None:
        """Take bytes from the wire, without looking at them."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def drain(self) -> bool:
        """Read and forget what the other side said; says whether it goes on. Raises ``ssl.SSLError``."""
        try:
            while self._object.read(_CHUNK):
                pass
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLZeroReturnError:
            return False
        return False

    def goodbye(self) -> None:
        """Put the closing message into ``outgoing``."""
        try:
            self._object.unwrap()
        except ssl.SSLError:
            # It waits for the other side's closing message, which nobody needs; or there was no session.
            return
