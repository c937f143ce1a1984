"""Builds responses: Cloudflare's JSON envelope, its errors, and the HTML error pages of its edge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from connector.simulator.exchange import HTML_TYPE, ApiReply
from connector.simulator.values import Body, Era, encode

LastPage = Literal["null", "absent", "empty"]


@dataclass(frozen=True, slots=True)
class ApiProblem:
    """One entry of ``errors``; *chain* is Cloudflare's ``error_chain``, *pointer* names a parameter."""

    code: int
    message: str
    chain: tuple[tuple[int, str], ...] = ()
    pointer: str | None = None

    def body(self) -> Body:
        """Return the entry as JSON data."""
        body: Body = {"code": self.code, "message": self.message}
        if self.pointer is not None:
            body["source"] = {"pointer": self.pointer}
        if self.chain:
            body["error_chain"] = [{"code": code, "message": message} for code, message in self.chain]
        return body


class Refusal(Exception):
    """A request that the schema does not allow."""

    def __init__(self, problem: ApiProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


MISSING: Final = ApiProblem(9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
DENIED: Final = ApiProblem(10000, "Authentication error")
BAD_BEARER: Final = ApiProblem(
    6003, "Invalid request headers", ((6111, "Invalid format for Authorization header"),)
)
BAD_KEY: Final = ApiProblem(
    6003, "Invalid request headers", ((6103, "Invalid format for X-Auth-Key header"),)
)
BAD_TOKEN: Final = ApiProblem(1000, "Invalid API Token")
NO_ROUTE: Final = ApiProblem(7000, "No route for that URI")
BAD_METHOD: Final = ApiProblem(10405, "Method not allowed for this authentication scheme")
NOT_FOUND: Final = ApiProblem(1001, "Message not found")
BAD_CURSOR: Final = ApiProblem(1002, "Invalid or expired cursor")
NO_SEARCH: Final = ApiProblem(1003, "Search results not found or expired")


def could_not_route(path: str) -> ApiProblem:
    """Build the error for a path with a malformed identifier."""
    return ApiProblem(7003, f"Could not route to {path}, perhaps your object identifier is invalid?")


def failure(status: int, *problems: ApiProblem) -> ApiReply:
    """Build an error response with the documented envelope."""
    errors = [problem.body() for problem in problems]
    return ApiReply(status, encode({"success": False, "errors": errors, "messages": [], "result": None}))


def success(result: object, message: Body | None = None, *, info: Body | None = None) -> ApiReply:
    """Build a response with one result; *info* is its ``result_info``, if it has one."""
    document: Body = {"errors": [], "messages": [message] if message else [], "result": result}
    if info is not None:
        document["result_info"] = info
    return ApiReply(200, encode({**document, "success": True}))


def page(records: Iterable[bytes], info: Body, status: int = 200) -> ApiReply:
    """Build one page of a search from encoded records."""
    body = b"".join((
        b'{"errors":[],"messages":[],"result":[', b",".join(records),
        b'],"result_info":', encode(info), b',"success":true}',
    ))  # fmt: skip
    return ApiReply(status, body)


def result_info(count: int, per_page: int, following: str | None, last: LastPage, era: Era) -> Body:
    """Build ``result_info``; *last* is the form of ``next`` on the last page."""
    info: Body = {"count": count, "per_page": per_page}
    if era != "sunset":
        info |= {"page": 0, "total_count": 0}
    if following is not None:
        info["next"] = following
    elif last != "absent":
        info["next"] = None if last == "null" else ""
    info["previous"] = None
    return info


def html(status: int, title: str, ray: str = "") -> ApiReply:
    """Build an HTML error page of the edge."""
    text = (
        f'<!DOCTYPE html>\n<html lang="en-US"><head><title>{title}</title></head>\n'
        f"<body><h1>{title}</h1><p>Ray ID: <strong>{ray}</strong></p>"
        "<p>Please try again in a few minutes.</p></body></html>\n"
    )
    return ApiReply(status, text.encode(), HTML_TYPE)
