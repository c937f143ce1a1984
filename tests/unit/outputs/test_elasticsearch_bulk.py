"""What a cluster gets to see, and what each of its answers leads to, event by event."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.model import Event, Receipt
from connector.outputs.elasticsearch.bulk import describe, outcome
from connector.outputs.elasticsearch.output import ElasticsearchOutput, ElasticsearchSettings
from connector.secret import Reference
from connector.testing.outputs import events
from tests.support.bulk_collector import (
    API_KEY,
    ENCODED,
    STREAM,
    BulkCollector,
    bulk_collector,
    failed,
    trouble,
)
from tests.support.collectors import free_port, unobserved
from tests.support.scripted_http import Reply, json_reply

MAIL = "Quarterly bonus, click now"
PARSING = (
    "failed to parse field [source.ip] of type [ip] in document with id 'x'. "
    f"Preview of field's value: '{MAIL}'"
)
UNPARSED = trouble(
    400, "document_parsing_exception", f"[1:9] {PARSING}", f"'{MAIL}' is not an IP string literal."
)


def output(*urls: str, **options: Any) -> ElasticsearchOutput:
    return ElasticsearchSettings.model_validate({"url": list(urls), **options}).build("siem", unobserved)


async def sent(collector: BulkCollector, batch: list[Event], **options: Any) -> Receipt | DeliveryError:
    elastic = output(collector.url, **options)
    try:
        return await elastic.send(batch)
    except DeliveryError as error:
        return error
    finally:
        await elastic.close()


def number(document: Any) -> int:
    return int(document["id"].split("-")[1])


async def test_each_event_is_created_under_its_identity() -> None:
    async with bulk_collector() as collector:
        assert await sent(collector, events(3)) == Receipt()
        assert list(collector.stored) == [event.revision.identity for event in events(3)]
        assert collector.documents == [event.payload for event in events(3)]
        assert collector.server is not None
        [asked] = collector.server.asked
        assert asked.path == f"/{STREAM}/_bulk"
        assert asked.params == {"filter_path": "errors,items.*.status,items.*.error,items.*.failure_store"}
        assert asked.headers["content-type"] == "application/x-ndjson"


async def test_what_is_there_already_counts_as_delivered() -> None:
    async with bulk_collector() as collector:
        await sent(collector, events(2))
        assert await sent(collector, events(5)) == Receipt(duplicates=2)
        assert len(collector.stored) == 5


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_only_what_may_pass_is_sent_again(status: int) -> None:
    def verdict(document: Any) -> dict[str, Any] | None:
        busy = trouble(status, "es_rejected_execution_exception", "rejected execution")
        return busy if number(document) % 3 == 1 else None

    async with bulk_collector(verdict=verdict) as collector:
        receipt = await sent(collector, events(5))

    why = f"{status} es_rejected_execution_exception (the write queue is full)"
    assert receipt == Receipt(retry=frozenset({1, 4}), retry_reason=why)


async def test_a_document_that_cannot_be_stored_is_named_without_its_text() -> None:
    async with bulk_collector(verdict=lambda one: UNPARSED if number(one) == 1 else None) as collector:
        receipt = await sent(collector, events(3))
        assert isinstance(receipt, Receipt)
        assert receipt.rejected == {
            1: "400 document_parsing_exception: failed to parse field [source.ip] of type [ip], "
            "caused by illegal_argument_exception"
        }
        assert len(collector.stored) == 2


async def test_every_kind_of_item_in_one_answer() -> None:
    answers = {
        1: UNPARSED,
        2: trouble(429, "es_rejected_execution_exception", "full"),
        3: trouble(503, "x", "y"),
    }
    async with bulk_collector(verdict=lambda one: answers.get(number(one))) as collector:
        await sent(collector, events(1))
        receipt = await sent(collector, events(5))
        assert isinstance(receipt, Receipt)
        assert (set(receipt.rejected), receipt.retry, receipt.duplicates) == ({1}, frozenset({2, 3}), 1)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (trouble(404, "index_not_found_exception", "no such index [logs-x]"), r"no such index \[logs-x\]"),
        (
            trouble(403, "cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/index write (api)];"),
            "blocked by: .FORBIDDEN/8/index write",
        ),
        (
            trouble(403, "security_exception", "action [x] is unauthorized for user [soc] with roles [a]"),
            r"is unauthorized for user \[soc\]",
        ),
        (trouble(401, "security_exception", "missing"), "security_exception"),
        (trouble(400, "index_closed_exception", "closed"), "index_closed_exception"),
        (
            trouble(
                400,
                "validation_exception",
                "this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum",
            ),
            r"\[1000\]/\[1000\]",
        ),
    ],
)
async def test_what_is_wrong_with_the_index_is_for_an_operator(item: dict[str, Any], text: str) -> None:
    async with bulk_collector(verdict=lambda one: item if number(one) == 1 else None) as collector:
        error = await sent(collector, events(3))
        assert isinstance(error, Hold)
        with pytest.raises(Hold, match=text):
            raise error


async def test_an_index_that_does_not_exist_and_may_not_be_made_holds() -> None:
    async with bulk_collector(streams=set()) as collector:
        error = await sent(collector, events(2))
        assert isinstance(error, Hold)
        assert f"no such index [{STREAM}]" in error.reason


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (failed(429, "es_rejected_execution_exception", "full"), Retryable),
        (failed(500, "some_exception", "oh"), Retryable),
        (failed(503, "unavailable_shards_exception", "oh"), Retryable),
        (Reply(502, b"<html>"), Retryable),
        (Reply(200, b"<html>"), Retryable),
        (Reply(200, b""), Retryable),
        (Reply(200, b'{"errors":false,"items":[]}'), Retryable),
        (Reply(200, b'{"errors":false}'), Retryable),
        (Reply(200, b'{"items":[{},{},{}]}'), Retryable),
        (Reply(200, b'{"items":[{"create":{"status":"201"}},{"create":{"status":201}},{}]}'), Retryable),
        (json_reply({"items": [{"create": {"status": 201}}] * 4}), Retryable),
        (Reply(raw=b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"items":['), Retryable),
        (failed(401, "security_exception", "no"), Hold),
        (failed(403, "security_exception", "no"), Hold),
        (failed(404, "index_not_found_exception", "no"), Hold),
        (Reply(405), Hold),
        (Reply(302), Hold),
        (failed(400, "parse_exception", f"cannot read {MAIL}"), Refused),
    ],
)
async def test_answers_to_a_whole_request(reply: Reply, kind: type[DeliveryError]) -> None:
    async with bulk_collector(faults=[reply]) as collector:
        error = await sent(collector, events(3))
        assert isinstance(error, kind)
        assert MAIL not in str(error)


async def test_413_says_that_less_would_do() -> None:
    async with bulk_collector(longest=500) as collector:
        error = await sent(collector, events(20))
        assert isinstance(error, Refused)
        assert error.too_large


@pytest.mark.parametrize("partial", [True, False])
async def test_retry_after_is_obeyed(*, partial: bool) -> None:
    items = [{"create": trouble(429, "x", "y")}, {"create": {"status": 201}}]
    body = {"errors": True, "items": items} if partial else {}
    reply = json_reply(body, 200 if partial else 429, retry_after="45")
    async with bulk_collector(faults=[reply]) as collector:
        found = await sent(collector, events(2))
        after = found.retry_after if isinstance(found, Receipt) else getattr(found, "after", None)
        assert after == 45.0


@pytest.mark.parametrize(
    ("given", "wanted", "secrets"),
    [
        ({"api_key": API_KEY}, f"ApiKey {ENCODED}", [ENCODED, "key-secret"]),
        ({"api_key": ENCODED}, f"ApiKey {ENCODED}", [ENCODED, "key-secret"]),
        ({"username": "soc", "password": "pa:ss"}, "Basic c29jOnBhOnNz", ["pa:ss", "c29jOnBhOnNz"]),
    ],
)
async def test_credentials_are_shown_to_the_cluster_and_to_nobody_else(
    given: dict[str, Any], wanted: str, secrets: list[str]
) -> None:
    async with bulk_collector(authorization=wanted) as collector:
        assert await sent(collector, events(1), **given) == Receipt()
        collector.faults.append(Reply(403, f"no right for {wanted} {' '.join(secrets)}".encode()))
        error = await sent(collector, events(1), **given)
        assert isinstance(error, Hold)
        assert "no right for" in error.reason
        assert not [secret for secret in secrets if secret in error.reason]


async def test_a_rotated_key_is_read_when_the_output_is_opened_again(tmp_path: Path) -> None:
    place = tmp_path / "key"
    place.write_text("old:key")
    async with bulk_collector(authorization=f"ApiKey {ENCODED}") as collector:
        elastic = output(collector.url, api_key=Reference(place.read_text))
        with pytest.raises(Hold, match="does not accept the credentials"):
            await elastic.send(events(1))
        place.write_text(f"{API_KEY}\n")
        await elastic.open()
        await elastic.send(events(1))
        await elastic.close()


async def test_an_index_a_path_before_it_and_plain_requests() -> None:
    async with bulk_collector(indexes={"mail"}) as collector:
        elastic = output(f"{collector.url}/", index="mail", gzip=False)
        await elastic.send(events(1))
        await elastic.close()
        assert collector.server is not None
        [asked] = collector.server.asked
        assert asked.path == "/mail/_bulk"
        action, document = asked.body.splitlines()
        assert json.loads(action) == {"create": {"_id": events(1)[0].revision.identity}}
        assert document == events(1)[0].payload


async def test_a_full_batch_stays_below_five_megabytes_and_is_packed() -> None:
    async with bulk_collector(longest=5_000_000) as collector:
        elastic = output(collector.url)
        limits = elastic.limits
        await elastic.send(events(limits.events, limits.bytes // limits.events))
        await elastic.close()
        assert collector.sizes[0] > 2.8e6
        assert collector.server is not None
        assert gzip.decompress(collector.server.asked[0].body).count(b'"create"') == limits.events


async def test_a_line_break_in_a_document_forges_no_action() -> None:
    forged = dataclasses.replace(
        events(1)[0], payload=b'{"id":"a-1"}\n{"create":{"_id":"forged"}}\n{"id":"b-2"}'
    )
    async with bulk_collector() as collector:
        collector.faults.append(json_reply({"items": [{"create": trouble(400, "parse_exception", MAIL)}]}))
        receipt = await sent(collector, [forged])
        assert isinstance(receipt, Receipt)
        assert receipt.rejected == {0: "400 parse_exception"}
        assert collector.server is not None
        assert gzip.decompress(collector.server.asked[0].body).count(b"\n") == 2


async def test_text_is_a_mistake_in_the_configuration() -> None:
    async with bulk_collector() as collector:
        error = await sent(collector, [dataclasses.replace(events(1)[0], payload=b"CEF:0|")])
        assert isinstance(error, Hold)
        assert "a mapping that produces JSON" in error.reason


async def test_the_next_url_is_used_when_one_fails_and_kept_while_it_works() -> None:
    async with bulk_collector() as first, bulk_collector() as second:
        elastic = output(f"http://127.0.0.1:{free_port()}", first.url, second.url)
        with pytest.raises(Retryable):
            await elastic.send(events(1))
        await elastic.send(events(2))
        first.faults.append(Reply(503))
        with pytest.raises(Retryable):
            await elastic.send(events(3))
        await elastic.send(events(3))
        await elastic.close()
        assert (len(first.stored), len(second.stored)) == (2, 3)


@given(st.binary(max_size=300), st.integers(1, 3))
def test_no_answer_breaks_the_reader(answer: bytes, size: int) -> None:
    outcome(answer, size)


REASONS = st.text(max_size=40) | st.sampled_from([PARSING, "[", "]", "'"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | REASONS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["items", "create", "status", "error", "type", "reason", "caused_by"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON, st.integers(1, 3))
def test_no_shape_breaks_the_reader_and_all_events_are_accounted_for(answer: Any, size: int) -> None:
    found = outcome(json.dumps(answer).encode(), size)
    if found is not None:
        assert found.retry.isdisjoint(found.rejected)
        assert found.retry | found.rejected.keys() <= set(range(size))


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_reason_lets_the_text_of_a_mail_through(before: str, after: str) -> None:
    reason = f"{before} {MAIL} {after} {PARSING} {after}"
    reported = describe(
        {"type": "mapper_parsing_exception", "reason": reason, "caused_by": {"type": MAIL, "reason": MAIL}}
    )
    assert reported == (
        "mapper_parsing_exception: failed to parse field [source.ip] of type [ip], caused by error"
    )


@pytest.mark.parametrize(
    ("kind", "reason", "named"),
    [
        (
            "mapper_parsing_exception",
            "failed to parse field [event.severity] of type [long] in document",
            "event.severity",
        ),
        (
            "document_parsing_exception",
            "[1:23] failed to parse field [a.b] of type [boolean] in document",
            "[a.b]",
        ),
        (
            "mapper_parsing_exception",
            "object mapping for [email] tried to parse field [email] as object, but",
            "[email]",
        ),
        (
            "document_parsing_exception",
            "[1:9] object mapping for [a.b] tried to parse field [b] as object",
            "[a.b]",
        ),
        (
            "illegal_argument_exception",
            "can't merge a non object mapping [a.b] with an object mapping",
            "[a.b]",
        ),
        (
            "illegal_argument_exception",
            "mapper [a.score] cannot be changed from type [long] to [float]",
            "[a.score]",
        ),
        (
            "strict_dynamic_mapping_exception",
            "mapping set to strict, dynamic introduction of [x] within [a.b] is not allowed",
            "[x]",
        ),
        (
            "mapper_parsing_exception",
            "Could not dynamically add mapping for field [a.b]. Existing mapping for [a] must be",
            "[a.b]",
        ),
        (
            "parse_exception",
            "The depth of the field has exceeded the allowed limit of [20]. This limit can be set",
            "[20]",
        ),
        (
            "illegal_argument_exception",
            "Limit of mapping depth [20] has been exceeded due to object field [a.b]",
            "[a.b]",
        ),
        (
            "illegal_argument_exception",
            "object field starting or ending with a [.] makes object resolution ambiguous: [a..b]",
            "[a..b]",
        ),
        ("illegal_argument_exception", "field name cannot be an empty string", "empty"),
        ("illegal_state_exception", "Can't get text on a START_OBJECT at 1:23", "START_OBJECT"),
    ],
)
def test_every_refusal_of_a_field_names_it(kind: str, reason: str, named: str) -> None:
    """Texts of Elasticsearch 8 and 9 and of OpenSearch 2 and 3."""
    text = describe({"type": kind, "reason": f"{reason}: '{MAIL}'"})
    assert named in text
    assert MAIL not in text
    assert "bonus" not in text
