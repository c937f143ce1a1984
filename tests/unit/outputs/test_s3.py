"""Output s3: signatures, keys, what answers mean, and where access keys come from."""

from __future__ import annotations

import gzip
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.model import BatchName
from connector.outputs.s3.output import S3Output, S3Settings
from connector.outputs.s3.signature import Credentials, signed_headers
from connector.testing.harness import events
from tests.support.bucket import bucket, refusal
from tests.support.scripted_http import Asked, Reply, json_reply, scripted

KEYS = {"static": {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "canary-secret"}}
NAME = BatchName("00ff", datetime(2026, 11, 30, 5, 50, tzinfo=UTC))
KEY = "/mail/soc/year=2026/month=11/day=30/20261130T055000Z-00ff.ndjson.gz"


def output(url: str, **more: Any) -> S3Output:
    given = {"bucket": "mail", "region": "eu-central-1", "prefix": "soc/", "endpoint": url, "auth": KEYS}
    built = S3Settings.model_validate({**given, **more}).build("lake", lambda _: None)
    assert isinstance(built, S3Output)
    return built


def test_a_request_is_signed_as_in_amazons_example() -> None:
    """The PUT of "Signature Calculations for the Authorization Header" in the API reference of S3."""
    signed = signed_headers(
        Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        method="PUT",
        host="examplebucket.s3.amazonaws.com",
        path="/test%24file.text",
        headers={"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
        body_sha256=hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
        region="us-east-1",
        service="s3",
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )

    assert signed["authorization"].endswith(
        "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )


def test_a_query_is_signed_as_in_amazons_example() -> None:
    """The listing of the same page."""
    signed = signed_headers(
        Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        method="GET",
        host="examplebucket.s3.amazonaws.com",
        path="/",
        query=(("prefix", "J"), ("max-keys", "2")),
        headers={},
        body_sha256=hashlib.sha256(b"").hexdigest(),
        region="us-east-1",
        service="s3",
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )

    assert signed["authorization"].endswith(
        "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )


async def test_a_batch_is_one_object_and_a_repetition_changes_nothing() -> None:
    async with bucket() as store:
        lake = output(store.url)
        first = await lake.send_batch(NAME, events(3))
        again = await lake.send_batch(NAME, events(2, label="mapped-anew"))
        await lake.close()

    assert list(store.objects) == [KEY]
    assert gzip.decompress(store.objects[KEY]).split(b"\n") == [*(e.payload for e in events(3)), b""]
    assert (first.duplicates, again.duplicates) == (0, 2)


async def test_a_store_without_conditional_writes_gets_plain_ones() -> None:
    async with bucket() as store:
        lake = output(store.url, if_none_match=False, server_side_encryption="aws:kms", kms_key_id="alias/k")
        await lake.send_batch(NAME, events(3))
        await lake.send_batch(NAME, events(3))
        await lake.close()
        assert store.server is not None
        sent = store.server.asked[-1].headers

    assert list(store.objects) == [KEY]
    assert "if-none-match" not in sent
    assert sent["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/k"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (refusal(403, "AccessDenied"), Hold, "s3:PutObject"),
        (refusal(403, "RequestTimeTooSkewed"), Hold, "clock of this host"),
        (refusal(403, "SignatureDoesNotMatch"), Hold, "does not belong to the access key"),
        (refusal(404, "NoSuchBucket"), Hold, "there is no such bucket"),
        (refusal(301, "PermanentRedirect", x_amz_bucket_region="us-west-2"), Hold, "in us-west-2"),
        (refusal(400, "AuthorizationHeaderMalformed"), Hold, "region is not that of the bucket"),
        (refusal(501, "NotImplemented"), Hold, "if_none_match: false"),
        (refusal(400, "ExpiredToken"), Hold, "check bucket"),
        (Reply(400, b"what"), Hold, "check bucket"),
        (refusal(503, "SlowDown"), Retryable, "SlowDown"),
        (refusal(500, "InternalError"), Retryable, "InternalError"),
        (refusal(409, "ConditionalRequestConflict"), Retryable, "409"),
        (refusal(400, "RequestTimeout"), Retryable, "RequestTimeout"),
        (Reply(502, b"<html>bad gateway"), Retryable, "502"),
        (Reply(200, b"<html>sign in to the guest network"), Hold, "this is no answer of a store"),
        (Reply(200, b'{"status": "ok"}'), Hold, "this is no answer of a store"),
        (refusal(200, "InternalError"), Retryable, "InternalError"),
        (refusal(400, "EntityTooLarge"), Refused, "EntityTooLarge"),
        (Reply(413), Refused, "413"),
    ],
)
async def test_what_an_answer_means(answer: Reply, kind: type[DeliveryError], words: str) -> None:
    async with scripted(lambda _: answer) as server:
        lake = output(server.url)
        with pytest.raises(kind) as raised:
            await lake.send_batch(NAME, events(1))
        await lake.close()

    assert words in raised.value.reason
    assert f"{server.url}, bucket mail," in raised.value.reason


async def test_the_check_of_a_bucket_believes_only_a_store() -> None:
    async with scripted(lambda _: Reply(200, b"<html>sign in to the guest network")) as server:
        lake = output(server.url)
        with pytest.raises(Hold, match="this is no answer of a store"):
            await lake.check()
        await lake.close()


async def test_a_store_may_say_something_beside_the_tag_of_the_object() -> None:
    async with scripted(lambda _: Reply(200, b"stored", {"etag": '"00"'})) as server:
        lake = output(server.url)
        receipt = await lake.send_batch(NAME, events(1))
        await lake.close()

    assert (receipt.rejected, receipt.duplicates) == ({}, 0)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "https://mail.s3.eu-central-1.amazonaws.com"),
        ({"bucket": "mail.example"}, "https://s3.eu-central-1.amazonaws.com"),
        ({"region": "cn-north-1"}, "https://mail.s3.cn-north-1.amazonaws.com.cn"),
        ({"endpoint": "https://abc.r2.cloudflarestorage.com", "region": "auto"}, "https://abc.r2."),
        ({"endpoint": "https://s3.wasabisys.com", "path_style": False}, "https://mail.s3.wasabisys.com"),
        ({"endpoint": "http://minio:9000"}, "http://minio:9000"),
    ],
)
def test_where_the_bucket_is(given: dict[str, Any], url: str) -> None:
    settings = S3Settings.model_validate({"bucket": "mail", "region": "eu-central-1", "auth": KEYS, **given})
    assert S3Output(settings, lambda: NAME.formed)._base.startswith(url)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"auth": {}}, "exactly one"),
        ({"auth": {**KEYS, "instance_metadata": {}}}, "exactly one"),
        ({"kms_key_id": "alias/k"}, "no effect"),
        ({"endpoint": "https://minio/bucket"}, "no path"),
        ({"endpoint": "https://minio/?a=b"}, "no path or query"),
        ({"auth": {"web_identity": {"role_arn": "collector"}}}, "pattern"),
        ({"prefix": "no-slash"}, "pattern"),
        ({"prefix": "/leading/"}, "pattern"),
        ({"bucket": "UPPER"}, "pattern"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given: dict[str, Any], words: str) -> None:
    base = {"bucket": "mail", "region": "eu-central-1", "auth": KEYS}
    with pytest.raises(ValidationError, match=words):
        S3Settings.model_validate({**base, **given})


def _sts(token: str, minutes: int) -> Reply:
    ends = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Reply(
        200,
        f"<R><Credentials><AccessKeyId>ASIA{token}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
        f"<SessionToken>{token}</SessionToken><Expiration>{ends}</Expiration></Credentials></R>".encode(),
    )


async def test_a_web_identity_gets_keys_by_post_and_renews_them_before_they_end(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("canary-jwt\n")
    answers = [_sts("one", 4), _sts("two", 60)]
    async with bucket() as store, scripted(lambda _: answers.pop(0)) as sts:
        identity = {
            "role_arn": "arn:aws:iam::123456789012:role/x",
            "token_file": str(token),
            "sts_endpoint": sts.url,
        }
        lake = output(store.url, auth={"web_identity": identity})
        await lake.open()
        await lake.send_batch(NAME, events(1))
        await lake.send_batch(NAME, events(1))
        await lake.close()
        assert store.server is not None

    assert [asked.method for asked in sts.asked] == ["POST", "POST"]
    form = parse_qs(sts.asked[0].body.decode())
    assert form["Action"] == ["AssumeRoleWithWebIdentity"]
    assert form["WebIdentityToken"] == ["canary-jwt"]
    assert "canary-jwt" not in sts.asked[0].target
    assert {asked.headers["x-amz-security-token"] for asked in store.server.asked} == {"two"}


async def test_sts_that_refuses_is_a_hold_and_one_that_is_down_is_not(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("canary-jwt")
    answers = [refusal(403, "AccessDenied", "canary-jwt"), refusal(503, "ServiceUnavailable")]
    async with bucket() as store, scripted(lambda _: answers.pop(0)) as sts:
        identity = {
            "role_arn": "arn:aws:iam::123456789012:role/x",
            "token_file": str(token),
            "sts_endpoint": sts.url,
        }
        lake = output(store.url, auth={"web_identity": identity})
        with pytest.raises(Hold, match="trust policy") as raised:
            await lake.open()
        with pytest.raises(Retryable):
            await lake.open()
        await lake.close()

    assert "canary" not in raised.value.reason


async def test_an_instance_has_keys_by_version_2_of_the_service_and_by_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    document = {"AccessKeyId": "ASIA", "SecretAccessKey": "s", "Token": "t", "Expiration": ends}

    def metadata(asked: Asked) -> Reply:
        if asked.method == "PUT":
            return Reply(200, b"session")
        if asked.headers.get("x-aws-ec2-metadata-token") != "session":
            return Reply(401)
        return json_reply(document) if asked.path.endswith("/collector") else Reply(200, b"collector")

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with bucket() as store, scripted(metadata) as service:
        lake = output(store.url, auth={"instance_metadata": {"endpoint": service.url}})
        await lake.open()
        await lake.close()

    assert [asked.method for asked in service.asked] == ["PUT", "GET", "GET"]


async def test_temporary_keys_that_end_early_are_replaced(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("jwt")
    answers = [_sts("one", 60), _sts("two", 60)]
    async with bucket() as store, scripted(lambda _: answers.pop(0)) as sts:
        store.trouble = lambda asked: (
            refusal(400, "ExpiredToken") if asked.headers["x-amz-security-token"] == "one" else None
        )
        identity = {
            "role_arn": "arn:aws:iam::123456789012:role/x",
            "token_file": str(token),
            "sts_endpoint": sts.url,
        }
        lake = output(store.url, auth={"web_identity": identity})
        with pytest.raises(Retryable):
            await lake.send_batch(NAME, events(1))
        await lake.send_batch(NAME, events(1))
        await lake.close()

    assert list(store.objects) == [KEY]


async def test_check_stores_nothing_and_does_not_need_the_permission_to_list() -> None:
    async with bucket() as store:
        lake = output(store.url)
        assert "exists" in await lake.check()
        store.trouble = lambda _: refusal(403, "AccessDenied")
        assert "not needed" in await lake.check()
        store.trouble = lambda _: refusal(404, "NoSuchBucket")
        with pytest.raises(Hold, match="no such bucket"):
            await lake.check()
        await lake.close()

    assert store.objects == {}
