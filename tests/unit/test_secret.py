"""A text that is shown nowhere and can be read again."""

from __future__ import annotations

import copy

import pytest
from pydantic import BaseModel, ValidationError

from connector.secret import MASK, Reference, Secret

CANARY = "canary-7f3a"


class Model(BaseModel):
    token: Secret


class Source:
    """Something that can be rotated, or fail."""

    def __init__(self, text: str) -> None:
        self.text: str | OSError = text

    def read(self) -> str:
        if isinstance(self.text, OSError):
            raise self.text
        return self.text


def test_a_secret_appears_nowhere_but_where_it_is_revealed() -> None:
    secret = Secret(CANARY)
    model = Model(token=secret)
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>40}",
        "%s" % secret,  # noqa: UP031, old formatting is the point
        repr([secret]),
        repr(model),
        str(model),
        str(model.model_dump()),
        model.model_dump_json(),
        repr(Reference(lambda: CANARY)),
        str(copy.deepcopy(model)),
    ]

    assert not [text for text in shown if CANARY in text]
    assert MASK in str(secret)
    assert secret.reveal() == CANARY


def test_a_wrong_kind_of_value_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"token": {"oops": CANARY}})

    assert CANARY not in caught.value.json(include_input=False)


@pytest.mark.parametrize("value", ["", "  ", "\n", None, 3])
def test_an_empty_secret_is_an_error(value: object) -> None:
    with pytest.raises(ValidationError):
        Model.model_validate({"token": value})


def test_a_rotated_secret_is_adopted_and_a_lost_source_keeps_the_old_one() -> None:
    source = Source("first")
    secret = Model.model_validate({"token": Reference(source.read)}).token
    reported = [secret.refresh()]
    source.text = "second"
    reported.append(secret.refresh())
    source.text = ""
    reported.append(secret.refresh())
    source.text = OSError("gone")
    reported.append(secret.refresh())

    assert reported == [False, True, False, False]
    assert secret.reveal() == "second"


def test_a_literal_is_distinguished_from_a_reference() -> None:
    assert Secret("x").literal
    assert not Secret("x", lambda: "x").literal
    assert not Secret("x").refresh()


def test_secrets_are_equal_by_their_text() -> None:
    assert Secret("a") == Secret("a", lambda: "a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
