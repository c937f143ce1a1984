"""The endpoint answers probes whatever else connects to it."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import pytest
import trustme

from connector.net.listener import ConnectionLimits
from connector.telemetry.endpoint import Endpoint, SnapshotHolder, bind

_NONSENSE = (
    b"\x16\x03\x01\x02\x00\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
)


@pytest.fixture
def dropped() -> list[str]:
    return []


@pytest.fixture
def start(dropped: list[str]) -> Iterator[Callable[..., Endpoint]]:
    with ExitStack() as started:

        def begin(
            limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008
            tls: ssl.SSLContext | None = None,
        ) -> Endpoint:
            endpoint = Endpoint(
                bind("127.0.0.1:0"), SnapshotHolder(), lambda: b"x 1\n" * 1_000_000,
                limits=limits, tls=None if tls is None else lambda: tls, dropped=dropped.append,
            )  # fmt: skip
            endpoint.start()
            started.callback(endpoint.stop)
            return endpoint

        yield begin


def connect(endpoint: Endpoint) -> socket.socket:
    target = urlsplit(endpoint.url)
    return socket.create_connection((target.hostname, target.port), timeout=10)


def health(endpoint: Endpoint) -> int:
    target = urlsplit(endpoint.url)
    connection = HTTPConnection(str(target.hostname), target.port, timeout=10)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()


def test_silent_connections_beyond_the_limit_never_keep_a_probe_out(
    start: Callable[..., Endpoint], dropped: list[str]
) -> None:
    endpoint = start()
    with ExitStack() as silent:
        for _ in range(300):
            silent.enter_context(connect(endpoint))
            if len(dropped) % 50 == 1:
                assert health(endpoint) == 200

        assert health(endpoint) == 200
    assert set(dropped) == {"limit"}
    assert len(dropped) > 200


def test_a_request_that_never_completes_is_dropped(
    start: Callable[..., Endpoint], dropped: list[str]
) -> None:
    endpoint = start(ConnectionLimits(header_seconds=0.3))
    with connect(endpoint) as silent, connect(endpoint) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")

        assert silent.recv(1) == b""
        assert slow.recv(1) == b""
    assert dropped == ["timeout", "timeout"]


def test_sending_a_byte_now_and_then_does_not_extend_the_time(start: Callable[..., Endpoint]) -> None:
    endpoint = start(ConnectionLimits(header_seconds=0.5))
    with connect(endpoint) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        ended = time.monotonic() + 10
        slow.settimeout(0.05)
        while time.monotonic() < ended:
            try:
                slow.sendall(b"x")
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() < ended


def test_a_client_that_does_not_read_its_answer_is_dropped(
    start: Callable[..., Endpoint], dropped: list[str]
) -> None:
    endpoint = start(ConnectionLimits(answer_seconds=0.5))
    with connect(endpoint) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        ended = time.monotonic() + 20
        while not dropped and time.monotonic() < ended:
            assert health(endpoint) == 200
        assert dropped == ["timeout"]


def test_a_kept_connection_without_another_request_is_closed(start: Callable[..., Endpoint]) -> None:
    endpoint = start(ConnectionLimits(idle_seconds=0.3))
    with connect(endpoint) as kept:
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while piece := kept.recv(4096):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 200")


def test_nonsense_is_answered_and_not_logged(
    start: Callable[..., Endpoint], caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = start()
    with caplog.at_level(logging.DEBUG):
        for nonsense in (
            b"\x16\x03\x01\x02\x00\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\nHost: x\r\n\r\n",
        ):
            with connect(endpoint) as stranger:
                stranger.sendall(nonsense)
                assert stranger.recv(100).startswith(b"HTTP/1.1 ")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_requests_in_one_packet_are_all_answered(start: Callable[..., Endpoint]) -> None:
    endpoint = start()
    with connect(endpoint) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        answer = b""
        while answer.count(b"HTTP/1.1 200") < 3:
            piece = client.recv(4096)
            if not piece:
                raise HTTPException(answer)
            answer += piece


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_over_tls_it_answers_those_that_trust_it_while_silent_handshakes_wait(
    start: Callable[..., Endpoint],
    dropped: list[str],
    authority: trustme.CA,
    tls: ssl.SSLContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    endpoint = start(tls=tls)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    with ExitStack() as silent:
        for _ in range(150):
            silent.enter_context(connect(endpoint))
        silent.enter_context(connect(endpoint)).sendall(b"GET /healthz HTTP/1.1\r\n\r\n")

        with urllib.request.urlopen(endpoint.url + "/healthz", timeout=10, context=client) as answer:
            assert answer.status == 200
    assert endpoint.url.startswith("https://")
    assert set(dropped) == {"limit"}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_tls_handshake_that_never_ends_is_dropped(
    start: Callable[..., Endpoint], dropped: list[str], tls: ssl.SSLContext
) -> None:
    endpoint = start(ConnectionLimits(header_seconds=0.3), tls)
    with connect(endpoint) as silent:
        assert silent.recv(1) == b""
    assert dropped == ["timeout"]


def test_many_scrapes_at_once_make_the_metrics_once() -> None:
    calls: list[int] = []
    go_on = threading.Event()

    def metrics() -> bytes:
        calls.append(1)
        go_on.wait(30)
        return b"x 1\n"

    endpoint = Endpoint(bind("127.0.0.1:0"), SnapshotHolder(), metrics)
    endpoint.start()
    try:
        with ExitStack() as opened:
            clients = [opened.enter_context(connect(endpoint)) for _ in range(20)]
            for client in clients:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert health(endpoint) == 200
            go_on.set()
            for client in clients:
                answer = b""
                while piece := client.recv(4096):
                    answer += piece
                assert answer.endswith(b"x 1\n")
        assert len(calls) < len(clients) / 2
    finally:
        go_on.set()
        endpoint.stop()
