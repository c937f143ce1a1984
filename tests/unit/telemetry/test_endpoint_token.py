"""With a token, only those who have it see more than whether the connector lives and is ready."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from connector.telemetry.endpoint import Endpoint, SnapshotHolder, bind

TOKEN = "canary-0123456789abcdef"
GUARDED = ("/", "/page.js", "/page.css", "/metrics", "/api/status", "/api/trend", "/nothing")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    snapshots = SnapshotHolder()
    reasons = [{"what": "output", "output": "siem", "reason": "held: HTTP 401"}]
    snapshots.publish({"ready": False, "reasons": reasons})
    endpoint = Endpoint(bind("127.0.0.1:0"), snapshots, lambda: b"x 1\n", token=TOKEN)
    endpoint.start()
    yield endpoint
    endpoint.stop()


def get(endpoint: Endpoint, path: str, authorization: str = "") -> tuple[int, str, str]:
    headers = {"Authorization": authorization} if authorization else {}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(endpoint.url + path, headers=headers), timeout=10
        ) as answer:
            return answer.status, answer.read().decode(), ""
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), str(error.headers["WWW-Authenticate"])


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("path", GUARDED)
def test_without_the_token_nothing_is_shown_and_a_browser_asks_for_it(endpoint: Endpoint, path: str) -> None:
    status, body, challenge = get(endpoint, path)

    assert (status, body) == (401, "token required\n")
    assert challenge.startswith("Basic realm=")


@pytest.mark.parametrize(
    "header",
    ["Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Digest {TOKEN}", TOKEN, "Basic %%%",
     "Basic ", basic(TOKEN), basic(f"{TOKEN}:"), basic(f"user:{TOKEN.upper()}")],
)  # fmt: skip
def test_a_wrong_token_is_refused(endpoint: Endpoint, header: str) -> None:
    assert get(endpoint, "/api/status", header)[0] == 401


@pytest.mark.parametrize(
    "header", [f"Bearer {TOKEN}", f"bearer {TOKEN}", basic(f":{TOKEN}"), basic(f"any:{TOKEN}")]
)
def test_the_token_opens_everything(endpoint: Endpoint, header: str) -> None:
    assert {get(endpoint, path, header)[0] for path in GUARDED[:-1]} == {200}
    assert get(endpoint, "/nothing", header)[0] == 404


def test_probes_need_no_token_and_learn_no_reasons(endpoint: Endpoint) -> None:
    assert get(endpoint, "/healthz")[0] == 200
    status, body, _ = get(endpoint, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False})

    _, body, _ = get(endpoint, "/readyz", f"Bearer {TOKEN}")
    assert json.loads(body)["reasons"][0]["output"] == "siem"
