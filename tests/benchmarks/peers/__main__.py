"""``python -m tests.benchmarks.peers``: what the same ECS events cost in engines that others run.

Each engine found on PATH reads the same records from a file, one JSON object a line, makes the ECS events of
``mappings/ecs.yaml`` with a program in its own language (``ecs.blobl``, ``ecs.vrl``), and writes them to a
file. So does the mapping of this project, on one line at a time. Counted is CPU time of the process, less
that of a run over a few records, which is its start. Events are compared with ours field by field.

Engines: ``vector`` (VRL), ``vrl`` (VRL alone, the command of the crate), ``redpanda-connect`` or ``benthos``
(Bloblang; ``go build`` in ``benthos/`` makes one). ``Logstash``, ``Fluent Bit`` and ``Filebeat`` have no
language in which this mapping can be written: it would be a program in Ruby, Lua or JavaScript.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from tests.benchmarks.corpus import records
from tests.benchmarks.page import COLLECTED
from tests.support.process import ROOT, environment

_HERE = Path(__file__).parent
_FEW = 100
"""Records of the run that stands for the start of an engine."""

_NAMED = 12
"""Different fields to name for each engine."""


@dataclass(frozen=True)
class Engine:
    """A program that maps records.

    *command* makes its command line from the program, the file of records (which is its stdin, too), the
    file for events and a directory for its configuration. *prints*: the events are what it prints.
    """

    name: str
    program: str
    command: Callable[[str, Path, Path, Path], list[str]]
    prints: bool = False


def _benthos(program: str, source: Path, target: Path, directory: Path) -> list[str]:
    config = {
        "http": {"enabled": False},
        "logger": {"level": "ERROR"},
        "input": {"file": {"paths": [str(source)], "scanner": {"lines": {}}}},
        "pipeline": {"threads": 1, "processors": [{"mapping": f'from "{_HERE / "ecs.blobl"}"'}]},
        "output": {"file": {"path": str(target), "codec": "lines"}},
    }
    path = directory / "benthos.json"
    path.write_bytes(orjson.dumps(config))
    return [program, "-c", str(path)]


def _vector(program: str, source: Path, target: Path, directory: Path) -> list[str]:
    config = {
        "data_dir": str(directory),
        "sources": {
            "records": {"type": "file_descriptor", "fd": 0, "decoding": {"codec": "json"}},
        },
        "transforms": {
            "ecs": {
                "type": "remap", "inputs": ["records"], "file": str(_HERE / "ecs.vrl"),
                "drop_on_error": True,
            },
        },
        "sinks": {
            "events": {
                "type": "file", "inputs": ["ecs"], "path": str(target), "encoding": {"codec": "json"},
            },
        },
    }  # fmt: skip
    path = directory / "vector.json"
    path.write_bytes(orjson.dumps(config))
    return [program, "--quiet", "--threads", "1", "--config-json", str(path)]


def _vrl(program: str, source: Path, target: Path, directory: Path) -> list[str]:
    del target, directory
    return [program, "--input", str(source), "--program", str(_HERE / "ecs.vrl"), "--print-object"]


def _ours(program: str, source: Path, target: Path, directory: Path) -> list[str]:
    del directory
    return [program, "-m", "tests.benchmarks.peers.ours", str(source), str(target)]


ENGINES = (
    Engine("this project, mapping alone", sys.executable, _ours),
    Engine("VRL alone", "vrl", _vrl, prints=True),
    Engine("Vector", "vector", _vector),
    Engine("Redpanda Connect", "redpanda-connect", _benthos),
    Engine("Benthos, the engine of Redpanda Connect", "benthos", _benthos),
)


def run(engine: Engine, program: str, source: Path, directory: Path) -> tuple[float, list[bytes]]:
    """Seconds of CPU that *engine* took for the records in *source*, and the events it made."""
    target = directory / "events"
    target.unlink(missing_ok=True)
    command = engine.command(program, source, target, directory)
    with source.open("rb") as given, (directory / "stdout").open("wb") as made:
        process = subprocess.Popen(
            command, stdin=given, stdout=made, env=environment(GOMAXPROCS="1"), cwd=ROOT
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{engine.name} ended with {process.returncode}")
    events = (directory / "stdout" if engine.prints else target).read_bytes().split(b"\n")
    return used.ru_utime + used.ru_stime, [event for event in events if event]


def different(ours: list[bytes], theirs: list[bytes]) -> tuple[int, Counter[str]]:
    """How many of *theirs* are not equal to ours, and how often each field is not; they may be reordered."""
    made: dict[str, Any] = {}
    for line in theirs:
        event = json.loads(line, strict=False)  # VRL's own command prints control characters as they are
        made[event.get("event", {}).get("id", "")] = event
    unequal, names = 0, Counter[str]()
    for line in ours:
        event = orjson.loads(line)
        other = made.get(event["event"]["id"])
        if other == event:
            continue
        unequal += 1
        fields, others = dict(_fields(event)), dict(_fields(other or {}))
        names.update(name for name in fields.keys() | others.keys() if fields.get(name) != others.get(name))
    return unequal, names


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _fields(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


def main() -> None:
    """Run every engine in turn; print a table and what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1, help="the least of so many runs counts")
    options = parser.parse_args()
    found = [(one, path) for one in ENGINES if (path := shutil.which(one.program))]
    absent = [one.program for one in ENGINES if not shutil.which(one.program)]
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        rows = [row for _, row in records(options.records, timedelta(days=1), end=COLLECTED)]
        whole, few = directory / "records", directory / "few"
        whole.write_bytes(b"".join(row + b"\n" for row in rows))
        few.write_bytes(b"".join(row + b"\n" for row in rows[:_FEW]))
        del rows
        ours: list[bytes] = []
        for engine, path in found:
            start = min(run(engine, path, few, directory)[0] for _ in range(options.rounds))
            runs = [run(engine, path, whole, directory) for _ in range(options.rounds)]
            events = runs[0][1]
            ours = ours or events
            unequal, names = different(ours, events)
            each = (min(seconds for seconds, _ in runs) - start) * 1e6 / (options.records - _FEW)
            _say(f"{engine.name:42} {each:7.1f} us a record, {len(events) - unequal} of {len(ours)} equal")
            for name, count in names.most_common(_NAMED):
                _say(f"    {name} differs in {count}")
    for program in absent:
        _say(f"not on PATH: {program}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
