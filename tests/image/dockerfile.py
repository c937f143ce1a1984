"""The Dockerfile as a list of steps: as much of its grammar as ours uses; anything else is an error."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_REFERENCE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


@dataclass
class Stage:
    """One stage: steps to execute in order, and what the image says about itself."""

    base: str
    name: str = ""
    steps: list[tuple[str, str]] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    user: str = ""
    volumes: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    signal: str = ""
    health: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def instructions(text: str) -> list[tuple[str, str]]:
    """Word and rest of every instruction, comments and continuations taken out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    parts = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(word, " ".join(rest.split())) for word, _, rest in parts]


def stages(text: str) -> list[Stage]:
    """The stages of a Dockerfile."""
    arguments: dict[str, str] = {}
    made: list[Stage] = []
    for word, rest in instructions(text):
        if word == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif word == "FROM":
            base, _, name = expand(rest, arguments).partition(" AS ")
            made.append(Stage(base, name))
        else:
            _take(made[-1], word, rest, arguments)
    return made


def expand(text: str, values: dict[str, str]) -> str:
    """*text* with its references filled in; those that *values* does not have stay."""
    return _REFERENCE.sub(lambda found: values.get(found[1] or found[2], found[0]), text)


_STEPS = {"WORKDIR", "COPY", "RUN"}
_TEXTS = {"USER": "user", "STOPSIGNAL": "signal"}
_LISTS = {"VOLUME": "volumes", "EXPOSE": "ports"}
_EXECS = {"ENTRYPOINT": "entrypoint", "CMD": "command", "HEALTHCHECK": "health"}


def _take(stage: Stage, word: str, rest: str, arguments: dict[str, str]) -> None:
    if word in _STEPS:
        stage.steps.append((word, rest))
    elif word == "ENV":
        stage.environment |= _pairs(rest)
    elif word == "LABEL":
        stage.labels |= _pairs(expand(rest, arguments))
    elif word in _TEXTS:
        setattr(stage, _TEXTS[word], rest)
    elif word in _LISTS:
        getattr(stage, _LISTS[word]).append(rest)
    elif word in _EXECS:
        setattr(stage, _EXECS[word], _exec(rest.rpartition("CMD ")[2] if word == "HEALTHCHECK" else rest))
    else:
        raise AssertionError(f"an instruction that nobody rehearses: {word}")


def _pairs(text: str) -> dict[str, str]:
    return {name: value for name, _, value in (part.partition("=") for part in shlex.split(text))}


def _exec(text: str) -> list[str]:
    """The exec form; the shell form would need a shell and hide signals from the process."""
    value: Any = json.loads(text)
    assert isinstance(value, list)
    return [str(one) for one in value]
