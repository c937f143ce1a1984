"""A relay in front of a server that loses answers: the request arrives, the client hears nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Relay:
    """Where it listens, and how many answers it still loses."""

    url: str
    losing: int
    lost: list[bytes] = field(default_factory=list)


@contextmanager
def losing_answers(url: str, count: int) -> Iterator[Relay]:
    """Relay connections to *url*; lose the first *count* answers, and close their connections."""
    target = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as server:
        relay = Relay(f"http://127.0.0.1:{server.getsockname()[1]}", count)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    threading.Thread(target=connection, args=(client,), daemon=True).start()

        def connection(client: socket.socket) -> None:
            place = (target.hostname, target.port)
            with client, socket.create_connection(place, timeout=60) as upstream, suppress(OSError):
                threading.Thread(target=forward, args=(client, upstream), daemon=True).start()
                while answer := upstream.recv(1 << 20):
                    if relay.losing:
                        relay.losing -= 1
                        relay.lost.append(answer)
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    client.sendall(answer)

        def forward(client: socket.socket, upstream: socket.socket) -> None:
            with suppress(OSError):
                while request := client.recv(1 << 20):
                    upstream.sendall(request)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield relay
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)
