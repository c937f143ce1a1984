"""The revisions that golden files are made of: real-looking, hostile and odd ones."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from connector.model import Feed, Record, Revision

HERE = Path(__file__).parent
ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
ACCOUNTS = {ACCOUNT: "prod"}
COLLECTED = datetime(2026, 11, 18, 12, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """One revision and what is special about it."""

    name: str
    revision: Revision


def cases() -> Sequence[Case]:
    """Every line of ``revisions.ndjson``."""
    lines = (HERE / "revisions.ndjson").read_text("utf-8").splitlines()
    return [_case(line) for line in lines]


def _case(line: str) -> Case:
    given = json.loads(line)
    revision = Revision(
        feed=Feed(ACCOUNT, "detections"),
        record=Record(given["record"]["id"], given["record"]),
        digest=given.get("digest", "c0ffee"),
        number=given.get("number", 1),
        collected=COLLECTED,
        previous=given.get("previous"),
        enrichment=given.get("enrichment", {}),
        occurrence=given.get("occurrence", 1),
        gone=given.get("gone", False),
    )
    return Case(given["name"], revision)
