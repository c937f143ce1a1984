"""A proxy that echoes its credentials in status line, headers and body: no log and no status shows them."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.process import ACCOUNT, TOKEN, command, daemon, environment, until

PASSWORD = "canary-proxy-5f"
ENCODED = base64.b64encode(f"user:{PASSWORD}".encode()).decode()

CONFIGURATION = """\
accounts:
  tunnel: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "https://api.example/client/v4",
    proxy: "http://user:{password}@127.0.0.1:{port}"}}
searches: {{all: {{every: 1s}}}}
outputs:
  far: {{type: http, url: "http://collector.example/in", mapping: ecs,
    proxy: "http://user:{password}@127.0.0.1:{port}", heartbeat: 10s}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
"""


@contextmanager
def echoing_proxy() -> Iterator[int]:
    """A proxy that refuses everything and says with which credentials it was asked."""

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.recv(65536)
                said = f"wrong credentials user:{PASSWORD} {ENCODED} at http://user:{PASSWORD}@127.0.0.1/"
                head = f"HTTP/1.1 403 {said}\r\ncf-ray: {PASSWORD}\r\ncontent-type: text/{PASSWORD}\r\n"
                connection.sendall(f"{head}content-length: {len(said)}\r\n\r\n{said}".encode())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]


def test_no_text_of_the_daemon_or_of_check_holds_the_password(tmp_path: Path) -> None:
    with echoing_proxy() as port:
        text = CONFIGURATION.format(account=ACCOUNT, password=PASSWORD, port=port)
        (tmp_path / "connector.yaml").write_text(text)
        environ = environment(TOKEN=TOKEN)
        with daemon(tmp_path, environ) as it:

            def failing() -> bool:
                status = it.status()
                return all(feed["reason"] for feed in status["feeds"]) and bool(
                    status["outputs"][0]["reason"]
                )

            until(failing, "feed and output fail")
            shown = [it.get("/api/status"), it.get("/readyz"), it.get("/metrics"), "".join(it.logs).encode()]
            it.terminate()
        _, out, err = command("check", environ=environ, cwd=tmp_path)
        shown += [out.encode(), err.encode()]
    for part in shown:
        assert PASSWORD.encode() not in part
        assert ENCODED.encode() not in part
    assert b"wrong credentials" in b"".join(shown)
