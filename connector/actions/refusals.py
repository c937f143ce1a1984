"""Why a call is refused: HTTP status, a short code for programs, a sentence for people."""

from __future__ import annotations

from http import HTTPStatus

from connector.errors import ConnectorError

_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""As RFC 9110 has them; older versions of Python know former names."""


def phrase(status: int) -> str:
    """An HTTP status in words."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


class CallRefusedError(ConnectorError):
    """A call that is not carried out.

    Args:
        status: HTTP status of the answer.
        code: short and stable, for programs; ``docs/actions.md`` lists them.
        detail: why and what to do, for people.
        pointer: place in the request, as a JSON pointer, or the name of a parameter.
        retry_after: seconds after which the same call may succeed.
    """

    kind = "call_refused"

    def __init__(
        self, status: int, code: str, detail: str, *, pointer: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.pointer = pointer
        self.retry_after = retry_after


def malformed(pointer: str, detail: str) -> CallRefusedError:
    """A request that does not have the documented form."""
    return CallRefusedError(400, "malformed", f"{pointer}: {detail}" if pointer else detail, pointer=pointer)


def unprocessable(pointer: str, detail: str) -> CallRefusedError:
    """A request of the documented form that cannot be carried out as it is, whoever asks."""
    return CallRefusedError(
        422, "unprocessable", f"{pointer}: {detail}" if pointer else detail, pointer=pointer
    )


def out_of_scope(detail: str) -> CallRefusedError:
    """A request that the caller may not make."""
    return CallRefusedError(403, "out_of_scope", detail)


def not_found(detail: str) -> CallRefusedError:
    """A message, action or blocked sender that does not exist for the caller."""
    return CallRefusedError(404, "not_found", detail)


def conflict(code: str, detail: str) -> CallRefusedError:
    """A request that contradicts what is stored."""
    return CallRefusedError(409, code, detail)
