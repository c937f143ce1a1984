"""Classes of values: as the standard library's, but compiled when the first object is made."""

import dataclasses
from dataclasses import field
from typing import ClassVar

import pytest

from connector.values import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    kind: ClassVar[str] = "place"

    name: str
    tags: list[str] = field(default_factory=list)
    level: int = 3
    seen: int = field(default=0, init=False)
    more: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Narrow(Place):
    width: int = 1

    def __post_init__(self) -> None:
        if self.width < 0:
            raise ValueError("width")


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


def test_values_are_made_with_defaults_of_their_own() -> None:
    first, second = Place("a"), Place("a", level=4)

    first.tags.append("x")

    assert (first.level, first.tags, first.seen, first.more) == (3, ["x"], 0, {})
    assert (second.level, second.tags) == (4, [])
    assert Place("a", ["t"], 5).tags == ["t"]
    assert Nothing() == Nothing()


def test_they_are_compared_hashed_and_shown_as_usual() -> None:
    other: object = Nothing()

    assert other != Place("a")
    assert Place("a", ["x"]) == Place("a", ["x"]) != Place("b", ["x"])
    assert len({Nothing(), Nothing()}) == 1
    assert repr(Place("a")) == "Place(name='a', tags=[], level=3, seen=0)"
    assert dataclasses.replace(Place("a"), level=7) == Place("a", level=7)


def test_children_have_the_fields_of_their_parents_and_are_checked() -> None:
    assert [one.name for one in dataclasses.fields(Narrow)] == [
        "name",
        "tags",
        "level",
        "seen",
        "more",
        "width",
    ]
    assert Narrow("a", width=2).width == 2
    with pytest.raises(ValueError, match="width"):
        Narrow("a", width=-1)


@pytest.mark.parametrize("arguments", [(), ("a", [], 1, 2)])
def test_wrong_arguments_are_refused(arguments: tuple[object, ...]) -> None:
    for _ in range(2):  # the first call compiles what the second uses
        with pytest.raises(TypeError):
            Place(*arguments)  # type: ignore[arg-type]
