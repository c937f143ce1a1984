"""Objects in moto, an emulator of S3, written and read back over its API; web identity by its STS."""

from __future__ import annotations

import gzip
import json
import re
import urllib.request
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from connector.errors import Hold
from connector.mapping import Library, build_mapper
from connector.model import BatchName
from connector.outputs.s3.output import S3Output, S3Settings
from connector.testing.harness import events
from tests.golden.revisions import ACCOUNTS, cases
from tests.support.collectors import free_port
from tests.support.programs import tool
from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.integration]

NAME = BatchName("00ff", datetime(2026, 11, 30, 5, 50, tzinfo=UTC))


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an emulator with an empty bucket ``mail``."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [tool("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    server = ServerProcess(command, url, "/moto-api/", tmp_path_factory.mktemp("moto") / "log")
    server.start()
    try:
        urllib.request.urlopen(urllib.request.Request(f"{url}/mail", method="PUT"), timeout=10).close()
        yield url
    finally:
        server.stop()


def output(url: str, **more: Any) -> S3Output:
    keys = {"static": {"access_key_id": "key", "secret_access_key": "secret"}}
    place = {"bucket": "mail", "region": "us-east-1", "endpoint": url, "auth": keys}
    return S3Settings.model_validate({**place, **more}).build("lake", lambda _: None)


def read(url: str) -> bytes:
    # moto wants to know who asks, and does not verify it.
    who = (
        "AWS4-HMAC-SHA256 Credential=key/20261130/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
    )
    with urllib.request.urlopen(
        urllib.request.Request(url, headers={"Authorization": who}), timeout=10
    ) as answer:
        body: bytes = answer.read()
    return body


def stored(url: str, prefix: str) -> dict[str, bytes]:
    listing = read(f"{url}/mail?list-type=2&prefix={prefix}").decode()
    return {key: read(f"{url}/mail/{key}") for key in re.findall(r"<Key>([^<]+)</Key>", listing)}


async def test_a_repetition_is_answered_with_412_and_changes_nothing(moto: str) -> None:
    lake = output(moto, prefix="once/")
    await lake.open()
    first = await lake.send_batch(NAME, events(500, 200))
    again = await lake.send_batch(NAME, events(3, label="other"))
    await lake.close()

    [(key, body)] = stored(moto, "once/").items()
    assert key == "once/year=2026/month=11/day=30/20261130T055000Z-00ff.ndjson.gz"
    assert gzip.decompress(body).split(b"\n")[:-1] == [event.payload for event in events(500, 200)]
    assert (first.duplicates, again.duplicates) == (0, 3)


async def test_parquet_for_security_lake_is_read_back_with_pyarrow(moto: str) -> None:
    mapper = build_mapper(Library().load("ocsf"), accounts=ACCOUNTS)
    sent = [made for case in cases() if (made := mapper(case.revision)) is not None]
    layout = {"source": "cf-email", "account": "123456789012"}
    lake = output(moto, format="parquet", security_lake=layout, mapping="ocsf")
    await lake.open()
    first = await lake.send_batch(NAME, sent)
    again = await lake.send_batch(NAME, sent)
    await lake.close()

    objects = stored(moto, "ext/cf-email/region=us-east-1/accountId=123456789012/eventDay=")
    assert {key.rsplit("/", 1)[1] for key in objects} == {"20261130T055000Z-00ff.zstd.parquet"}
    tables = {key: parquet.read_table(BytesIO(body)) for key, body in objects.items()}
    assert len({str(table.schema) for table in tables.values()}) == 1
    for key, table in tables.items():
        days = {datetime.fromtimestamp(ms / 1000, UTC) for ms in table.column("time").to_pylist()}
        assert {f"{day:%Y%m%d}" for day in days} == {key.split("eventDay=")[1][:8]}
    rows = [row for table in tables.values() for row in table.to_pylist()]
    assert Counter(row["metadata"]["uid"] for row in rows) == Counter(
        json.loads(event.payload)["metadata"]["uid"] for event in sent
    )
    assert (first.duplicates, again.duplicates) == (0, len(sent))


async def test_a_bucket_that_is_not_there_is_named(moto: str) -> None:
    lake = output(moto, bucket="nowhere")
    with pytest.raises(Hold, match="there is no such bucket"):
        await lake.send_batch(NAME, events(1))
    with pytest.raises(Hold, match="there is no such bucket"):
        await lake.check()
    await lake.close()


async def test_a_role_is_assumed_with_a_web_identity(moto: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a.jwt.token")
    identity = {
        "role_arn": "arn:aws:iam::123456789012:role/collector",
        "token_file": str(tmp_path / "token"),
        "sts_endpoint": moto,
    }
    lake = output(moto, prefix="role/", auth={"web_identity": identity})
    await lake.open()
    await lake.send_batch(NAME, events(2))
    await lake.close()

    assert len(stored(moto, "role/")) == 1
