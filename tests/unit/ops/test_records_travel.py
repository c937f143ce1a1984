"""``search --format record`` prints what ``mapping apply`` reads: the record as it came, hostile or not."""

from __future__ import annotations

from functools import cache

import pytest

from connector.mapping import Library, Pack
from connector.model import Event
from connector.ops.mapping_tools import apply
from connector.ops.search import record_line
from connector.source.decode import decode
from tests.golden.revisions import Case, cases
from tests.support.sampling import sampled


@cache
def raw_pack() -> Pack:
    return Library().load("raw")


@pytest.mark.parametrize("case", sampled(cases(), 5), ids=lambda case: case.name)
def test_a_record_that_search_prints_is_read_back_by_mapping_apply(case: Case) -> None:
    record = case.revision.record
    line = record_line(record)

    [event] = apply(raw_pack(), [line], "stdin")

    assert b"\n" not in line
    assert isinstance(event, Event)
    assert event.revision.record.id == record.id
    assert decode(record_line(event.revision.record)).value == decode(line).value
