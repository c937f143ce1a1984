"""Cloudflare's JSON envelope: ``success``, ``errors``, ``result``, ``result_info``. Each may be absent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from connector.model import JsonObject
from connector.source.pages import Layout, PageSlice, decode_span, slice_of
from connector.source.raw_page import RawPage
from connector.values import dataclass

_MAX_TEXT = 300
"""Characters of an API text that are shown: a sentence or two, never a body."""

_MAX_ERRORS = 10
"""Errors read from one envelope, chained ones included; more would not fit into a message."""


@dataclass(frozen=True, slots=True)
class ApiError:
    """One entry of ``errors``: code, text and the request parameter it points at, if any."""

    code: int | None
    text: str
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The JSON object of one response.

    *lenient*: only the lenient decoder accepted it (see ``decode``). The items of a page are still in *raw*;
    one that must not be split in one step has a *layout*, and they are still in *body*.
    """

    document: JsonObject
    lenient: bool = False
    layout: Layout | None = None
    body: bytes = b""
    raw: RawPage | None = None

    @property
    def failed(self) -> bool:
        """Whether ``success`` is false."""
        return self.document.get("success") is False

    @property
    def result(self) -> object:
        """The ``result``; ``None`` where it is absent."""
        return self.document.get("result")

    @property
    def info(self) -> JsonObject:
        """``result_info``; empty where it is absent."""
        info = self.document.get("result_info")
        return info if isinstance(info, dict) else {}

    @property
    def rows(self) -> list[object] | None:
        """The ``result`` as a list; ``None`` when it is not a list.

        A missing result counts as an empty list only when ``result_info.count`` is 0 as well.
        """
        result = self.result
        if isinstance(result, list):
            return cast("list[object]", result)
        return [] if result is None and self.info.get("count") == 0 else None

    @property
    def row_count(self) -> int | None:
        """The number of rows of a page; ``None`` when the ``result`` is not a list."""
        if self.raw is not None:
            return len(self.raw.items)
        if self.layout is not None:
            return self.layout.rows
        rows = self.rows
        return None if rows is None else len(rows)

    def slices(self) -> Iterator[PageSlice]:
        """Decode the rows of a page, slice by slice; at least one slice, which may be empty."""
        if self.raw is not None:
            yield self.raw.slice()
            return
        if self.layout is None or not self.layout.spans:
            yield slice_of(self.rows or [], lenient=self.lenient)
            return
        for span in self.layout.spans:
            yield decode_span(self.body, span)

    @property
    def api_errors(self) -> tuple[ApiError, ...]:
        """All errors in order, each followed by its ``error_chain``."""
        flat: list[ApiError] = []
        _flatten_errors(self.document.get("errors"), flat)
        return tuple(flat)


def _flatten_errors(errors: object, flat: list[ApiError]) -> None:
    for error in errors if isinstance(errors, list) else []:
        if not isinstance(error, dict):
            continue
        code = error.get("code")
        flat.append(
            ApiError(
                code if isinstance(code, int) and not isinstance(code, bool) else None,
                one_line(error.get("message")),
                _pointer(error.get("source")),
            )
        )
        if len(flat) < _MAX_ERRORS:
            _flatten_errors(error.get("error_chain"), flat)


def _pointer(source: object) -> str:
    return one_line(source.get("pointer")) if isinstance(source, dict) else ""


def one_line(text: object) -> str:
    """Reduce text of a peer to one short line without control characters, safe in logs and on terminals."""
    plain = text if isinstance(text, str) else ""
    clean = "".join(letter if letter.isprintable() else " " for letter in plain[: 4 * _MAX_TEXT])
    return " ".join(clean.split())[:_MAX_TEXT]
