"""Sockets: resolving names, connecting, and how much the kernel still has to deliver."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios

from connector.net.host_names import SocketAddress, resolve


def peer_name(host: str, port: int) -> str:
    """Return ``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def connected_socket(host: str, port: int, timeout: float) -> socket.socket:  # noqa: ASYNC109
    """Return a TCP connection to the first address of *host* that accepts one.

    The remaining time is divided among the remaining addresses, so that a dead one cannot use up all of
    it. Raises the OSError of the last address.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    addresses = await resolve(host, port, socket.SOCK_STREAM)
    last: OSError = OSError(f"{host} has no address")
    for tried, (family, address) in enumerate(addresses):
        share = (deadline - loop.time()) / (len(addresses) - tried)
        try:
            return await _connected(family, address, share)
        except OSError as error:  # TimeoutError is one
            last = error
    raise last


async def _connected(family: int, address: SocketAddress, timeout: float) -> socket.socket:  # noqa: ASYNC109
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        # A batch is one write, so Nagle's algorithm would only delay it. Keepalive (60 s idle, then 4 probes
        # every 15 s) detects a dead peer within two minutes.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def unacknowledged(sock: socket.socket) -> int:
    """Return how many sent bytes the peer has not acknowledged; 0 where the system cannot tell."""
    try:
        answer = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except OSError:
        return 0
    waiting: int = struct.unpack("i", answer)[0]
    return waiting
