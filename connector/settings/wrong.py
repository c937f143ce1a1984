"""How a validator of a settings model says what is wrong: in words, with a hint, at the key concerned."""

from __future__ import annotations

from pydantic_core import PydanticCustomError

KIND = "wrong"


def wrong(message: str, *, hint: str = "", key: str = "") -> PydanticCustomError:
    """Make the error to raise. *key* is the field of a model concerned, where a whole model is checked.

    Texts MUST NOT hold the value: it may be a secret in the wrong place.
    """
    return PydanticCustomError(KIND, "{message}", {"message": message, "hint": hint, "key": key})
