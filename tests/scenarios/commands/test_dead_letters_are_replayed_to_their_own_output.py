"""A collector refuses some mail; once it is repaired, an operator replays exactly that, to it alone."""

from __future__ import annotations

import json
from pathlib import Path

from tests.scenarios.commands.two_outputs import ids, output, site
from tests.support.process import until


def test_beside_a_running_connector(tmp_path: Path) -> None:
    with site(tmp_path) as here, here.daemon() as connector:
        bad = here.bury(connector, 3)
        letters = here.letters()
        shown, document, _ = here.operator("deadletters", "show", str(letters[0]["number"]))

        assert shown == 0
        assert sorted(letter["id"] for letter in letters) == bad
        assert {(letter["output"], letter["reason"]) for letter in letters} == {("siem", "refused")}
        whole = json.loads(document)
        assert "400" in whole["answer"]
        assert whole["revision"]["account_name"] == "prod"
        assert whole["revision"]["record"] == here.simulator.ledger.body(letters[0]["id"])

        here.siem.refuse = lambda _: False
        assert here.operator("deadletters", "replay", "--output", "siem")[0] == 0
        until(lambda: len(here.siem.events) >= len(here.expected), "the replayed ones")
        until(lambda: output(connector, "siem")["dead_letters"] == 0, "no dead letters")
        until(lambda: output(connector, "lake")["backlog"] == 0, "the end of the lake's backlog")
        assert connector.terminate() == 0

        assert ids(here.siem) == here.expected
        assert ids(here.lake) == here.expected
        assert "dead_letters_replayed" in "".join(connector.logs)


def test_without_a_connector_they_wait_in_the_journal_for_the_next_start(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        with here.daemon() as connector:
            bad = here.bury(connector, 3)
            assert connector.terminate() == 0
        here.siem.refuse = lambda _: False
        letters = here.letters()
        replayed, purged, kept = (letter["number"] for letter in letters)

        code, _, reported = here.operator("deadletters", "replay", str(replayed))
        assert code == 0, reported
        assert "when the connector starts" in reported
        assert here.operator("deadletters", "purge", str(purged), "--yes")[0] == 0

        assert [letter["number"] for letter in here.letters()] == [kept]
        with here.daemon() as connector:
            until(lambda: len(here.siem.events) == len(here.expected) - 2, "the replayed one")
            assert connector.terminate() == 0
        assert ids(here.siem) == sorted({*here.expected} - {*bad} | {letters[0]["id"]})
        assert ids(here.lake) == here.expected


def test_after_a_mapping_is_corrected_a_replay_delivers_exactly_the_dead_lettered_ones(
    tmp_path: Path,
) -> None:
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    mine = mappings / "mine.yaml"

    def write(kind: str) -> None:
        rule = f"{{const: {kind}, when: {{final_disposition: [SPAM, SPOOF]}}}}"
        mine.write_text(f"mapping: 1\nextends: ecs\nfields: {{labels.kind: {rule}}}\n")

    with site(tmp_path) as here:
        file = tmp_path / "connector.yaml"
        text = file.read_text().replace("mapping: ecs", "mapping: mine", 1)
        file.write_text(f"{text}mappings: {{directory: {mappings}}}\n")
        write("wrong")
        here.siem.refuse = lambda event: event.get("labels", {}).get("kind") == "wrong"
        with here.daemon() as connector:
            until(lambda: len(here.lake.events) >= len(here.expected), "everything in the lake")
            until(lambda: output(connector, "siem")["backlog"] == 0, "the end of the backlog")
            assert connector.terminate() == 0
        bad = {letter["id"] for letter in here.letters()}
        before = ids(here.siem)
        assert 0 < len(bad) < len(here.expected)
        assert before == sorted({*here.expected} - bad)

        write("right")
        with here.daemon() as connector:
            assert here.operator("deadletters", "replay", "--all")[0] == 0
            until(lambda: len(here.siem.events) >= len(here.expected), "the replayed ones")
            until(lambda: output(connector, "siem")["backlog"] == 0, "the end of the replay")
            assert connector.terminate() == 0

        replayed = here.siem.events[len(before) :]
        assert {event["event"]["id"] for event in replayed} == bad
        assert {event["labels"]["kind"] for event in replayed} == {"right"}
        assert ids(here.siem) == ids(here.lake) == here.expected
        assert here.letters() == []
