"""Reports of the ``mapping`` commands: findings, explanations and coverage, as text and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from connector.cli.terminal import sanitize
from connector.errors import Position, Problem
from connector.mapping import REST, Coverage, Explanation, Pack, TargetExplanation
from connector.mapping.tools.explain import ChosenRules
from connector.ops.mapping_tools import Usage

_WIDEST = 44
"""Columns for the name of a target: with the counts behind it, a report fits 80 columns."""


def finding(level: str, problem: Problem) -> str:
    """One finding with its position, and the source line with a caret below."""
    line = f"{_short(problem.position)}{level}: {problem.message}"
    hint = f" ({problem.hint})" if problem.hint else ""
    return sanitize_lines([line + hint, *_excerpt(problem.position)])


def finding_json(level: str, problem: Problem) -> str:
    """One finding as a JSON object."""
    at = problem.position
    place = {} if at is None else {"file": at.file, "line": at.line, "column": at.column}
    return _json({"level": level, **place, "message": problem.message, "hint": problem.hint or None})


def explanation(explained: Explanation, shown: Sequence[TargetExplanation], *, whole: bool) -> str:
    """Targets, each with rule, inputs and result; with *whole*, also the event's metadata and rest."""
    lines = [line for one in shown for line in (*_target(one), "")]
    if whole:
        lines += _remainder(explained)
    return "".join(f"{line}\n" for line in lines)


def targets_json(shown: Iterable[TargetExplanation]) -> Iterator[str]:
    """One JSON object per target."""
    for one in shown:
        yield _json(
            {
                "target": one.target,
                "value": one.value,
                "rule": one.rule,
                "at": str(one.position),
                "taken": _rules(one.taken),
                "derived": [
                    {
                        "name": made.name,
                        "value": made.value,
                        "rule": made.rule,
                        "at": str(made.position),
                        "taken": _rules(made.taken),
                    }
                    for made in one.derived
                ],
                "sources": one.sources,
                "why": one.why or None,
                "notes": one.notes,
            }
        )


def _rules(taken: ChosenRules) -> list[dict[str, str]]:
    return [{"rule": rule, "at": str(at)} for rule, at in taken]


def coverage_text(pack: Pack, coverage: Coverage, counts: Usage | None, *, unused: bool) -> str:
    """Where fields go, which are dropped, and how much of the format is set."""
    lines = [f"fields of a record in {pack.name}:"]
    width = max(map(len, coverage.fields))
    into = pack.rest.into if pack.rest else ""
    for path, targets in coverage.fields.items():
        carriers = [f"rest ({into})" if target == REST else target for target in targets]
        number = f"{counts.fields.get(path, 0):>8}" if counts else ""
        lines.append(f"  {path:<{width}}{number}  {', '.join(carriers) or '-'}")
    unmapped = ", ".join(coverage.unmapped) or "none"
    lines += ["", f"carried nowhere: {unmapped}"]
    if counts:
        strange = sorted(set(counts.fields) - set(coverage.fields))
        lines.append(
            f"in {counts.records} records, undocumented: {', '.join(map(sanitize, strange)) or 'none'}"
        )
        lines += ["", "targets, with the number of events that set them:"]
        lines += [f"  {target:<{_WIDEST}}{counts.targets.get(target, 0):>8}" for target in pack.fields]
    return "".join(f"{line}\n" for line in [*lines, "", *_filled(pack, coverage, unused=unused)])


def coverage_json(pack: Pack, coverage: Coverage, counts: Usage | None) -> str:
    """The same as one JSON object."""
    report: dict[str, object] = {
        "mapping": pack.name,
        "format": pack.format,
        "fields": coverage.fields,
        "nowhere": coverage.unmapped,
        "targets": {"standard": coverage.standard, "own": coverage.own, "unused": coverage.unused},
    }
    if counts:
        report["records"] = {"number": counts.records, "fields": counts.fields, "targets": counts.targets}
    return _json(report)


def sanitize_lines(lines: Iterable[str]) -> str:
    """*lines* made safe to print on a terminal."""
    return "\n".join(sanitize(line) for line in lines)


def _excerpt(position: Position | None) -> Iterator[str]:
    if position is None or not position.line:
        return
    try:
        lines = Path(position.file).read_text("utf-8").split("\n")
        text = lines[position.line - 1]
    except (OSError, UnicodeDecodeError, IndexError):
        return
    start = max(0, position.column - _BEFORE)
    number = f"{position.line:>5} | "
    yield f"{number}{'...' if start else ''}{text[start : start + _LINE]}"
    yield f"{' ' * (len(number) - 2)}| {' ' * (position.column - 1 - start + (3 if start else 0))}^"


_BEFORE, _LINE = 60, 110
"""Characters of a line shown before the position, and in total: one rule may fill a long line."""


def _short(position: Position | None) -> str:
    if position is None:
        return ""
    here = f"{Path.cwd()}/"
    return f"{str(position).removeprefix(here)}: "


def _target(one: TargetExplanation) -> Iterator[str]:
    yield (
        f"{one.target} = {_shown(one.value)}" if one.value is not None else f"{one.target}: empty; {one.why}"
    )
    yield from _row("rule", one.rule, one.position)
    for rule, position in one.taken:
        yield from _row("taken", rule, position)
    for made in one.derived:
        yield from _row(made.name, f"{_shown(made.value)}  from  {made.rule}", made.position)
        for rule, position in made.taken:
            yield from _row("  taken", rule, position)
    for path, value in one.sources.items():
        yield f"    {path} = {_shown(value)}"
    for note in one.notes:
        yield f"    note: {note}"


def _row(name: str, text: str, position: Position) -> Iterator[str]:
    yield f"    {name}: {sanitize(text)}    [{_short(position).removesuffix(': ')}]"


def _remainder(explained: Explanation) -> Iterator[str]:
    mapped = explained.mapped
    time, code = mapped.time.isoformat(), sanitize(mapped.code)
    yield f"metadata: time {time}, severity {mapped.severity}, code {code}"
    yield f"in the rest: {', '.join(map(sanitize, explained.rest)) or 'nothing'}"
    empty = [one.target for one in explained.targets if one.value is None]
    yield f"empty: {len(empty)} of {len(explained.targets)} targets (--all shows why)"
    for note in explained.notes:
        yield f"note: {sanitize(note)}"


def _filled(pack: Pack, coverage: Coverage, *, unused: bool) -> Iterator[str]:
    known = len(coverage.standard) + len(coverage.unused)
    own = f", and {len(coverage.own)} of its own" if coverage.own else ""
    yield f"targets: {len(coverage.standard)} of the {known} that {pack.format} lists{own}"
    if not known:
        return
    used = Counter(name.split(".")[0] for name in coverage.standard)
    left = Counter(name.split(".")[0] for name in coverage.unused)
    if any("." in name for name in coverage.standard):
        yield from (
            f"  {name:<{_WIDEST}}{number:>4} of {number + left[name]}" for name, number in used.items()
        )
    if unused:
        yield from ("", "not set:")
        yield from (f"  {name}" for name in coverage.unused)


def _shown(value: object) -> str:
    return "nothing" if value is None else sanitize(json.dumps(value, ensure_ascii=False, default=str))


def _json(value: object) -> str:
    return json.dumps(value, default=dict)
