"""Syslog over UDP (RFC 5426): one datagram per message."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Sequence

from connector.facts import OutputConnected
from connector.formats.framing import one_line
from connector.interfaces import Observe
from connector.model import Event, LateFailures
from connector.net.failures import classify_error
from connector.net.host_names import resolve
from connector.net.transport import TransportError
from connector.outputs.syslog.address import Address
from connector.outputs.syslog.stream import TransportOptions

# UDP cannot notice that a collector moved, so its name is resolved again after this many seconds.
_RESOLVE_AGAIN = 60.0
# A default receive buffer (212992 bytes on Linux) holds some 150 small datagrams; the kernel drops the rest.
# So datagrams are paced: bursts with a pause between, in seconds; at most about 6,000 per second.
_BURST, _PAUSE = 32, 0.005


class UdpTransport:
    """A connected socket to one collector, so that ICMP errors are reported."""

    def __init__(self, link: TransportOptions, observe: Observe) -> None:
        self._options = link
        self._observe = observe
        self._next = 0
        self._socket: socket.socket | None = None
        self._since = 0.0
        self._burst = 0

    async def open(self) -> str:
        """Resolve the collector's name; UDP has no connection to test."""
        await self._ready()
        return f"{self._options.addresses[self._next]} (UDP: receipt cannot be verified)"

    async def send(self, messages: Sequence[bytes], events: Sequence[Event]) -> frozenset[int]:  # noqa: ARG002
        """Send one datagram per message."""
        sock = await self._ready()
        loop = asyncio.get_running_loop()
        too_large = set()
        try:
            # An ICMP error for earlier datagrams is reported by the next call: read it before sending these.
            _raise_pending(sock)
            async with asyncio.timeout(self._options.timeout):
                for index, message in enumerate(messages):
                    if not await _sent(loop, sock, one_line(message)):
                        too_large.add(index)
                    await self._pace()
            _raise_pending(sock)
        except OSError as error:
            peer = self._options.addresses[self._next].peer
            self._drop()
            raise classify_error(peer, error, connecting=True) from None
        return frozenset(too_large)

    def late_failures(self) -> LateFailures:
        """None: nothing is ever learned of a datagram."""
        return LateFailures()

    async def close(self) -> None:
        """Release the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _pace(self) -> None:
        self._burst += 1
        if self._burst >= _BURST:
            # Reset after the pause, so that a cancelled pause is made up for.
            await asyncio.sleep(_PAUSE)
            self._burst = 0

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._next = (self._next + 1) % len(self._options.addresses)

    async def _ready(self) -> socket.socket:
        now = asyncio.get_running_loop().time()
        if self._socket is not None and now - self._since < _RESOLVE_AGAIN:
            return self._socket
        fresh = await self._connect_to_any()
        await self.close()
        self._socket, self._since = fresh, now
        return fresh

    async def _connect_to_any(self) -> socket.socket:
        faults: list[TransportError] = []
        for _ in self._options.addresses:
            address = self._options.addresses[self._next]
            try:
                async with asyncio.timeout(self._options.timeout / len(self._options.addresses)):
                    sock = await _bound(address)
            except OSError as error:
                faults.append(classify_error(address.peer, error, connecting=True))
                self._next = (self._next + 1) % len(self._options.addresses)
            else:
                if self._socket is None:
                    self._observe(OutputConnected(self._options.output, str(address)))
                return sock
        raise TransportError("; ".join(fault.reason for fault in faults))


async def _bound(address: Address) -> socket.socket:
    last: OSError = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    for family, target in await resolve(address.host, address.port, socket.SOCK_DGRAM):
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(target)
        except OSError as error:
            sock.close()
            last = error
        else:
            return sock
    raise last


async def _sent(loop: asyncio.AbstractEventLoop, sock: socket.socket, message: bytes) -> bool:
    try:
        await loop.sock_sendall(sock, message)
    except OSError as error:
        if error.errno == errno.EMSGSIZE:
            return False
        raise
    return True


def _raise_pending(sock: socket.socket) -> None:
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number and number != errno.EMSGSIZE:
        raise OSError(number, os.strerror(number))
