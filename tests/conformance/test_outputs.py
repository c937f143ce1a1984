"""Every built-in output keeps the contract, each against a real collector on a loopback socket."""

from __future__ import annotations

import base64
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from connector.interfaces import Output
from connector.model import Limits
from connector.outputs import BUILT_IN
from connector.outputs.parts.hec_channel import Pace
from connector.outputs.parts.web import utc_now
from connector.outputs.splunk_hec import SplunkHecOutput, SplunkHecSettings
from connector.outputs.stdout import StdoutOutput
from connector.testing.outputs import CHECKS, Check, Subject
from tests.support.bulk_collector import bulk_collector
from tests.support.collectors import authority, datagram_collector, free_port, stream_collector, unobserved
from tests.support.hec_collector import hec_collector
from tests.support.scripted_http import Asked, Reply, scripted

SECRET = "canary-5e1b7a"

Bench: TypeAlias = Callable[[Path], contextlib.AbstractAsyncContextManager[Subject]]


def made(settings: Mapping[str, object]) -> Output:
    kind = str(settings["type"])
    return BUILT_IN[kind].model_validate(settings).build(kind, unobserved)


@contextlib.asynccontextmanager
async def stdout_bench(_folder: Path) -> AsyncIterator[Subject]:
    taken = bytearray()
    reading, writing = os.pipe()

    def read() -> None:
        while data := os.read(reading, 1 << 16):
            taken.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield Subject(
            build=lambda: StdoutOutput("stdout", Limits(), 5.0, writing),
            taken=lambda: bytes(taken).split(b"\n")[:-1],
        )
    finally:
        os.close(writing)
        reader.join()
        os.close(reading)


@contextlib.asynccontextmanager
async def file_bench(folder: Path) -> AsyncIterator[Subject]:
    path = folder / "events.ndjson"
    yield Subject(
        build=lambda: made({"type": "file", "path": str(path)}),
        taken=lambda: path.read_bytes().split(b"\n")[:-1] if path.exists() else [],
        unreachable=lambda: made({"type": "file", "path": str(folder / "absent" / "events.ndjson")}),
    )


def stream_bench(scheme: str, **options: object) -> Bench:
    @contextlib.asynccontextmanager
    async def bench(folder: Path) -> AsyncIterator[Subject]:
        trusted = authority(folder)
        tls = {"tls": {"ca_file": trusted.ca_file}} if scheme == "tls" else {}

        def build(port: int) -> Output:
            return made({"type": "syslog", "address": f"{scheme}://127.0.0.1:{port}", **tls, **options})

        async with stream_collector(tls=trusted.server if tls else None) as collector:
            yield Subject(
                build=lambda: build(collector.port),
                taken=collector.messages,
                unreachable=lambda: build(free_port()),
            )
            assert collector.torn() == []

    return bench


@contextlib.asynccontextmanager
async def udp_bench(_folder: Path) -> AsyncIterator[Subject]:
    async with datagram_collector() as collector:
        yield Subject(
            build=lambda: made({"type": "syslog", "address": f"udp://127.0.0.1:{collector.port}"}),
            taken=collector.messages,
            unreachable=lambda: made({"type": "syslog", "address": f"udp://127.0.0.1:{free_port()}"}),
        )


def http_bench(body: str, concurrency: int) -> Bench:
    @contextlib.asynccontextmanager
    async def bench(_folder: Path) -> AsyncIterator[Subject]:
        taken: list[bytes] = []

        def accept(asked: Asked) -> Reply:
            if asked.path == "/denied":
                shown = "".join(f"{name}: {value}\n" for name, value in asked.headers.items())
                return Reply(403, f"{asked.target}\n{shown}".encode() + asked.body)
            taken.extend(asked.body.strip(b"[]").replace(b"},{", b"}\n{").split(b"\n"))
            return Reply(202)

        def build(base: str, path: str) -> Output:
            return made(
                {
                    "type": "http",
                    "url": f"{base}{path}?token={SECRET}-url",
                    "headers": {"X-Api-Key": f"{SECRET}-header"},
                    "auth": {"basic": {"username": "connector", "password": f"{SECRET}-password"}},
                    "signing": {"secret": f"{SECRET}-signing"},
                    "body": body,
                    "concurrency": concurrency,
                }
            )

        async with scripted(accept) as server:
            yield Subject(
                build=lambda: build(server.url, "/events"),
                taken=lambda: list(taken),
                unreachable=lambda: build(f"http://127.0.0.1:{free_port()}", "/events"),
                denied=lambda: build(server.url, "/denied"),
                secrets=(SECRET, "Y29ubmVjdG9yOmNhbmFyeS"),
            )

    return bench


def hec_bench(**options: object) -> Bench:
    @contextlib.asynccontextmanager
    async def bench(_folder: Path) -> AsyncIterator[Subject]:
        def denied(asked: Asked) -> Reply:
            shown = "".join(f"{name}: {value}\n" for name, value in asked.headers.items())
            return Reply(403, shown.encode())

        def build(url: str) -> Output:
            settings = SplunkHecSettings.model_validate({"url": url, "token": f"{SECRET}-token", **options})
            pace = Pace(first=0.002, longest=0.01)
            return SplunkHecOutput("splunk", settings, unobserved, utc_now, pace)

        token = f"{SECRET}-token"
        acks = options.get("ack") == "on"
        async with (
            hec_collector(token=token, ack=acks, patience=1) as collector,
            scripted(denied) as stranger,
        ):
            yield Subject(
                build=lambda: build(collector.url),
                taken=collector.documents,
                unreachable=lambda: build(f"http://127.0.0.1:{free_port()}"),
                denied=lambda: build(stranger.url),
                secrets=(SECRET,),
            )

    return bench


def bulk_bench(concurrency: int, **credentials: str) -> Bench:
    @contextlib.asynccontextmanager
    async def bench(_folder: Path) -> AsyncIterator[Subject]:
        def denied(asked: Asked) -> Reply:
            shown = "".join(f"{name}: {value}\n" for name, value in asked.headers.items())
            return Reply(403, shown.encode())

        def build(url: str) -> Output:
            return made({"type": "elasticsearch", "url": url, "concurrency": concurrency, **credentials})

        async with bulk_collector() as collector, scripted(denied) as stranger:
            yield Subject(
                build=lambda: build(collector.url),
                taken=lambda: list(collector.documents),
                unreachable=lambda: build(f"http://127.0.0.1:{free_port()}"),
                denied=lambda: build(stranger.url),
                secrets=(SECRET, base64.b64encode(SECRET.encode()).decode()[:10]),
            )

    return bench


BENCHES: dict[str, Bench] = {
    "stdout": stdout_bench,
    "file": file_bench,
    "syslog over tcp, lines": stream_bench("tcp"),
    "syslog over tcp, counted": stream_bench("tcp", framing="octet", format="rfc3164"),
    "syslog over tls": stream_bench("tls"),
    "syslog over udp": udp_bench,
    "http ndjson": http_bench("ndjson", 1),
    "http array": http_bench("array", 4),
    "http single": http_bench("single", 3),
    "splunk_hec without acknowledgement": hec_bench(ack="off", concurrency=3),
    "splunk_hec with acknowledgement": hec_bench(ack="on"),
    "splunk_hec raw": hec_bench(endpoint="raw"),
    "elasticsearch with a key": bulk_bench(1, api_key=f"{SECRET}:{SECRET}"),
    "elasticsearch with a password": bulk_bench(4, username="soc", password=SECRET),
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", BENCHES)
async def test_output_keeps_its_contract(name: str, check: Check, tmp_path: Path) -> None:
    async with BENCHES[name](tmp_path) as subject:
        await check(subject)


def test_every_built_in_type_is_on_the_bench() -> None:
    assert {name.split()[0] for name in BENCHES} == set(BUILT_IN)
