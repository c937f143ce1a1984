"""Every built-in output keeps the contract, each against a real collector on a loopback socket."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest

from connector.interfaces import Output
from connector.model import Limits
from connector.net.clock import utc_now
from connector.outputs import BUILT_IN
from connector.outputs.splunk_hec.channel import AckPolling
from connector.outputs.splunk_hec.output import SplunkHecOutput, SplunkHecSettings
from connector.outputs.stdout import StdoutOutput
from connector.testing.outputs import CHECKS, POISON, Check, OutputHarness
from tests.support.bucket import bucket, refusal
from tests.support.bulk_collector import bulk_collector, trouble
from tests.support.collectors import (
    authority,
    datagram_collector,
    free_port,
    pipe_reader,
    stream_collector,
    unobserved,
)
from tests.support.hec_collector import hec_collector, reported
from tests.support.log_ingestion import log_ingestion
from tests.support.log_ingestion import settings as sentinel_settings
from tests.support.otlp_collector import otlp_collector, status_reply
from tests.support.sampling import slow
from tests.support.scripted_http import Asked, Reply, scripted

SECRET = "canary-5e1b7a"
SHORT = "400ms"
"""How long a send may take on a bad road."""

Bench: TypeAlias = Callable[[Path], contextlib.AbstractAsyncContextManager[OutputHarness]]


def made(settings: Mapping[str, object]) -> Output:
    kind = str(settings["type"])
    return BUILT_IN[kind].model_validate(settings).build(kind, unobserved)


@contextlib.asynccontextmanager
async def stdout_bench(_folder: Path) -> AsyncIterator[OutputHarness]:
    with pipe_reader() as (writing, taken):
        yield OutputHarness(
            build=lambda: StdoutOutput("stdout", Limits(), 5.0, writing),
            taken=lambda: bytes(taken).split(b"\n")[:-1],
        )


@contextlib.asynccontextmanager
async def file_bench(folder: Path) -> AsyncIterator[OutputHarness]:
    path = folder / "events.ndjson"
    yield OutputHarness(
        build=lambda: made({"type": "file", "path": str(path)}),
        taken=lambda: path.read_bytes().split(b"\n")[:-1] if path.exists() else [],
        unreachable=lambda: made({"type": "file", "path": str(folder / "absent" / "events.ndjson")}),
    )


def stream_bench(scheme: str, **options: object) -> Bench:
    @contextlib.asynccontextmanager
    async def bench(folder: Path) -> AsyncIterator[OutputHarness]:
        trusted = authority(folder)
        tls = {"tls": {"ca_file": trusted.ca_file}} if scheme == "tls" else {}
        torn = False

        def build(port: int, **more: object) -> Output:
            address = f"{scheme}://127.0.0.1:{port}"
            return made({"type": "syslog", "address": address, **tls, **options, **more})

        def through(port: int) -> Output:
            nonlocal torn
            torn = True
            return build(port, timeout=SHORT)

        async with stream_collector(tls=trusted.server if tls else None) as collector:
            yield OutputHarness(
                build=lambda: build(collector.port),
                taken=collector.messages,
                unreachable=lambda: build(free_port()),
                port=collector.port,
                through=through,
                answers=False,
            )
            assert torn or collector.torn() == []

    return bench


@contextlib.asynccontextmanager
async def udp_bench(_folder: Path) -> AsyncIterator[OutputHarness]:
    async with datagram_collector() as collector:
        yield OutputHarness(
            build=lambda: made({"type": "syslog", "address": f"udp://127.0.0.1:{collector.port}"}),
            taken=collector.messages,
            unreachable=lambda: made({"type": "syslog", "address": f"udp://127.0.0.1:{free_port()}"}),
        )


def _poisoned(document: object) -> int | None:
    """What Splunk says of an event, or of a line, that it cannot read."""
    return 6 if POISON in str(document) else None


def http_bench(body: str, concurrency: int, *, tls: bool = False) -> Bench:
    @contextlib.asynccontextmanager
    async def bench(folder: Path) -> AsyncIterator[OutputHarness]:
        taken: list[bytes] = []
        trusted = authority(folder) if tls else None

        def accept(asked: Asked) -> Reply:
            if asked.path == "/denied":
                shown = "".join(f"{name}: {value}\n" for name, value in asked.headers.items())
                return Reply(403, f"{asked.target}\n{shown}".encode() + asked.body)
            if asked.path == "/busy":
                return Reply(429, headers={"retry-after": "7"})
            if asked.path == "/picky" and POISON.encode() in asked.body:
                return Reply(422, b"no such field")
            taken.extend(asked.body.strip(b"[]").replace(b"},{", b"}\n{").split(b"\n"))
            return Reply(202)

        def build(base: str, path: str, **more: object) -> Output:
            trust = {"tls": {"ca_file": trusted.ca_file}} if trusted else {}
            return made(
                {
                    **trust,
                    "type": "http",
                    "url": f"{base}{path}?token={SECRET}-url",
                    "headers": {"X-Api-Key": f"{SECRET}-header"},
                    "auth": {"basic": {"username": "connector", "password": f"{SECRET}-password"}},
                    "signing": {"secret": f"{SECRET}-signing"},
                    "body": body,
                    "concurrency": concurrency,
                    **more,
                }
            )

        async with scripted(accept, tls=trusted.server if trusted else None) as server:
            local = f"{server.scheme}://127.0.0.1"
            yield OutputHarness(
                build=lambda: build(server.url, "/events"),
                taken=lambda: list(taken),
                unreachable=lambda: build(f"{local}:{free_port()}", "/events"),
                denied=lambda: build(server.url, "/denied"),
                busy=lambda: build(server.url, "/busy"),
                picky=lambda: build(server.url, "/picky"),
                port=server.port,
                through=lambda port: build(f"{local}:{port}", "/events", timeout=SHORT),
                secrets=(SECRET, "Y29ubmVjdG9yOmNhbmFyeS"),
            )

    return bench


def hec_bench(*, tls: bool = False, **options: object) -> Bench:
    @contextlib.asynccontextmanager
    async def bench(folder: Path) -> AsyncIterator[OutputHarness]:
        trusted = authority(folder) if tls else None
        context = trusted.server if trusted else None

        def denied(asked: Asked) -> Reply:
            shown = "".join(f"{name}: {value}\n" for name, value in asked.headers.items())
            return Reply(403, shown.encode())

        def build(url: str, **more: object) -> Output:
            trust = {"tls": {"ca_file": trusted.ca_file}} if trusted else {}
            given = {"url": url, "token": f"{SECRET}-token", **trust, **options, **more}
            settings = SplunkHecSettings.model_validate(given)
            polling = AckPolling(first=0.002, longest=0.01)
            return SplunkHecOutput("splunk", settings, unobserved, utc_now, polling)

        token = f"{SECRET}-token"
        acks = options.get("ack") == "on"
        async with (
            hec_collector(token=token, ack=acks, patience=1, poison=_poisoned, tls=context) as collector,
            scripted(denied, tls=context) as stranger,
            scripted(lambda _: reported(9), tls=context) as busy,
        ):
            assert collector.server is not None
            local = f"{collector.server.scheme}://127.0.0.1"
            yield OutputHarness(
                build=lambda: build(collector.url),
                taken=collector.documents,
                unreachable=lambda: build(f"{local}:{free_port()}"),
                denied=lambda: build(stranger.url),
                busy=lambda: build(busy.url),
                picky=lambda: build(collector.url),
                port=collector.server.port,
                through=lambda port: build(f"{local}:{port}", timeout=SHORT),
                secrets=(SECRET,),
            )

    return bench


def bulk_bench(concurrency: int, *, tls: bool = False, **credentials: str) -> Bench:
    @contextlib.asynccontextmanager
    async def bench(folder: Path) -> AsyncIterator[OutputHarness]:
        trusted = authority(folder) if tls else None
        context = trusted.server if trusted else None

        def denied(asked: Asked) -> Reply:
            shown = "".join(f"{name}: {value}\n" for name, value in asked.headers.items())
            return Reply(403, shown.encode())

        def build(url: str, **more: object) -> Output:
            trust = {"tls": {"ca_file": trusted.ca_file}} if trusted else {}
            options = {"concurrency": concurrency, **trust, **credentials, **more}
            return made({"type": "elasticsearch", "url": url, **options})

        def verdict(document: dict[str, str]) -> dict[str, object] | None:
            return trouble(400, "document_parsing_exception", "no") if POISON in document["id"] else None

        def pushed_back(_: object) -> dict[str, object]:
            return trouble(429, "es_rejected_execution_exception", "rejected")

        async with (
            bulk_collector(verdict=verdict, tls=context) as collector,
            bulk_collector(verdict=pushed_back, tls=context) as busy,
            scripted(denied, tls=context) as stranger,
        ):
            assert collector.server is not None
            local = f"{collector.server.scheme}://127.0.0.1"
            yield OutputHarness(
                build=lambda: build(collector.url),
                taken=lambda: list(collector.documents),
                unreachable=lambda: build(f"{local}:{free_port()}"),
                denied=lambda: build(stranger.url),
                busy=lambda: build(busy.url),
                picky=lambda: build(collector.url),
                port=collector.server.port,
                through=lambda port: build(f"{local}:{port}", timeout=SHORT),
                secrets=(SECRET, base64.b64encode(SECRET.encode()).decode()[:10]),
            )

    return bench


def otlp_bench(*, tls: bool = False, counts: bool = False, **options: object) -> Bench:
    @contextlib.asynccontextmanager
    async def bench(folder: Path) -> AsyncIterator[OutputHarness]:
        trusted = authority(folder) if tls else None
        context = trusted.server if trusted else None

        def denied(asked: Asked) -> Reply:
            shown = "".join(f"{name}: {value}\n" for name, value in asked.headers.items())
            return status_reply(403, f"{asked.target}\n{shown}")

        def build(url: str, **more: object) -> Output:
            trust = {"tls": {"ca_file": trusted.ca_file}} if trusted else {}
            return made(
                {
                    "type": "otlp",
                    "url": f"{url}/otlp?token={SECRET}-url",
                    "headers": {"X-Scope-OrgID": f"{SECRET}-header"},
                    "auth": {"basic": {"username": "connector", "password": f"{SECRET}-password"}},
                    "body": "json",
                    **trust,
                    **options,
                    **more,
                }
            )

        async with (
            otlp_collector(poison=POISON, counts=counts, tls=context) as collector,
            scripted(lambda _: status_reply(429, "later"), tls=context) as busy,
            scripted(denied, tls=context) as stranger,
        ):
            local = f"{collector.server.scheme}://127.0.0.1"
            yield OutputHarness(
                build=lambda: build(collector.url),
                taken=lambda: [record.body.string_value.encode() for record in collector.records],
                unreachable=lambda: build(f"{local}:{free_port()}"),
                denied=lambda: build(stranger.url),
                busy=lambda: build(busy.url),
                picky=lambda: build(collector.url),
                port=collector.server.port,
                through=lambda port: build(f"{local}:{port}", timeout=SHORT),
                secrets=(SECRET, "Y29ubmVjdG9yOmNhbmFyeS"),
            )

    return bench


def s3_bench(*, tls: bool = False) -> Bench:
    @contextlib.asynccontextmanager
    async def bench(folder: Path) -> AsyncIterator[OutputHarness]:
        trusted = authority(folder) if tls else None
        context = trusted.server if trusted else None

        def denied(asked: Asked) -> Reply:
            shown = "".join(f"{name}: {value}\n" for name, value in asked.headers.items())
            return refusal(403, "InvalidAccessKeyId", f"{SECRET}-key {shown}")

        def build(url: str, **more: object) -> Output:
            trust = {"tls": {"ca_file": trusted.ca_file}} if trusted else {}
            keys = {"access_key_id": f"{SECRET}-key", "secret_access_key": f"{SECRET}-secret"}
            place = {"bucket": "mail", "region": "eu-central-1", "prefix": "a/", "endpoint": url}
            return made({"type": "s3", **place, "auth": {"static": keys}, **trust, **more})

        async with (
            bucket(tls=context) as store,
            scripted(denied, tls=context) as stranger,
            scripted(lambda _: refusal(503, "SlowDown", retry_after="7"), tls=context) as busy,
        ):
            assert store.server is not None
            local = f"{store.server.scheme}://127.0.0.1"
            yield OutputHarness(
                build=lambda: build(store.url),
                taken=store.lines,
                unreachable=lambda: build(f"{local}:{free_port()}"),
                denied=lambda: build(stranger.url),
                busy=lambda: build(busy.url),
                port=store.server.port,
                through=lambda port: build(f"{local}:{port}", timeout=SHORT),
                secrets=(SECRET,),
            )

    return bench


def sentinel_bench(concurrency: int, *, tls: bool = False) -> Bench:
    @contextlib.asynccontextmanager
    async def bench(folder: Path) -> AsyncIterator[OutputHarness]:
        trusted = authority(folder) if tls else None
        context = trusted.server if trusted else None

        def repeated(asked: Asked, _rows: object) -> Reply:
            shown = "".join(f"{name}: {value}\n" for name, value in asked.headers.items())
            return Reply(403, shown.encode() + asked.body)

        def throttled(_asked: Asked, _rows: object) -> Reply:
            return Reply(429, headers={"retry-after": "7"})

        def picky(_asked: Asked, rows: list[dict[str, str]]) -> Reply | None:
            return Reply(400, b"bad row") if any(POISON in row["id"] for row in rows) else None

        def build(url: str, authority_url: str = "", **more: object) -> Output:
            trust = {"tls": {"ca_file": trusted.ca_file}} if trusted else {}
            given = sentinel_settings(url, concurrency=concurrency, **trust, **more)
            given["auth"] |= {"client_secret": f"{SECRET}/&"}
            given["auth"] |= {"authority": authority_url} if authority_url else {}
            return made(given)

        async with (
            log_ingestion(picky, tls=context) as site,
            log_ingestion(repeated, tls=context) as stranger,
            log_ingestion(throttled, tls=context) as busy,
        ):
            assert site.server is not None
            local = f"{site.server.scheme}://127.0.0.1"
            yield OutputHarness(
                build=lambda: build(site.url),
                taken=site.documents,
                unreachable=lambda: build(f"{local}:{free_port()}", site.url),
                denied=lambda: build(stranger.url),
                busy=lambda: build(busy.url),
                picky=lambda: build(site.url),
                port=site.server.port,
                through=lambda port: build(f"{local}:{port}", site.url, timeout=SHORT),
                secrets=(SECRET, "-of-the-authority"),
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
    "http over tls": http_bench("ndjson", 1, tls=True),
    "splunk_hec without acknowledgement": hec_bench(ack="off", concurrency=3),
    "splunk_hec with acknowledgement": hec_bench(ack="on"),
    "splunk_hec raw": hec_bench(endpoint="raw"),
    "splunk_hec over tls with acknowledgement": hec_bench(ack="on", tls=True),
    "elasticsearch with a key": bulk_bench(1, api_key=f"{SECRET}:{SECRET}"),
    "elasticsearch with a password": bulk_bench(4, username="soc", password=SECRET),
    "elasticsearch over tls": bulk_bench(1, api_key=f"{SECRET}:{SECRET}", tls=True),
    "s3": s3_bench(),
    "s3 over tls": s3_bench(tls=True),
    "otlp": otlp_bench(),
    "otlp that counts what it rejects": otlp_bench(counts=True, concurrency=3, gzip=False),
    "otlp over tls": otlp_bench(tls=True, attributes="none"),
    "sentinel": sentinel_bench(1),
    "sentinel over tls": sentinel_bench(4, tls=True),
}

VARIANTS = {
    "sentinel over tls",
    "syslog over tcp, counted",
    "http array",
    "http over tls",
    "splunk_hec raw",
    "splunk_hec over tls with acknowledgement",
    "elasticsearch with a password",
    "elasticsearch over tls",
    "otlp that counts what it rejects",
    "otlp over tls",
    "s3 over tls",
}
"""Options whose difference unit tests show; only ``make test-all`` runs the whole suite against them."""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", [slow(name) if name in VARIANTS else name for name in BENCHES])
async def test_output_keeps_its_contract(name: str, check: Check, tmp_path: Path) -> None:
    async with BENCHES[name](tmp_path) as harness:
        await check(harness)


def test_every_built_in_type_is_on_the_bench() -> None:
    # Kafka's suite runs against a real broker: tests/integration/test_kafka.py.
    assert {name.split()[0] for name in BENCHES} | {"kafka"} == set(BUILT_IN)
