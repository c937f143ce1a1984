"""One exchange over a real socket: what is sent, what comes back, and the bounds in between."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import zlib

import httpcore
import pytest

from connector.net.http import (
    HttpClient,
    TimedOut,
    TooLarge,
    TransportError,
    Unreachable,
    Unsendable,
)
from tests.support.scripted_http import Asked, Reply, scripted
from tests.support.uncollected import living, uncollected

SECRET = "canary-4711"


async def test_an_answer_carries_status_lower_case_headers_and_body() -> None:
    reply = Reply(418, b"short and stout", {"X-Kind": "tea", "Date": "Fri, 20 Nov 2026 12:00:00 GMT"})
    async with scripted(lambda _: reply) as server:
        client = HttpClient(timeout=5)
        answer = await client.request(
            "POST", f"{server.url}/pot", headers={"x-a": "b"}, params={"q": "a b&c"}, content=b"water"
        )
        await client.close()
    asked = server.asked[0]
    assert (answer.status, answer.body, answer.ok) == (418, b"short and stout", False)
    assert answer.headers["x-kind"] == "tea"
    assert answer.headers["date"].startswith("Fri, 20 Nov")
    assert (asked.method, asked.path, asked.params, asked.body) == ("POST", "/pot", {"q": "a b&c"}, b"water")
    assert asked.headers["x-a"] == "b"
    assert asked.headers["user-agent"].startswith("cloudflare-email-connector/")


async def test_what_was_sent_and_answered_is_free_as_soon_as_it_was_taken() -> None:
    async with scripted(lambda _: Reply(200, b"page")) as server:
        client = HttpClient(timeout=5)
        with uncollected():
            before = living(httpcore.Response), living(httpcore.Request)
            for _ in range(3):
                assert (await client.request("POST", server.url, content=b"batch")).body == b"page"
            assert (living(httpcore.Response), living(httpcore.Request)) == before
        await client.close()


async def test_params_are_added_to_a_query_that_is_already_there() -> None:
    async with scripted(lambda _: Reply()) as server:
        client = HttpClient(timeout=5)
        await client.request("GET", f"{server.url}/x?channel=7", params=[("a", "1"), ("b", "2")])
        await client.close()
    assert server.asked[0].params == {"channel": "7", "a": "1", "b": "2"}


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with scripted(lambda _: Reply(302, headers={"location": "/elsewhere"})) as server:
        client = HttpClient(timeout=5)
        answer = await client.request("GET", server.url)
        await client.close()
    assert answer.status == 302
    assert len(server.asked) == 1


async def test_cookies_are_forgotten_unless_they_are_wanted() -> None:
    async with scripted(lambda _: Reply(headers={"set-cookie": "node=7; Path=/"})) as server:
        for wanted in (False, True):
            client = HttpClient(timeout=5, cookies=wanted)
            await client.request("GET", server.url)
            await client.request("GET", server.url)
            await client.close()
    assert [asked.headers.get("cookie") for asked in server.asked] == [None, None, None, "node=7"]


async def test_gzip_of_several_members_is_unpacked() -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"two")
    async with scripted(lambda _: Reply(200, packed, {"content-encoding": "gzip"})) as server:
        client = HttpClient(timeout=5)
        answer = await client.request("GET", server.url)
        await client.close()
    assert answer.body == b"one two"
    assert server.asked[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize("tail", [b"\0\0\0", b"behind", b"\x1f", b"\x1fno"])
async def test_bytes_after_a_gzip_stream_are_ignored(tail: bytes) -> None:
    packed = gzip.compress(b"all of it") + tail
    async with scripted(lambda _: Reply(200, packed, {"content-encoding": "gzip"})) as server:
        client = HttpClient(timeout=5)
        answer = await client.request("GET", server.url)
        await client.close()
    assert answer.body == b"all of it"


@pytest.mark.parametrize(
    "packed", [gzip.compress(b"x" * 5000)[:-9], b"not gzip at all"], ids=["cut", "other"]
)
async def test_damaged_compression_is_a_transport_error(packed: bytes) -> None:
    async with scripted(lambda _: Reply(200, packed, {"content-encoding": "gzip"})) as server:
        client = HttpClient(timeout=5)
        with pytest.raises(TransportError, match="damaged or truncated"):
            await client.request("GET", server.url)
        await client.close()


async def test_compression_that_was_not_asked_for_is_a_transport_error() -> None:
    reply = Reply(200, zlib.compress(b"x"), {"content-encoding": "deflate"})
    async with scripted(lambda _: reply) as server:
        client = HttpClient(timeout=5)
        with pytest.raises(TransportError, match="deflate"):
            await client.request("GET", server.url)
        await client.close()


@pytest.mark.parametrize("coding", ["utf-8", "UTF-8", "identity", "none"])
async def test_what_is_no_content_coding_changes_no_body(coding: str) -> None:
    async with scripted(lambda _: Reply(200, b"taken", {"content-encoding": coding})) as server:
        client = HttpClient(timeout=5)
        answer = await client.request("POST", server.url, content=b"{}")
        await client.close()
    assert (answer.status, answer.body) == (200, b"taken")


@pytest.mark.parametrize("coding", ["br", "gzip, br", "zstd", "gzip,gzip"])
async def test_a_coding_that_cannot_be_undone_is_named(coding: str) -> None:
    async with scripted(lambda _: Reply(200, b"?", {"content-encoding": coding})) as server:
        client = HttpClient(timeout=5)
        with pytest.raises(TransportError, match=f"unexpected content encoding '{coding}'"):
            await client.request("GET", server.url)
        await client.close()


@pytest.mark.parametrize("body", [b"x" * 1001, gzip.compress(b"\0" * 5_000_000)], ids=["plain", "packed"])
async def test_a_body_above_the_limit_is_too_large_as_sent_and_unpacked(body: bytes) -> None:
    headers = {"content-encoding": "gzip"} if body[:2] == b"\x1f\x8b" else {}
    limit = 1000 if not headers else 100_000
    async with scripted(lambda _: Reply(200, body, headers)) as server:
        client = HttpClient(timeout=5, max_body=limit)
        with pytest.raises(TooLarge, match=f"larger than {limit} bytes"):
            await client.request("GET", server.url)
        await client.close()


async def test_a_body_of_exactly_the_limit_passes() -> None:
    packed = gzip.compress(b"y" * 1000)
    async with scripted(lambda _: Reply(200, packed, {"content-encoding": "gzip"})) as server:
        client = HttpClient(timeout=5, max_body=1000)
        answer = await client.request("GET", server.url)
        await client.close()
    assert answer.body == b"y" * 1000


async def test_one_deadline_covers_an_answer_that_trickles() -> None:
    async def trickle(_: Asked) -> Reply:
        await asyncio.sleep(0.05)
        return Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", hold=asyncio.Event())

    async with scripted(trickle) as server:
        client = HttpClient(timeout=30)
        with pytest.raises(TimedOut, match=rf"127\.0\.0\.1:{server.port}: no complete response within"):
            await client.request("GET", server.url, timeout=0.2)
        await client.close()


async def test_an_answer_that_is_cut_off_is_a_transport_error() -> None:
    cut = Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    async with scripted(lambda _: cut) as server:
        client = HttpClient(timeout=5)
        with pytest.raises(TransportError, match="before the response was complete"):
            await client.request("GET", server.url)
        await client.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-filler: 0123456789\r\n" * 10_000,
    ],
    ids=["another protocol", "two lengths", "no chunk", "endless headers"],
)
async def test_an_answer_that_is_no_http_is_named_as_such(raw: bytes) -> None:
    async with scripted(lambda _: Reply(raw=raw)) as server:
        client = HttpClient(timeout=5)
        with pytest.raises(TransportError, match="the answer is not valid HTTP"):
            await client.request("GET", server.url)
        await client.close()


async def test_a_second_response_is_not_taken_for_that_of_the_next_request() -> None:
    """A collector that answers twice: the second request is refused, whatever was sent before it."""
    taken = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    refused = b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"
    replies = iter([taken + taken, refused])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n{}"):
                writer.write(next(replies))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        client = HttpClient(timeout=5)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        answers = [(await client.request("POST", url, content=b"{}")).status for _ in range(2)]
        await client.close()
    assert answers == [200, 503]


async def test_nobody_listening_is_unreachable_and_the_text_holds_no_credential() -> None:
    async with scripted(lambda _: Reply()) as server:
        port = server.port
    client = HttpClient(timeout=5)
    with pytest.raises(Unreachable) as caught:
        await client.request("GET", f"http://user:{SECRET}@127.0.0.1:{port}/?token={SECRET}")
    await client.close()
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("ftp://host/x", {}),
        ("no url", {}),
        (f"http://host:{SECRET}/", {}),
        ("http://127.0.0.1:9/", {"authorization": f"Bearer {SECRET}\n"}),
        ("http://127.0.0.1:9/", {"authorization": f"Bearer {SECRET}\u2026"}),
    ],
)
async def test_what_cannot_be_written_as_http_is_named_without_its_value(
    url: str, headers: dict[str, str]
) -> None:
    client = HttpClient(timeout=5)
    with pytest.raises((Unsendable, Unreachable)) as caught:
        await client.request("GET", url, headers=headers)
    await client.close()
    assert SECRET not in str(caught.value)


async def test_no_more_connections_than_allowed_are_opened() -> None:
    async def slow(_: Asked) -> Reply:
        await asyncio.sleep(0.01)
        return Reply()

    async with scripted(slow) as server:
        client = HttpClient(timeout=10)
        await asyncio.gather(*(client.request("GET", server.url) for _ in range(30)))
        await client.close()
    assert server.connections <= 8
    assert len(server.asked) == 30


async def test_a_cancelled_exchange_leaves_the_client_usable() -> None:
    gate = asyncio.Event()
    replies = iter([Reply(hold=gate), Reply(200, b"second")])
    async with scripted(lambda _: next(replies)) as server:
        client = HttpClient(timeout=5, connections=1)
        task = asyncio.create_task(client.request("GET", server.url))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.request("GET", server.url)).body == b"second"
        await client.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_refused_connection_reads_the_same_on_every_loop(loop: str) -> None:
    async def attempt() -> str:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        client = HttpClient(timeout=5)
        with pytest.raises(Unreachable) as caught:
            await client.request("GET", f"http://127.0.0.1:{port}/")
        await client.close()
        return caught.value.reason.partition(" ")[2]

    if loop == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            assert runner.run(attempt()) == "connection refused"
    else:
        assert asyncio.run(attempt()) == "connection refused"
