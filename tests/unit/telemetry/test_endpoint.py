"""The endpoint answers over a real socket, whatever the main loop does."""

from __future__ import annotations

import gzip
import http.client
import json
import time
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from connector.errors import ConfigurationError
from connector.telemetry.endpoint import Endpoint, Snapshot, SnapshotHolder, bind


@pytest.fixture
def snapshots() -> SnapshotHolder:
    return SnapshotHolder()


@pytest.fixture
def endpoint(snapshots: SnapshotHolder) -> Iterator[Endpoint]:
    made = Endpoint(bind("127.0.0.1:0"), snapshots, lambda: b"some_metric 1\n")
    made.start()
    yield made
    made.stop()


def get(endpoint: Endpoint, path: str, method: str = "GET") -> tuple[int, str]:
    target = urlsplit(endpoint.url)
    for _ in range(100):
        connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=5)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except ConnectionError:
            time.sleep(0.02)
        finally:
            connection.close()
    raise AssertionError("the endpoint does not answer")


def test_it_serves_metrics_status_health_and_readiness(endpoint: Endpoint, snapshots: SnapshotHolder) -> None:
    snapshots.publish({"ready": True, "reasons": [], "version": "1.0"})

    assert get(endpoint, "/metrics") == (200, "some_metric 1\n")
    assert json.loads(get(endpoint, "/api/status")[1])["version"] == "1.0"
    assert get(endpoint, "/healthz")[0] == 200
    assert get(endpoint, "/readyz")[0] == 200


def test_it_is_not_ready_before_anything_was_posted_and_says_why_later(
    endpoint: Endpoint, snapshots: SnapshotHolder
) -> None:
    assert get(endpoint, "/readyz")[0] == 503

    snapshots.publish({"ready": False, "reasons": [{"what": "output", "output": "siem", "reason": "hold"}]})
    status, body = get(endpoint, "/readyz")
    assert status == 503
    assert json.loads(body)["reasons"][0]["output"] == "siem"


def test_a_main_loop_without_heartbeat_is_not_healthy(endpoint: Endpoint, snapshots: SnapshotHolder) -> None:
    snapshots._snapshot = Snapshot({"ready": True}, time.monotonic() - 60)

    assert get(endpoint, "/healthz")[0] == 503


def test_it_is_read_only(endpoint: Endpoint) -> None:
    assert get(endpoint, "/api/status", "POST")[0] == 405
    assert get(endpoint, "/nothing")[0] == 404


def test_an_address_that_is_taken_or_wrong_is_said_clearly(endpoint: Endpoint) -> None:
    for listen in (endpoint.url.removeprefix("http://"), "127.0.0.1:x", "127.0.0.1:99999"):
        with pytest.raises(ConfigurationError, match=r"server\.listen"):
            bind(listen)


def test_it_stops_and_can_be_stopped_twice(snapshots: SnapshotHolder) -> None:
    made = Endpoint(bind("[::1]:0"), snapshots, lambda: b"")
    made.start()
    made.stop()
    made.stop()


def test_a_connection_that_is_kept_open_does_not_outlive_it(endpoint: Endpoint) -> None:
    target = urlsplit(endpoint.url)
    connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=5)
    connection.request("GET", "/healthz")
    connection.getresponse().read()
    endpoint.stop()

    assert connection.sock.recv(1) == b""
    connection.close()


def test_every_answer_forbids_what_the_page_does_not_need(endpoint: Endpoint) -> None:
    get(endpoint, "/healthz")
    for path in ("/", "/page.js", "/api/status", "/api/trend", "/metrics"):
        with urllib.request.urlopen(endpoint.url + path, timeout=5) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'self';"), path
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_long_answers_are_compressed_for_those_who_ask(snapshots: SnapshotHolder) -> None:
    text = b"email_connector_records_total 1\n" * 10_000
    endpoint = Endpoint(bind("127.0.0.1:0"), snapshots, lambda: text)
    endpoint.start()
    try:
        request = urllib.request.Request(endpoint.url + "/metrics", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            body = answer.read()
            assert answer.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(body) == text
            assert len(body) < len(text) / 10
        with urllib.request.urlopen(endpoint.url + "/metrics", timeout=5) as answer:
            assert answer.read() == text
    finally:
        endpoint.stop()
