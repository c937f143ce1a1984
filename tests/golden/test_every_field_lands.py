"""Every field of the API changes what a pack writes, or the manual says why it does not."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from connector.interfaces import Mapper
from connector.mapping import Library, build_mapper
from connector.mapping.schemas.fields import RECORD_FIELDS
from connector.model import Feed, Record, Revision
from tests.golden.revisions import ACCOUNT, ACCOUNTS, COLLECTED

MANUAL = Path(__file__).parents[2] / "docs" / "packs.md"
VALUES = {"boolean": True, "date": "2026-11-18T09:41:07Z", "double": 0.5, "ip": "192.0.2.77"}
ADDRESSES = ("from", "to[]", "replyto", "envelope_from", "envelope_to[]", "client_recipients[]")
LEAVES = [path for path, kind in RECORD_FIELDS.items() if kind != "object" and path != "id"]


@cache
def mapper(pack: str) -> Mapper:
    return build_mapper(Library().load(pack), accounts=ACCOUNTS)


def payload(pack: str, body: Mapping[str, Any]) -> bytes:
    event = mapper(pack)(Revision(Feed(ACCOUNT, "detections"), Record("x", body), "d", 1, COLLECTED))
    assert event is not None
    return event.payload


def left_out(pack: str) -> set[str]:
    """The fields for which the manual has a reason."""
    section = MANUAL.read_text("utf-8").partition("## What is left out")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| `([^|`]+)` \| [^|]+ \|$", section, re.MULTILINE)
    return {field for packs, field in rows if f"`{pack}`" in packs}


def record(path: str, value: Any) -> dict[str, Any]:
    """A record that holds *value* at *path*, beside something else wherever there is a place for it."""
    body: dict[str, Any] = {"id": "x"}
    place = body
    *above, last = path.split(".")
    for step in above:
        inner: dict[str, Any] = {"beside": "it"}
        place[step.removesuffix("[]")] = [inner] if step.endswith("[]") else inner
        place = inner
    if value is not None:
        place[last.removesuffix("[]")] = [value] if last.endswith("[]") else value
    return body


@pytest.mark.parametrize("pack", ["ecs", "cef", "leef", "ocsf", "cim", "asim", "raw"])
def test_every_field_of_the_api_lands_or_has_a_reason(pack: str) -> None:
    silent = set()
    for path in LEAVES:
        value = "mark@corp.example" if path in ADDRESSES else VALUES.get(RECORD_FIELDS[path], "mark")
        if payload(pack, record(path, value)) == payload(pack, record(path, None)):
            silent.add(path)

    assert silent == left_out(pack)
