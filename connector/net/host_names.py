"""Host names: whether one can be looked up, and looking it up."""

from __future__ import annotations

import asyncio
import socket
from typing import TypeAlias

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]


def is_host_name(text: str) -> bool:
    """Whether *text* can be looked up: every label between its dots has 1 to 63 characters."""
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return True


async def resolve(host: str, port: int, kind: socket.SocketKind) -> list[tuple[int, SocketAddress]]:
    """Return address families and addresses of *host*, in the system's order of preference.

    Raises ``OSError`` for what is no host name, as for one that does not exist.
    """
    try:
        answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=kind)
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    return [(family, address) for family, _, _, _, address in answers]
