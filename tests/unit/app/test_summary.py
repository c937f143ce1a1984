"""The periodic line in the log says what the last minutes brought, and what is wrong first."""

from __future__ import annotations

from typing import Any

from connector.app.summary import summarize


def feed(search: str, records: int, changes: int = 0, state: str = "fresh") -> dict[str, Any]:
    return {"account": "a", "search": search, "state": state, "records": records, "changes": changes}


def output(name: str, sent: int, **more: Any) -> dict[str, Any]:
    normal = {"filtered": 0, "backlog": 0, "dead_letters": 0, "state": "working"}
    return {"output": name, "sent": sent, **normal, **more}


def snapshot(
    feeds: list[dict[str, Any]], outputs: list[dict[str, Any]], *, ready: bool = True
) -> dict[str, Any]:
    return {"ready": ready, "feeds": feeds, "outputs": outputs}


def test_it_counts_what_came_between_two_snapshots() -> None:
    before = snapshot([feed("all", 100, 7)], [output("siem", 107, filtered=3)])
    now = snapshot(
        [feed("all", 130, 9), feed("new", 5, state="behind")],
        [output("siem", 139, filtered=4, backlog=2), output("lake", 20, dead_letters=1)],
        ready=False,
    )

    line = summarize(before, now, 900.0)

    assert (line.seconds, line.ready, line.fresh, line.new, line.changed) == (900.0, False, "1 of 2", 35, 2)
    assert line.outputs == (
        "siem: sent 32, filtered 1, backlog 2",
        "lake: sent 20, backlog 0, 1 dead letter",
    )


def test_outputs_in_trouble_come_first_and_a_long_list_is_cut() -> None:
    many = [output(f"o{number}", 0) for number in range(30)]
    many[29]["state"] = "held"

    line = summarize(snapshot([], many), snapshot([], many), 60.0)

    assert line.outputs[0] == "o29: sent 0, backlog 0, held"
    assert (len(line.outputs), line.outputs[-1]) == (21, "and 10 more outputs")


def test_a_journal_not_looked_at_yet_has_no_backlog() -> None:
    outputs = [output("siem", 0, backlog=None)]

    assert summarize(snapshot([], outputs), snapshot([], outputs), 60.0).outputs == ("siem: sent 0",)
