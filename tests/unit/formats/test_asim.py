"""Rows of Log Analytics: a value that its column could not hold is shortened by whole items, with a note."""

from __future__ import annotations

import orjson
import pytest

from connector.formats.asim import COLUMN_BYTES, encode


def row(**values: object) -> tuple[dict[str, object], tuple[str, ...]]:
    payload, notes = encode(dict(values))
    decoded: dict[str, object] = orjson.loads(payload)
    return decoded, notes


def test_an_ordinary_row_is_written_as_it_is() -> None:
    assert row(EmailSubject="hello", AdditionalFields={"a": [1]}) == (
        {"EmailSubject": "hello", "AdditionalFields": {"a": [1]}},
        (),
    )


@pytest.mark.parametrize("letter", ["x", "ä", "漢", "😀"])
def test_a_long_text_is_cut_to_what_a_column_holds_however_it_is_counted(letter: str) -> None:
    made, notes = row(EmailSubject=letter * 200_000, RuleName="r")

    text = str(made["EmailSubject"])
    assert set(text) == {letter}
    assert len(text.encode()) <= COLUMN_BYTES
    assert len(text.encode("utf-16-le")) <= COLUMN_BYTES
    assert len(text.encode("utf-16-le")) > COLUMN_BYTES // 2 or len(text.encode()) > COLUMN_BYTES // 2
    assert made["RuleName"] == "r"
    assert notes == ("EmailSubject: shortened to 64 KiB",)


def test_a_long_list_keeps_its_first_items() -> None:
    sent = [f"user{number}@corp.example" for number in range(20_000)]
    made, notes = row(EmailToRecipients=sent)

    kept = made["EmailToRecipients"]
    assert isinstance(kept, list)
    assert kept == sent[: len(kept)]
    assert COLUMN_BYTES // 2 < len(orjson.dumps(kept)) <= COLUMN_BYTES
    assert len(notes) == 1


def test_an_object_loses_of_its_largest_items_alone() -> None:
    big = {"huge": "h" * 300_000, "small": 1, "list": ["l" * 100] * 5000, "tags": ["update"]}
    made, notes = row(AdditionalFields=big)

    kept = made["AdditionalFields"]
    assert isinstance(kept, dict)
    assert kept["small"] == 1
    assert kept["tags"] == ["update"]
    assert len(orjson.dumps(kept)) <= COLUMN_BYTES
    assert notes == ("AdditionalFields: shortened to 64 KiB",)
