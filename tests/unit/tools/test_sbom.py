"""The bill of materials names everything that is locked, with hashes and licences, the same each time."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from tools.sbom import LOCK, bill, pins

TEXT = LOCK.read_text("utf-8")
WHEN = datetime(2026, 11, 22, tzinfo=UTC)


def made() -> dict[str, Any]:
    bom: dict[str, Any] = json.loads(bill(TEXT, WHEN))
    return bom


def test_every_locked_distribution_is_named_with_every_hash() -> None:
    locked = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", TEXT, re.MULTILINE))
    bom = made()

    assert {one["name"]: one["version"] for one in bom["components"]} == locked
    hashes = [one["content"] for component in bom["components"] for one in component["hashes"]]
    assert sorted(hashes) == sorted(set(re.findall(r"sha256:([0-9a-f]{64})", TEXT)))


def test_what_the_connector_itself_needs_is_separated_from_what_that_needs() -> None:
    needs = {one["ref"].partition("@")[0]: one.get("dependsOn", []) for one in made()["dependencies"]}

    direct = {name.partition("@")[0] for name in needs["cloudflare-email-connector"]}
    assert {"httpx", "pydantic", "click"} <= direct
    assert "pydantic-core" not in direct
    assert "pydantic-core" in {name.partition("@")[0] for name in needs["pydantic"]}


def test_nearly_everything_says_its_licence() -> None:
    unknown = [one["name"] for one in made()["components"] if not one.get("licenses")]

    assert set(unknown) <= {"tzdata", "colorama", "uvloop"}, "what is not installed here cannot be asked"


def test_the_same_lock_gives_the_same_bytes() -> None:
    assert bill(TEXT, WHEN) == bill(TEXT, WHEN)


def test_every_requirement_is_pinned_by_hash_and_no_registry_is_named() -> None:
    for file in sorted(LOCK.parent.glob("*.txt")):
        text = file.read_text("utf-8")
        assert all(pin.hashes for pin in pins(text)), file.name
        assert "http" not in re.sub(
            r"^(httpx|httpcore|httptools)\S*|(via|#) +http\S+", "", text, flags=re.MULTILINE
        )
