"""``Secret``: a credential that no log, error or repr shows, and that is read again after a rotation."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast, final
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

MASK = "**********"

_urlsplit = inspect.unwrap(urlsplit)


def urlsplit_uncached(url: str) -> SplitResult:
    """``urllib.parse.urlsplit`` without its cache.

    The cache would keep the passwords and tokens in URLs of a configuration that is gone.
    """
    return cast(SplitResult, _urlsplit(url))


@final
class Reference(str):
    """The value of ``${file:...}`` or ``${env:...}``, with the way to read it anew."""

    __slots__ = ("reread", "written")
    reread: Callable[[], str]
    written: str

    def __new__(cls, reread: Callable[[], str], written: str = "") -> Reference:
        """Read the value once; *reread* MUST raise ``OSError`` or ``LookupError`` when it cannot.

        *written* is the text that holds the reference, which may be shown instead of the value.
        """
        made = super().__new__(cls, reread())
        made.reread = reread
        made.written = written
        return made

    def __repr__(self) -> str:
        return f"Reference({MASK!r})"


@final
class Secret:
    """A credential. Its text appears only where ``reveal`` is called: at the moment of use."""

    __slots__ = ("_reread", "_text")

    def __init__(self, text: str, reread: Callable[[], str] | None = None) -> None:
        self._text = text
        self._reread = reread

    def reveal(self) -> str:
        """The text as last read."""
        return self._text

    def refresh(self) -> bool:
        """Read the text again where it came from; says whether it changed.

        A source that cannot be read now keeps the text known so far.
        """
        if self._reread is None:
            return False
        try:
            text = self._reread()
        except (OSError, LookupError):
            return False
        changed = bool(text) and text != self._text
        if changed:
            self._text = text
        return changed

    @property
    def literal(self) -> bool:
        """Whether the text stands in the configuration itself instead of a reference."""
        return self._reread is None

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.reveal()

    def __hash__(self) -> int:
        return hash(self._text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema  # noqa: PLC0415, only models need it

        return core_schema.no_info_plain_validator_function(
            cls._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _: MASK),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "password", "writeOnly": True}

    @classmethod
    def _validate(cls, value: object) -> Secret:
        if isinstance(value, Secret):
            return value
        if not isinstance(value, str):
            raise ValueError("expected text, or a reference such as ${env:NAME} or ${file:/path}")  # noqa: TRY004, pydantic reports ValueError
        if not value.strip():
            raise ValueError("the secret is empty")
        return cls(str(value), value.reread if isinstance(value, Reference) else None)
