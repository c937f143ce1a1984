"""Mapping files for tests: written into a directory, loaded in front of those that ship."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connector.mapping import Library, MappingResult, Pack, build_interpreter, build_map
from connector.model import Feed, Record, Revision

COLLECTED = datetime(2026, 11, 18, 12, 0, 0, 250_000, tzinfo=UTC)
FEED = Feed("023e105f4ecef8ad9ca31a8372d0c353", "detections")

PRELUDE = """
mapping: 1
format: json
tables:
  severity: {MALICIOUS: 8, SPAM: 3, "*": 1}
derive:
  time: {from: scanned_at, as: date}
  severity: {from: final_disposition, as: {table: severity}, else: 1}
  code: {from: final_disposition, as: [lower, {prefix: "email."}]}
"""


def write(directory: Path, **texts: str) -> Library:
    """A library whose first directory holds *texts* by name; a small prelude unless one is given."""
    directory.mkdir(exist_ok=True)
    for name, text in {"common": PRELUDE, **texts}.items():
        (directory / f"{name}.yaml").write_text(text, "utf-8")
    return Library([directory])


def pack_of(directory: Path, body: str, kind: str = "json", **texts: str) -> Pack:
    """A pack named ``mine`` of the sections in *body*."""
    return write(directory, mine=f"mapping: 1\nformat: {kind}\n{body}", **texts).load("mine")


def revision(body: Mapping[str, Any], **more: Any) -> Revision:
    """A revision of *body* at first sight, unless *more* says otherwise."""
    given: dict[str, Any] = {"digest": "d", "number": 1, "collected": COLLECTED, **more}
    return Revision(FEED, Record(str(body.get("id", "r1")), body), **given)


def mapped(pack: Pack, body: Mapping[str, Any], **more: Any) -> MappingResult:
    """What *pack* makes of *body*, after making sure that both back ends agree."""
    one = revision(body, **more)
    compiled, walked = build_map(pack)(one), build_interpreter(pack)(one)
    assert compiled == walked
    return compiled


def value_of(directory: Path, rule: str, body: Mapping[str, Any], **more: Any) -> Any:
    """What the one rule *rule*, written as YAML, makes of *body*; ``None`` for nothing."""
    return mapped(pack_of(directory, f"fields:\n  out: {rule}\n"), body, **more).document.get("out")
