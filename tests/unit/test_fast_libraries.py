"""isal and uvloop, which some platforms lack, change how fast things are, and nothing else."""

import asyncio
import gzip as reference
import sys
import zlib
from collections.abc import Iterator

import pytest

from connector.app import runtime
from connector.journal import codec
from connector.net import gzip
from connector.outputs.shared import http_client

BODY = b'{"subject":"invoice","from":"a@example.com"}\n' * 4000


def unpacked(packed: bytes) -> bytes:
    """What an answer holds that comes in many pieces."""
    body = gzip.BoundedBody(len(BODY), gzip=True)
    for start in range(0, len(packed), 100):
        body.feed(packed[start : start + 100])
    return body.finish()


@pytest.fixture(params=["with", "without"])
def fast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    """Whether both are installed; nothing is remembered from the other case."""
    if request.param == "with":
        pytest.importorskip("isal", reason="isal has no wheel for this platform")
        pytest.importorskip("uvloop", reason="uvloop has no wheel for this platform")
    else:
        monkeypatch.setitem(sys.modules, "isal", None)
        monkeypatch.setitem(sys.modules, "uvloop", None)
    remembered = (http_client._compressor, gzip._maker)
    for one in remembered:
        one.cache_clear()
    yield request.param == "with"
    for one in remembered:
        one.cache_clear()


def test_a_request_unpacks_to_the_same_bytes(fast: bool) -> None:
    assert reference.decompress(http_client.gzip(BODY)) == BODY


def test_an_answer_unpacks_to_the_same_bytes(fast: bool) -> None:
    assert unpacked(reference.compress(BODY)) == BODY


@pytest.mark.parametrize("packed", [reference.compress(BODY)[:-9], b"no gzip at all"])
def test_a_damaged_answer_is_found_out(fast: bool, packed: bytes) -> None:
    with pytest.raises(gzip.CorruptBody):
        unpacked(packed)


def test_the_journal_is_written_so_that_either_reads_it(fast: bool) -> None:
    name, compress = codec.choose_compression()

    assert (name == "isal") is fast
    assert zlib.decompress(compress(BODY)) == BODY


def test_the_loop_is_the_fastest_that_is_installed(fast: bool) -> None:
    async def kind() -> str:
        return type(asyncio.get_running_loop()).__module__

    factory = runtime._loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(kind()).startswith("uvloop") is fast
