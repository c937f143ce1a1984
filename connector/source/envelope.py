"""The frame around every answer: ``success``, ``errors``, ``result``, ``result_info``; any part may lack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from connector.model import JsonObject

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class ApiError:
    """One of Cloudflare's errors: its code and text, and the part of the request it points at, if any."""

    code: int | None
    text: str
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One answer's document."""

    document: JsonObject
    lenient: bool = False

    @property
    def failed(self) -> bool:
        """Whether the document itself says that the request failed."""
        return self.document.get("success") is False

    @property
    def result(self) -> object:
        """What the answer is about; ``None`` where it says nothing."""
        return self.document.get("result")

    @property
    def info(self) -> JsonObject:
        """The paging part; empty where there is none."""
        info = self.document.get("result_info")
        return info if isinstance(info, dict) else {}

    @property
    def rows(self) -> list[object] | None:
        """The result as a list; ``None`` when it is none.

        No list at all counts as an empty one only where the answer also says that it holds no rows.
        """
        result = self.result
        if isinstance(result, list):
            return cast("list[object]", result)
        return [] if result is None and self.info.get("count") == 0 else None

    @property
    def api_errors(self) -> tuple[ApiError, ...]:
        """All errors, chained ones after the one they explain."""
        found: list[ApiError] = []
        _flatten_errors(self.document.get("errors"), found)
        return tuple(found)


def _flatten_errors(errors: object, found: list[ApiError]) -> None:
    for error in errors if isinstance(errors, list) else []:
        if not isinstance(error, dict):
            continue
        code = error.get("code")
        found.append(
            ApiError(
                code if isinstance(code, int) and not isinstance(code, bool) else None,
                one_line(error.get("message")),
                _pointer(error.get("source")),
            )
        )
        if len(found) < 10:  # noqa: PLR2004, a chain longer than this explains nothing any more
            _flatten_errors(error.get("error_chain"), found)


def _pointer(source: object) -> str:
    return one_line(source.get("pointer")) if isinstance(source, dict) else ""


def one_line(text: object) -> str:
    """Make foreign text fit for a message to a person: one short line without control characters."""
    plain = text if isinstance(text, str) else ""
    clean = "".join(letter if letter.isprintable() else " " for letter in plain[: 4 * _LONGEST])
    return " ".join(clean.split())[:_LONGEST]
