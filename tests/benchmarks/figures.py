"""What a benchmark reports: figures, their budgets, a table for people and JSON for machines."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from rich.console import Console
from rich.table import Table

Kind = Literal["value", "ratio"]


@dataclass(frozen=True)
class Budget:
    """What is promised: *least* or *most*, of the ratio or of the value."""

    limit: float
    of: Kind = "ratio"
    least: bool = True

    def met(self, value: float, ratio: float | None) -> bool:
        """Whether the promise is kept."""
        measured = ratio if self.of == "ratio" else value
        if measured is None:
            return False
        return measured >= self.limit if self.least else measured <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.least else '≤'} {self.limit:g}"


def at_least(ratio: float) -> Budget:
    """A budget of a ratio to the floor."""
    return Budget(ratio)


def at_most(value: float) -> Budget:
    """A budget of a value."""
    return Budget(value, of="value", least=False)


@dataclass(frozen=True)
class Figure:
    """One measured thing. *ratio* is the floor's time by its own; more is faster."""

    group: str
    name: str
    value: float
    unit: str
    ratio: float | None = None
    budget: Budget | None = None

    @property
    def met(self) -> bool | None:
        """Whether its budget is kept; ``None`` without one."""
        return None if self.budget is None else self.budget.met(self.value, self.ratio)


class Report:
    """Figures as they come in: shown at once, kept for the end."""

    def __init__(self, console: Console | None = None) -> None:
        self.figures: list[Figure] = []
        self._console = console or Console(stderr=True, highlight=False)
        self.floor = 0.0

    def add(
        self, group: str, name: str, value: float, unit: str,
        *, ratio: float | None = None, budget: Budget | None = None,
    ) -> Figure:  # fmt: skip
        """Keep one figure and say it."""
        figure = Figure(group, name, value, unit, ratio, budget)
        self.figures.append(figure)
        reported = f"  {group}: {name}: {_number(value)} {unit}"
        self._console.print(reported if ratio is None else f"{reported}, {ratio:.3f} of the floor")
        return figure

    def cost(self, group: str, name: str, microseconds: float, budget: Budget | None = None) -> Figure:
        """Keep a time per record, with its ratio to the floor."""
        return self.add(
            group, name, microseconds, "µs/record", ratio=self.floor / microseconds, budget=budget
        )

    @contextmanager
    def step(self, group: str) -> Iterator[None]:
        """Do something for *group*; what goes wrong is told, and the rest goes on."""
        self._console.print(f"[bold]{group}[/bold]")
        try:
            yield
        except Exception as error:  # noqa: BLE001, one broken measurement must not cost the others
            self._console.print(f"[red]  {group}: {type(error).__name__}: {error}[/red]")
            self.figures.append(Figure(group, "failed", 0.0, type(error).__name__, budget=Budget(1.0)))


def table(figures: Sequence[Figure]) -> Table:
    """*figures* for people."""
    made = Table("what", "value", "unit", "of the floor", "budget", "", title="cloudflare-email-connector")
    for column in (1, 3, 4):
        made.columns[column].justify = "right"
    group = ""
    for figure in figures:
        if figure.group != group:
            group = figure.group
            made.add_section()
            made.add_row(f"[bold]{group}[/bold]")
        verdict = {None: "", True: "[green]met[/green]", False: "[red]missed[/red]"}[figure.met]
        ratio = "" if figure.ratio is None else f"{figure.ratio:.3f}"
        budget = "" if figure.budget is None else str(figure.budget)
        made.add_row(f"  {figure.name}", _number(figure.value), figure.unit, ratio, budget, verdict)
    return made


def as_json(figures: Sequence[Figure], **about: Any) -> bytes:
    """*figures* for machines, with what they depend on."""
    rows = [
        {
            "group": figure.group,
            "name": figure.name,
            "value": round(figure.value, 4),
            "unit": figure.unit,
            "ratio": None if figure.ratio is None else round(figure.ratio, 4),
            "budget": None if figure.budget is None else str(figure.budget),
            "met": figure.met,
        }
        for figure in figures
    ]
    head = {"python": platform.python_version(), "machine": platform.machine(), "orjson": orjson.__version__}
    return orjson.dumps({**head, **about, "figures": rows}, option=orjson.OPT_INDENT_2) + b"\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
