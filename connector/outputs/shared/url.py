"""The URL of an HTTP collector. Path and query are secret: webhooks carry their token there."""

from __future__ import annotations

from typing import Any, final
from urllib.parse import SplitResult

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from connector.net.host_names import is_host_name
from connector.secret import MASK, Reference, Secret, urlsplit_uncached

_PORTS = {"http": 80, "https": 443}


@final
class Url:
    """An ``http`` or ``https`` URL that shows its origin and hides the rest."""

    __slots__ = ("_secret",)

    def __init__(self, text: str) -> None:
        """Parse *text*; raises ValueError that says what is expected."""
        _split(text)
        self._secret = Secret(text.strip(), text.reread if isinstance(text, Reference) else None)

    def reveal(self) -> str:
        """The whole URL, to send a request to."""
        return self._secret.reveal()

    def refresh(self) -> bool:
        """Read the URL again from its source; return whether it changed. An invalid one is ignored."""
        current = self._secret
        candidate = Secret(current.reveal(), current._reread)  # noqa: SLF001, a copy to validate the new text
        if not candidate.refresh():
            return False
        try:
            _split(candidate.reveal())
        except ValueError:
            return False
        self._secret = candidate
        return True

    @property
    def parts(self) -> SplitResult:
        """The parsed URL."""
        return _split(self._secret.reveal())

    @property
    def origin(self) -> str:
        """Scheme, host and port as written."""
        return f"{self.parts.scheme}://{self.parts.netloc}"

    @property
    def host(self) -> str:
        """The host, without brackets."""
        return self.parts.hostname or ""

    @property
    def port(self) -> int:
        """The port, by default that of the scheme."""
        return self.parts.port or _PORTS[self.parts.scheme]

    @property
    def secure(self) -> bool:
        """Whether it is ``https``."""
        return self.parts.scheme == "https"

    def __str__(self) -> str:
        hidden = f"/{MASK}" if self.parts.path.strip("/") or self.parts.query else ""
        return f"{self.origin}{hidden}"

    def __repr__(self) -> str:
        return f"Url({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and other.reveal() == self.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "uri", "pattern": "^https?://"}

    @classmethod
    def _validate(cls, value: object) -> Url:
        if isinstance(value, Url):
            return value
        if not isinstance(value, str):
            raise ValueError("expected a URL, such as https://collector.example/path")  # noqa: TRY004
        return cls(value)


def _split(text: str) -> SplitResult:
    stripped = text.strip()
    try:
        parts = urlsplit_uncached(stripped)
        host = parts.hostname or ""
        usable = parts.scheme in _PORTS and bool(host) and is_host_name(host) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not stripped.isprintable() or " " in stripped:
        # The text itself is not shown: it may hold a token.
        raise ValueError("expected an http or https URL, such as https://collector.example/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL must not contain a user or password; use auth instead")
    if parts.fragment:
        raise ValueError("the URL of a collector must not contain a fragment (#...)")
    return parts
