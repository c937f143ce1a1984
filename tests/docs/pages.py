"""The documents as tests read them: their blocks of code, and the marks that say what becomes of each.

A mark is a comment on the line before a block, so that nobody sees it who reads the rendered page:

- ``<!-- test: run -->``: the block runs, after those before it on the page, against the simulator;
- ``<!-- test: run beside a connector -->``: the same, while a connector runs on the same state directory;
- ``<!-- test: file NAME -->``: the block is that file, for the blocks that run;
- ``<!-- test: by PATH -->``: another test does what the block does;
- ``<!-- test: needs WHAT -->``: it cannot run without a real account, collector, cluster or person.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.process import ROOT

_FENCE = re.compile(
    r"^(?P<fence>```+) ?(?P<kind>[a-z]*)\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"<!-- test: (?P<mark>.+?) -->\n$")
_SPAN = re.compile(r"`(email-connector [^`]+)`")

MARKS = re.compile(r"run|run beside a connector|file \S+|by \S+|needs .+|rsyslog|syslog-ng")
COMMANDS = frozenset({"sh", "bash", "console", "shell"})


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code: the *page*'s path, its line, its language, its text, and its mark ("" without one)."""

    page: Path
    line: int
    kind: str
    text: str
    mark: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def documents() -> list[Path]:
    """Every document for people."""
    found = [ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")]
    found += sorted((ROOT / "docs").rglob("*.md"))
    return [*found, *sorted((ROOT / "deploy").rglob("*.md"))]


def blocks() -> Iterator[Block]:
    """Every block of every document, in the order of the page."""
    for page in documents():
        text = page.read_text("utf-8")
        for found in _FENCE.finditer(text):
            before = text[: found.start()]
            mark = _MARK.search(before)
            yield Block(
                page, before.count("\n") + 1, found["kind"], found["text"], mark["mark"] if mark else ""
            )


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line of the connector in a document: its place and its words after the program's name."""
    for block in blocks():
        lines = block.text.replace("\\\n", " ").splitlines()
        if block.kind not in COMMANDS:
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        for line in lines:
            yield from ((str(block), words) for words in _calls(line))
    for page in documents():
        prose = _FENCE.sub("", page.read_text("utf-8"))
        for span in _SPAN.findall(prose):
            yield from ((str(page.relative_to(ROOT)), words) for words in _calls(span))


def _calls(line: str) -> Iterator[list[str]]:
    """The words of each call of the connector in *line*; what a shell would do with the rest is left out."""
    parser = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    parser.whitespace_split, parser.commenters = True, "#"
    try:
        words = list(parser)
    except ValueError:
        words = line.split()
    segment: list[str] = []
    for word in [*words, ";"]:
        if not set(word) <= set("|&;<>()"):
            segment.append(word)
            continue
        at = _place_of_call(segment)
        if at is not None:
            yield segment[at + 1 :]
        segment = []


def _place_of_call(words: list[str]) -> int | None:
    """Where in a simple command the connector is called: as its first word, or as what a container runs."""
    places = [at for at, word in enumerate(words) if word.rpartition("/")[2] == "email-connector"]
    if not places:
        return None
    if words[0] in {"docker", "kubectl"}:
        return places[-1] if "exec" in words[:4] else None
    return 0 if places[0] == 0 else None
