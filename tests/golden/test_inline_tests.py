"""Each pack proves itself: the tests inside it cover every verdict and every kind of record."""

from __future__ import annotations

import pytest

from connector.mapping import Library
from connector.mapping.schemas.fields import RECORD_FIELDS, RECORD_VALUES
from connector.model import JsonObject

TOP = {path.split(".")[0].removesuffix("[]") for path in RECORD_FIELDS} - {"id"}
PAST = {"action_log", "findings", "sent_date", "ts"}
"""Fields that the API takes away, or has replaced."""


def given(pack: str) -> list[JsonObject]:
    return [case.given for case in Library().load(pack).tests]


@pytest.mark.parametrize("pack", Library().names())
def test_every_verdict_is_tested_and_one_that_nobody_knows_yet(pack: str) -> None:
    tested = {record.get("final_disposition") for record in given(pack)}

    assert set(RECORD_VALUES["final_disposition"]) <= tested
    assert tested - {*RECORD_VALUES["final_disposition"], None}


@pytest.mark.parametrize("pack", Library().names())
def test_a_record_of_nothing_but_nulls_is_tested(pack: str) -> None:
    assert any(all(record.get(name, "") is None for name in TOP) for record in given(pack))


@pytest.mark.parametrize("pack", Library().names())
def test_updates_enriched_records_and_records_without_fields_of_old_are_tested(pack: str) -> None:
    records = given(pack)

    assert any("$previous" in record for record in records)
    assert any(record.get("$gone") for record in records)
    assert any("$enrichment" in record for record in records)
    assert any(
        not PAST & record.keys() and {"scanned_at", "final_disposition"} <= record.keys()
        for record in records
    )
