"""Failover between the URLs of one output: one collector is used until it fails, then the next."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Iterable, Iterator
from typing import Annotated, ClassVar, Self
from urllib.parse import parse_qsl

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from connector.errors import DeliveryError, Hold, PartlyDown, Retryable
from connector.outputs.shared.http_client import HttpSettingsBase
from connector.outputs.shared.url import Url


def _to_urls(value: object) -> tuple[Url, ...]:
    items = value if isinstance(value, (list, tuple)) else [value]
    if isinstance(value, str) and "," in value:
        # A variable or a secret file holds one text, even when it names several URLs.
        items = [part.strip() for part in value.strip(" []").split(",")]
    urls = tuple(
        item if isinstance(item, Url) else Url(item) for item in items if isinstance(item, (str, Url))
    )
    if not urls or len(urls) < len(items):
        raise ValueError("expected a URL, such as https://collector.example:9200, or a list of URLs")
    if len({url.secure for url in urls}) > 1:
        raise ValueError("URLs must be all https or all http: failover must not weaken transport security")
    return urls


def _to_plain(urls: tuple[Url, ...]) -> str | list[str]:
    texts = [str(url) for url in urls]
    return texts[0] if len(texts) == 1 else texts


_SCHEMA = {"type": "string", "format": "uri", "pattern": "^https?://"}

Urls = Annotated[
    tuple[Url, ...],
    BeforeValidator(_to_urls),
    PlainSerializer(_to_plain),
    WithJsonSchema({"anyOf": [_SCHEMA, {"type": "array", "items": _SCHEMA, "minItems": 1}]}),
]
"""A field of a settings model: one URL, or several of the same scheme."""


class MultiUrlSettings(HttpSettingsBase):
    """Settings of every collector that may have several URLs."""

    url: Urls = Field(description="URL of the collector, or a list: when one fails the next is used.")
    gzip: bool = Field(default=True, description="Compress requests.")

    # Query parameters that the output sets itself; "*" for an output that takes none.
    reserved_parameters: ClassVar[frozenset[str]] = frozenset({"*"})

    @model_validator(mode="after")
    def _no_reserved_parameter(self) -> Self:
        for url in self.urls:
            names = {name for name, _ in parse_qsl(url.parts.query, keep_blank_values=True)}
            if url.parts.query and "*" in self.reserved_parameters:
                raise ValueError("the URL must not contain query parameters: the connector sets them itself")
            if reserved := sorted(names & self.reserved_parameters):
                raise ValueError(f"the connector sets the query parameter {reserved[0]} itself: remove it")
        return self


class Failover:
    """Chooses among *size* collectors: the same one until it fails, then the next."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._current = 0

    @contextlib.contextmanager
    def attempt(self) -> Iterator[int]:
        """Yield the index of the collector to use; an error that is not about events moves to the next."""
        index = self._current
        try:
            yield index
        except (Retryable, Hold):
            self.advance(index)
            raise

    def advance(self, failed: int) -> None:
        """Move on from collector *failed*; concurrent failures of the same one move only once."""
        if failed == self._current:
            self._current = (failed + 1) % self._size


async def check_each(checks: Iterable[Awaitable[str]]) -> str:
    """Check all collectors of an output and return what each says.

    Raises the first failure where all fail, and ``PartlyDown`` where another one can be used.
    """
    said: list[str] = []
    failures: list[DeliveryError] = []
    for check in checks:
        try:
            said.append(await check)
        except DeliveryError as error:
            failures.append(error)
    if failures and said:
        raise PartlyDown("; ".join([*(failure.reason for failure in failures), *said]))
    if failures:
        raise failures[0]
    return "; ".join(said)


def address(url: Url, *endings: str) -> str:
    """*url* without a trailing slash and without the first of *endings*, which people paste along with it."""
    text = url.reveal().partition("?")[0].rstrip("/")
    for ending in endings:
        if text.endswith(ending):
            return text.removesuffix(ending).rstrip("/")
    return text
