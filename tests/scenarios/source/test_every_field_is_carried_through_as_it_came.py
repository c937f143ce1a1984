"""Every field of a record arrives as the API sent it: known or new, null, absent, of another shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connector.mapping.schemas.fields import RECORD_FIELDS
from connector.model import Query
from connector.simulator import Behaviour
from tests.scenarios.source.account import account, in_turn, page, run
from tests.scenarios.source.simulated import SPAN, simulated

SEED = Path(__file__).parents[4] / "shared" / "data" / "seed-example-message.json"
SAMPLES: dict[str, object] = {
    "keyword": "word",
    "text": "a \u202e\u0000 | = \\ \r\n <b>",
    "date": "2026-11-18T09:41:07Z",
    "ip": "192.0.2.1",
    "boolean": True,
    "double": 0.7100000000000001,
}


def _whole() -> dict[str, Any]:
    """A record with every field that is known, down to the last part."""
    record: dict[str, Any] = {}
    for path, kind in sorted(RECORD_FIELDS.items()):
        *above, last = path.split(".")
        place: Any = record
        for step in above:
            place = place[step.removesuffix("[]")]
            place = place[0] if isinstance(place, list) else place
        sample = {} if kind == "object" else SAMPLES[kind]
        place[last.removesuffix("[]")] = [sample] if last.endswith("[]") else sample
    return {**record, "id": "4Wx1Qp7mK2z9sNH-2026-11-18T09:41:07-2a539d65"}


async def _through(*records: object) -> list[object]:
    async with account(in_turn(page(list(records)))) as it:
        (found,) = await it.pages()
        return [dict(record.body) for record in found]


def test_all_fields_with_all_their_parts() -> None:
    async def story() -> None:
        whole = _whole()
        assert len(whole) == len({path.partition(".")[0] for path in RECORD_FIELDS})
        assert await _through(whole) == [whole]

    run(story())


@pytest.mark.parametrize(
    "strange",
    [
        None,
        "",
        [],
        {},
        0,
        False,
        -1.5,
        ["x", None, {"y": []}],
        {"deep": [[{"er": None}]]},
        "NEW_VALUE",
        2**63,
    ],
)
def test_any_value_in_any_field(strange: object) -> None:
    async def story() -> None:
        record = {**dict.fromkeys(_whole(), strange), "id": "a"}
        assert await _through(record, {"id": "b"}) == [record, {"id": "b"}]

    run(story())


def test_fields_that_nobody_knows_yet() -> None:
    async def story() -> None:
        record = {"id": "a", "ai_summary": {"text": "x"}, "$schema": 1, "a.b": 2, "": 3}
        assert await _through(record) == [record]

    run(story())


def test_the_first_published_example() -> None:
    if not SEED.exists():
        pytest.skip("the published example is not part of this checkout")
    example = json.loads(SEED.read_text(encoding="utf-8"))

    async def story() -> None:
        assert await _through(example) == [example]

    run(story())


@pytest.mark.parametrize("era", ["reference", "current", "sunset"])
def test_whole_walks_of_every_schema(era: str) -> None:
    async def story() -> None:
        async with simulated(Behaviour(era=era), backlog=100) as it:  # type: ignore[arg-type]
            count = 0
            async for got in it.source.search(Query({"detections_only": False}), SPAN):
                for record in got.records:
                    shown = it.simulator.ledger.body(record.id)
                    assert set(record.body) == set(shown)
                    assert {**record.body, "action_log": None} == {**shown, "action_log": None}
                    count += 1
            assert count == len(it.expected_of({"detections_only": False}))

    run(story())
