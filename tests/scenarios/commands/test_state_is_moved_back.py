"""An operator rewinds one output, or has a search forgotten: what was delivered comes again, as told."""

from __future__ import annotations

from pathlib import Path

from tests.scenarios.commands.two_outputs import ids, output, site
from tests.support.process import until


def test_a_rewound_output_gets_it_again_and_the_other_does_not(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        everything = here.expected
        with here.daemon() as connector:
            until(lambda: len(here.siem.events) >= len(everything), "everything in the SIEM")
            until(lambda: len(here.lake.events) >= len(everything), "everything in the lake")
            until(lambda: output(connector, "siem")["backlog"] == 0, "its position")
            refused, _, why = here.operator("state", "rewind", "siem", "--to", "0")
            assert refused == 2
            assert f"{len(everything)} revisions will be sent again" in why
            assert "add --yes" in why
            assert len(here.siem.events) == len(everything)

            assert here.operator("state", "rewind", "siem", "--to", "1h", "--yes")[0] == 0
            until(lambda: len(here.siem.events) >= 2 * len(everything), "everything again")
            until(lambda: output(connector, "siem")["backlog"] == 0, "its position again")
            assert "output_rewound" in "".join(connector.logs)
            assert connector.terminate() == 0

        code, _, reported = here.operator(
            "state", "rewind", "siem", "--to", str(len(everything) - 1), "--yes"
        )
        assert code == 0, reported
        assert "1 revision will be sent again when the connector starts" in reported
        with here.daemon() as connector:
            until(lambda: len(here.siem.events) > 2 * len(everything), "the last one once more")
            until(lambda: output(connector, "siem")["backlog"] == 0, "its position at last")
            assert connector.terminate() == 0

        assert len(here.siem.events) == 2 * len(everything) + 1
        assert sorted({*ids(here.siem)}) == everything
        assert ids(here.lake) == everything


def test_a_forgotten_search_starts_anew_while_it_runs(tmp_path: Path) -> None:
    with site(tmp_path) as here:
        everything = here.expected
        with here.daemon() as connector:
            until(lambda: len(here.lake.events) >= len(everything), "everything in the lake")
            until(connector.ready, "readiness")
            before = here.state()

            code, _, reported = here.operator("state", "forget", "everything", "--yes")
            assert code == 0, reported
            assert f"{len(everything)} seen records" in reported
            until(lambda: len(here.lake.events) >= 2 * len(everything), "everything again in the lake")
            until(lambda: len(here.siem.events) >= 2 * len(everything), "everything again in the SIEM")
            until(lambda: connector.status()["journal"]["seen"] == len(everything), "its seen rows")
            after = here.state()
            assert connector.terminate() == 0

        assert ids(here.lake) == sorted(2 * everything)
        assert ids(here.siem) == sorted(2 * everything)
        (feed,) = after["feeds"]
        assert feed["account_name"] == "prod"
        assert feed["gaps"] == []
        assert feed["checkpoints"]["live"] > before["feeds"][0]["checkpoints"]["live"]
        assert not any("worker_failed" in line for line in connector.logs)
