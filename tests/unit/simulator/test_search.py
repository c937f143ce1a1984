"""Every parameter of the search means what is documented, and nonsense is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.simulator import Simulator
from connector.simulator.values import micros, zoned
from tests.unit.simulator.client import EVERYTHING, START, Client, Clock


def _at(**before: float) -> str:
    return zoned(micros(START - timedelta(**before)))


def test_the_envelope_is_the_documented_one(client: Client) -> None:
    page = client.search()

    assert page.status == 200
    assert page.headers["content-type"] == "application/json"
    assert list(page.json) == ["errors", "messages", "result", "result_info", "success"]
    assert page.json["errors"] == page.json["messages"] == []
    assert page.json["success"] is True
    info = page.json["result_info"]
    assert {**info, "next": None} == {
        "count": 20, "per_page": 20, "page": 0, "total_count": 0, "next": None, "previous": None,
    }  # fmt: skip


def test_by_default_there_are_20_detections_of_the_last_30_days(client: Client, simulator: Simulator) -> None:
    old = simulator.world.add(scanned_at=START - timedelta(days=31), final_disposition="SPAM")
    recent = simulator.world.add(scanned_at=START - timedelta(days=29), final_disposition="SPAM")

    found = client.walk()

    assert len(client.search().ids) == 20
    assert set(found) == simulator.ledger.ids({}) - {old}
    assert recent in found
    assert old not in found


def test_clean_mail_needs_detections_only_false(client: Client, simulator: Simulator) -> None:
    everything = [record for page in client.pages(**EVERYTHING) for record in page.json["result"]]
    detected = client.walk(per_page="1000")

    assert len(everything) == 300
    assert set(detected) == {
        one["id"] for one in everything if one["final_disposition"] not in ("NONE", None)
    }


@pytest.mark.parametrize("disposition", ["MALICIOUS", "SUSPICIOUS", "SPOOF", "SPAM", "BULK", "NONE"])
def test_final_disposition_finds_one_class(client: Client, disposition: str) -> None:
    page = client.search(**EVERYTHING, final_disposition=disposition)

    assert page.ids
    assert {one["final_disposition"] for one in page.json["result"]} == {disposition}


def test_malicious_finds_fraud_only_when_switched_so(
    client: Client, simulator: Simulator, clock: Clock
) -> None:
    fraud = simulator.world.add(final_disposition="MALICIOUS-BEC")
    clock.forward(seconds=1)
    assert fraud not in client.walk(final_disposition="MALICIOUS")
    simulator.behaviour.malicious_includes_bec = True
    assert fraud in client.walk(final_disposition="MALICIOUS")


@pytest.mark.parametrize(
    ("parameter", "value", "fields"),
    [
        ("subject", "INVOICE your", {"subject": "Re: your overdue Invoice"}),
        ("sender", "evil@example.net", {"from": '"Boss" <Evil@example.net>'}),
        ("sender", "example.net", {"envelope_from": "bounce@example.net"}),
        ("recipient", "ceo@corp.example", {"client_recipients": ["ceo@corp.example"]}),
        ("recipient", "CORP.example", {"to": ["ceo@corp.example"]}),
        ("domain", "example.org", {"from": "a@mail.example.org"}),
        ("message_id", "<x.1@example.com>", {"message_id": "<x.1@example.com>"}),
        ("alert_id", "4Njp3P-2022-12-30T02:44:49", {"alert_id": "4Njp3P-2022-12-30T02:44:49"}),
        ("smtp_helo_ip", "2001:db8::beef", {"smtp_helo_server_ip": "2001:db8::beef"}),
        ("delivery_status", "move_failed", {"delivery_status": ["delivered", "move_failed"]}),
        ("message_action", "QUARANTINE_RELEASED", {"post_delivery_operations": ["QUARANTINE_RELEASE"]}),
        ("query", "unheard-of CEO@", {"subject": "Unheard-of offer", "to": ["ceo@corp.example"]}),
    ],
)  # fmt: skip
def test_each_filter_finds_what_it_names(parameter: str, value: str, fields: dict[str, object]) -> None:
    """One record that matches, one that does not, and unchanged mail beside them."""
    simulator = Simulator(clock=Clock())
    blank = {
        "final_disposition": "SPAM", "from": "x@partner.example", "envelope_from": "x@partner.example",
        "to": ["y@eu.example"], "envelope_to": None, "client_recipients": ["y@eu.example"], "subject": "none",
        "delivery_status": None, "post_delivery_operations": None, "smtp_helo_server_ip": None,
        "alert_id": None,
    }  # fmt: skip
    wanted = simulator.world.add({**blank, **fields})
    other = simulator.world.add(blank)

    found = simulator.ledger.ids({parameter: value})

    assert wanted in found
    assert other not in found


def test_filters_on_what_each_message_has_of_its_own(client: Client) -> None:
    one = next(record for record in client.search().json["result"] if record["alert_id"])

    assert client.walk(message_id=one["message_id"]) == [one["id"]]
    assert client.walk(alert_id=one["alert_id"]) == [one["id"]]
    assert client.walk(query=one["message_id"]) == [one["id"]]


def test_the_range_is_half_open_unless_switched(client: Client, simulator: Simulator) -> None:
    edge = simulator.world.add(scanned_at=START - timedelta(days=3), final_disposition="SPAM")
    before, at = {"start": _at(days=4), "end": _at(days=3)}, {"start": _at(days=3), "end": _at(days=2)}
    assert (client.walk(**before), client.walk(**at)) == ([], [edge])
    simulator.behaviour.end = "inclusive"
    assert client.walk(**before) == [edge]
    simulator.behaviour.start = "exclusive"
    assert client.walk(**at) == []


def test_whole_seconds_cut_the_fractions_of_the_range(client: Client, simulator: Simulator) -> None:
    moment = START - timedelta(days=3) + timedelta(milliseconds=200)
    edge = simulator.world.add(scanned_at=moment, final_disposition="SPAM")
    asked = {"start": zoned(micros(moment + timedelta(milliseconds=300))), "end": _at(days=2)}
    assert client.walk(**asked) == []
    simulator.behaviour.granularity = "second"
    assert client.walk(**asked) == [edge]


def test_the_range_can_mean_the_time_of_sending(client: Client, simulator: Simulator) -> None:
    ahead = START + timedelta(hours=1)
    odd = simulator.world.add(sent_at=ahead, scanned_at=START - timedelta(hours=9), final_disposition="SPAM")
    scanned = {"start": _at(hours=10), "end": _at(hours=8)}
    assert client.walk(**scanned) == [odd]
    simulator.behaviour.filter_on = "sent_at"
    assert client.walk(**scanned) == []
    assert client.walk(start=_at(hours=0), end=_at(hours=-2)) == [odd]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("final_disposition", "MALICIOUS-BEC"), ("final_disposition", "malicious"), ("final_disposition", ""),
        ("delivery_status", "lost"), ("message_action", "SUBMITTED"), ("detections_only", "yes"),
        ("per_page", "0"), ("per_page", "1001"), ("per_page", "ten"), ("per_page", "-1"),
        ("start", "2026-11-01"), ("start", "2026-11-01T00:00:00"), ("start", "2026-11-01T00:00:00 00:00"),
        ("start", "2026-13-01T00:00:00Z"), ("end", "now"), ("start", "2026-11-20T12:00:01Z"),
        ("end", "2020-01-01T00:00:00Z"), ("cursor", "never-issued"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(client: Client, name: str, value: str) -> None:
    page = client.search(**{name: value})

    assert page.status == 400
    assert page.json["success"] is False
    assert page.json["result"] is None
    assert page.json["errors"][0]["code"] >= 1000


def test_a_parameter_given_twice_is_refused(client: Client) -> None:
    path = "/accounts/023e105f4ecef8ad9ca31a8372d0c353/email-security/investigate"

    assert client.send(f"{path}?final_disposition=SPAM&final_disposition=BULK").status == 400


def test_times_with_offsets_and_fractions_are_understood(client: Client) -> None:
    assert client.search(start="2026-11-20T00:00:00+00:00", end="2026-11-20T13:00:00.500+01:00").status == 200


def test_a_start_in_the_future_can_be_an_empty_answer(client: Client, simulator: Simulator) -> None:
    simulator.behaviour.start_in_future = "empty"
    page = client.search(start=_at(hours=-1), end=_at(hours=-2))

    assert (page.status, page.ids) == (200, [])


def test_page_is_ignored_and_unknown_parameters_by_switch(client: Client, simulator: Simulator) -> None:
    plain = client.search(per_page="5").ids
    assert client.search(per_page="5", page="2").ids == plain
    assert client.search(per_page="5", brand_new="1").ids == plain
    simulator.behaviour.unknown_parameter = "refused"
    assert client.search(per_page="5", brand_new="1").status == 400
    simulator.behaviour.invalid_status = 422
    assert client.search(per_page="5", brand_new="1").status == 422


def test_the_spring_parameters_work_in_the_spring_only(
    client: Client, simulator: Simulator, clock: Clock
) -> None:
    own = simulator.world.add(
        subject="just this", final_disposition="SPAM", is_phish_submission=True,
        post_delivery_operations=["SUBMISSION"], action_log=[{"operation": "SUBMISSION"}],
    )  # fmt: skip
    clock.forward(seconds=1)
    assert len(client.walk(exact_subject="just this", per_page="1000")) > 1
    simulator.behaviour.era = "reference"
    assert client.walk(exact_subject="just this") == [own]
    assert client.walk(message_action="SUBMITTED") == [own]
    assert own in client.walk(submissions="true")
    assert client.search(exact_subject="just this").json["result"][0]["action_log"]
    assert not client.search(exact_subject="just this", action_log="false").json["result"][0]["action_log"]


@pytest.mark.parametrize(("era", "fields"), [("reference", 31), ("current", 35), ("sunset", 32)])
def test_the_eras_show_their_fields(
    client: Client, simulator: Simulator, clock: Clock, era: str, fields: int
) -> None:
    own = simulator.world.add(subject="with a state of its own")
    clock.forward(seconds=1)
    page = client.simulate(f"era={era}").search(**EVERYTHING)

    assert {len(one) for one in page.json["result"]} == {fields}
    assert own in page.ids
    assert ("total_count" in page.json["result_info"]) is (era != "sunset")
    assert simulator.behaviour.era == "current"


def test_retention_hides_old_records_or_refuses(client: Client, simulator: Simulator) -> None:
    old = simulator.world.add(scanned_at=START - timedelta(days=20), final_disposition="SPAM")
    assert old in client.walk()
    simulator.behaviour.retention = timedelta(days=10)
    assert old not in client.walk()
    simulator.behaviour.beyond_retention = "refused"
    assert client.search(start=_at(days=20)).status == 400
    assert client.search(start=_at(days=9)).status == 200
