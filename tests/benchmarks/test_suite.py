"""The suite measures and reports; how fast anything is, only the gate says, with wide margins."""

import asyncio
from io import StringIO

import orjson
import pytest
from rich.console import Console

from tests.benchmarks import plot
from tests.benchmarks.collector import Http, taken
from tests.benchmarks.delivering import KINDS, delivering
from tests.benchmarks.figures import Budget, Report, as_json, at_least, at_most, table
from tests.benchmarks.gate import LEAST, slow


def quiet() -> Report:
    report = Report(Console(quiet=True))
    report.floor = 10.0
    return report


def test_a_ratio_is_the_floor_beside_the_time_of_a_record() -> None:
    figure = quiet().cost("end to end", "HEC", 40.0, at_least(0.25))

    assert figure.ratio == pytest.approx(0.25)
    assert figure.met


@pytest.mark.parametrize(
    ("budget", "value", "met"),
    [
        (at_most(120), 119.0, True),
        (at_most(120), 121.0, False),
        (Budget(0.8, of="value"), 0.9, True),
        (Budget(0.8, of="value"), 0.7, False),
        (at_least(0.2), 5.0, False),
    ],
)
def test_a_budget_is_kept_or_not(budget: Budget, value: float, met: bool) -> None:
    assert quiet().add("any", "any", value, "MiB", budget=budget).met is met


def test_a_measurement_that_fails_is_reported_and_the_others_go_on() -> None:
    report = quiet()
    with report.step("backlog"):
        raise OSError
    report.add("running", "idle", 0.1, "%")

    failed, idle = orjson.loads(as_json(report.figures))["figures"]
    assert (failed["name"], failed["unit"], failed["met"]) == ("failed", "OSError", False)
    assert (idle["name"], idle["met"]) == ("idle", None)


def test_the_table_shows_every_figure_with_its_verdict() -> None:
    report = quiet()
    report.add("running", "memory", 130.0, "MiB", budget=at_most(120))
    report.cost("mapping", "ecs", 20.0, at_least(0.5))
    console = Console(record=True, width=120, file=StringIO())

    console.print(table(report.figures))

    text = console.export_text()
    assert "130 " in text
    assert "missed" in text
    assert "≥ 0.5" in text


def test_the_plot_is_a_drawing_with_its_limit() -> None:
    drawn = plot.line("Memory", "MiB", [0, 1, 2], [60, 90, 91], limit=120, across="seconds")

    assert drawn.startswith("<svg")
    assert drawn.count("polyline") == 1
    assert "stroke-dasharray" in drawn


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def is_closing(self) -> bool:
        return False


@pytest.mark.parametrize(("kind", "body", "count"), [("hec", b"{}\n{}", 2), ("bulk", b"{}\n{}\n", 1)])
def test_the_collector_counts_what_it_takes_however_it_comes_in(kind: str, body: bytes, count: int) -> None:
    taken.clear()
    wire, collector = Wire(), Http("siem", kind, 0.0)
    collector.connection_made(wire)

    request = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    for piece in (request[:20], request[20:] + request[:7], request[7:]):
        collector.data_received(piece)

    assert taken["siem"] == 2 * count
    assert wire.sent.count(b"200 OK") == 2


def test_the_gate_names_what_is_too_slow_and_what_was_not_measured() -> None:
    fast = dict.fromkeys(LEAST, 100.0)

    assert slow(fast) == []
    assert [line.partition(":")[0] for line in slow({**fast, "ecs": 0.01})] == ["ecs"]
    assert len(slow({})) == len(LEAST)


@pytest.mark.slow
def test_delivery_is_measured_for_every_kind_of_collector() -> None:
    report = quiet()
    delivering(report, rounds=1)

    assert [figure.name.rpartition(", ")[2] for figure in report.figures] == list(KINDS)
    assert all(figure.value > 0 for figure in report.figures)
