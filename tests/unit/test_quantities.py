"""Durations and sizes as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from connector.quantities import format_duration, format_size, parse_duration, parse_size
from connector.quantity_fields import Duration, Size


class Model(BaseModel):
    wait: Duration = timedelta(seconds=1)
    room: Size = 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("30s", 30), ("15m", 900), ("1h30m", 5400), ("2d", 172_800), ("1.5h", 5400), ("250ms", 0.25)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "30", "s", "3x", "-3s", "1 h", "30s ", "1h,2m", "٣s"])
def test_what_is_no_duration_is_reported_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30s, 15m, 1h or 2d"):
        parse_duration(text)


def test_a_duration_beyond_all_time_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_duration("9" * 400 + "d")


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1000", 1000), ("8KiB", 8192), ("1.5MB", 1_500_000), ("1 GiB", 1 << 30), ("1B", 1)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_large_sizes_stay_exact() -> None:
    assert parse_size("9007199254740993B") == 9_007_199_254_740_993


@pytest.mark.parametrize("text", ["", "KiB", "-1", "1kb", "1 KiB ", "1e3", "9" * 10_000])
def test_what_is_no_size_is_reported_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="such as 8KiB, 1MiB or 5MB"):
        parse_size(text)


@given(st.integers(min_value=0, max_value=10**12))
def test_a_written_duration_reads_back(milliseconds: int) -> None:
    value = timedelta(milliseconds=milliseconds)

    assert parse_duration(format_duration(value)) == value


@given(st.integers(min_value=0, max_value=1 << 60))
def test_a_written_size_reads_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


def test_models_take_text_and_write_it_as_people_do() -> None:
    model = Model.model_validate({"wait": "90s", "room": "8KiB"})

    assert (model.wait, model.room) == (timedelta(seconds=90), 8192)
    assert model.model_dump(mode="json") == {"wait": "1m30s", "room": "8KiB"}


@pytest.mark.parametrize("wrong", [{"wait": 30}, {"wait": None}, {"room": True}, {"room": -1}, {"room": 1.5}])
def test_models_refuse_numbers_without_a_unit_and_sizes_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Model.model_validate(wrong)
