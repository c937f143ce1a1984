"""What each of Splunk's codes leads to, and every answer that is none of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import DeliveryError, Hold, Refused, Retryable
from connector.model import Receipt
from connector.outputs.splunk_hec.codes import CODES, CodeClass, read
from connector.testing.outputs import events
from tests.support.hec_collector import TEXTS, TOKEN, hec_collector, reported
from tests.support.scripted_http import Reply, json_reply
from tests.unit.outputs.test_splunk_hec_requests import output

ACCEPTED = {0, 17, 24, 25}
RETRY = {8, 9, 18, 19, 20, 23, 26, 27}
REFUSED = {5, 6, 12, 13, 15}
HOLD = set(range(28)) - ACCEPTED - RETRY - REFUSED


async def outcome(reply: Reply, size: int = 3, **options: Any) -> Receipt | DeliveryError:
    async with hec_collector(faults=[reply]) as collector:
        splunk = output(collector.url, **options)
        try:
            return await splunk.send(events(size))
        except DeliveryError as error:
            return error
        finally:
            await splunk.close()


def test_every_documented_code_has_a_meaning() -> None:
    assert set(CODES) == set(TEXTS) == set(range(28))


@pytest.mark.parametrize("code", sorted(RETRY))
async def test_what_may_pass_is_sent_again(code: int) -> None:
    error = await outcome(reported(code))
    assert isinstance(error, Retryable)
    assert f"code {code}" in error.reason


@pytest.mark.parametrize("code", sorted(HOLD))
async def test_what_only_an_operator_can_change_holds_and_says_what_to_do(code: int) -> None:
    error = await outcome(reported(code))
    assert isinstance(error, Hold)
    assert f"code {code}" in error.reason
    assert ";" in error.reason


@pytest.mark.parametrize("code", sorted(REFUSED))
async def test_a_refused_event_is_named_as_far_as_splunk_names_it(code: int) -> None:
    error = await outcome(reported(code, **{"invalid-event-number": 2}))
    assert isinstance(error, Refused)
    assert error.suspect == 2


@pytest.mark.parametrize("number", [3, -1, "1", None, 1.5, True])
async def test_a_number_that_names_no_event_is_not_believed(number: object) -> None:
    error = await outcome(reported(6, **{"invalid-event-number": number}))
    assert isinstance(error, Refused)
    assert error.suspect is None


@pytest.mark.parametrize(("code", "busy"), [(0, False), (24, True), (25, True)])
async def test_a_collector_that_is_nearly_full_is_given_time(code: int, *, busy: bool) -> None:
    assert await outcome(reported(code)) == Receipt(busy=busy)


async def test_retry_after_is_obeyed_with_a_code() -> None:
    full = reported(26)
    error = await outcome(Reply(full.status, full.body, {"retry-after": "90"}))
    assert isinstance(error, Retryable)
    assert error.after == 90.0


async def test_an_answer_that_repeats_the_token_does_not_get_it_into_an_error() -> None:
    error = await outcome(Reply(400, f"bad header: Splunk {TOKEN}".encode()))
    assert isinstance(error, Refused)
    assert "bad header" in error.reason
    assert TOKEN not in f"{error} {error!r}"


async def test_a_wrong_index_is_for_an_operator_because_all_events_share_it() -> None:
    async with hec_collector() as collector:
        splunk = output(collector.url, index="nowhere")
        with pytest.raises(Hold, match="index does not exist"):
            await splunk.send(events(2))
        await splunk.close()


async def test_a_wrong_index_is_the_matter_of_the_events_that_have_one_of_their_own() -> None:
    async with hec_collector(indexes=frozenset({"mail", "alerts"})) as collector:
        splunk = output(
            collector.url, index="mail", indexes={"email.mal*": "nowhere", "connector.*": "alerts"}
        )
        mixed = [dataclasses.replace(event, code="email.spam") for event in events(4)]
        mixed[2] = dataclasses.replace(mixed[2], code="email.malicious")
        with pytest.raises(Refused, match="code 7") as caught:
            await splunk.send(mixed)
        assert caught.value.suspect == 2
        beat = dataclasses.replace(mixed[0], code="connector.heartbeat")
        assert await splunk.send([mixed[0], beat]) == Receipt()
        assert [one["index"] for one in collector.events] == ["mail", "alerts"]
        await splunk.close()


async def test_the_index_that_all_others_share_is_still_for_an_operator() -> None:
    async with hec_collector(indexes=frozenset({"alerts"})) as collector:
        splunk = output(collector.url, index="nowhere", indexes={"email.mal*": "alerts"})
        with pytest.raises(Hold, match="index does not exist"):
            await splunk.send([dataclasses.replace(event, code="email.spam") for event in events(2)])
        assert await splunk.send(events(2)) == Receipt()
        await splunk.close()


async def test_413_says_that_less_would_do() -> None:
    for reply in (Reply(413), json_reply({"text": "too long", "code": 6}, 413)):
        error = await outcome(reply)
        assert isinstance(error, Refused)
        assert error.too_large


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (json_reply({"text": "new in some version", "code": 99}, 503), Retryable),
        (json_reply({"text": "new in some version", "code": 99}, 403), Hold),
        (json_reply({"text": "Success", "code": 0}, 500), Retryable),
        (Reply(502, b"<html>bad gateway</html>"), Retryable),
        (Reply(404, b"not here"), Hold),
        (Reply(400, b""), Refused),
        (Reply(303, headers={"location": "/en-US/account/login"}), Hold),
        (Reply(200, b"<!doctype html><title>Sign in</title>"), Hold),
        (json_reply({"text": "Server is busy", "code": 9}, 200), Retryable),
    ],
)
async def test_an_answer_without_a_known_code_goes_by_its_status(
    reply: Reply, kind: type[DeliveryError]
) -> None:
    assert isinstance(await outcome(reply), kind)


@pytest.mark.parametrize(
    "reply",
    [
        *(
            Reply(200, body)
            for body in (b"", b"OK", b'"OK"', b"[]", b"{}", b'{"ok":true}', b'{"text":"queued"}')
        ),
        Reply(204),
        Reply(202, b'{"code": 99}'),
    ],
)
async def test_a_success_without_the_reply_of_splunk_is_no_delivery(reply: Reply) -> None:
    error = await outcome(reply)
    assert isinstance(error, Hold)
    assert "without HEC's success reply" in error.reason


@pytest.mark.parametrize("body", [b'{"text":"Success"}', b'{"text":"success","ackId":7}', b'{"code":0}'])
async def test_collectors_that_imitate_splunk_may_be_brief(body: bytes) -> None:
    assert await outcome(Reply(200, body)) == Receipt()


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_body_breaks_the_reader(body: bytes) -> None:
    read(body)


@given(
    st.dictionaries(
        st.sampled_from(["code", "ackId", "invalid-event-number", "acks"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers()),
    )
)
def test_only_numbers_count_as_numbers(body: dict[str, object]) -> None:
    found = read(json_reply(body).body)
    for value in (found.code, found.ack_id, found.suspect):
        assert value is None or (type(value) is int and value >= 0)
    assert found.acks is None


def test_classes_agree_with_this_page() -> None:
    of = {kind: {code for code, (found, _) in CODES.items() if found is kind} for kind in CodeClass}
    assert of[CodeClass.ACCEPTED] | of[CodeClass.SLOW] == ACCEPTED
    assert (of[CodeClass.RETRY], of[CodeClass.HOLD], of[CodeClass.REFUSED]) == (RETRY, HOLD, REFUSED)
