"""Applies faults to responses: replaces them, or damages their bodies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from connector.simulator import envelope
from connector.simulator.envelope import ApiProblem
from connector.simulator.exchange import HTML_TYPE, ApiReply
from connector.simulator.faults import Fault

_LARGE: Final = 64 << 20
"""Bytes of an oversized body: as many as the connector reads at most."""
_HTML_TITLES: Final = {
    500: "500 Internal Server Error", 502: "Bad gateway", 503: "Service Temporarily Unavailable",
    504: "Gateway time-out", 520: "Web server is returning an unknown error", 521: "Web server is down",
    522: "Connection timed out", 523: "Origin is unreachable", 524: "A timeout occurred",
    530: "Origin DNS error",
}  # fmt: skip


def replaced(fault: Fault, ray: str) -> ApiReply | None:
    """Return the response that *fault* substitutes, or ``None`` if it lets the request pass."""
    build = _ANSWERS.get(fault.kind)
    return build(fault, ray) if build else None


def spoiled(fault: Fault, answer: ApiReply) -> ApiReply:
    """Damage the body of a correct response, if *fault* does that."""
    spoil = _BODIES.get(fault.kind)
    return spoil(fault, answer) if spoil else answer


def rate_limited(wait: int | None) -> ApiReply:
    """Build a 429, with ``Retry-After`` if *wait* is given."""
    text = "More than 1200 requests per 300 seconds reached."
    advice = "Please wait and consider throttling your request speed"
    answer = envelope.failure(429, ApiProblem(10100, f"{text} {advice}"))
    if wait is not None:
        answer.headers["Retry-After"] = str(wait)
    return answer


def _rate_limited(fault: Fault, _ray: str) -> ApiReply:
    wait = 300 if fault.retry_after is None else fault.retry_after
    return rate_limited(wait if wait >= 0 else None)


def _server_error(fault: Fault, _ray: str) -> ApiReply:
    answer = envelope.failure(
        fault.status or 500, ApiProblem(fault.code or 10001, fault.text or "Internal error")
    )
    return _waiting(answer, fault.retry_after)


def _html_error(fault: Fault, ray: str) -> ApiReply:
    status = fault.status or 502
    answer = envelope.html(status, fault.text or _HTML_TITLES.get(status, f"Error {status}"), ray)
    return _waiting(answer, fault.retry_after)


def _edge_error(fault: Fault, ray: str) -> ApiReply:
    code = fault.code or 1015
    text = fault.text or {1015: "You are being rate limited", 1020: "Access denied"}.get(code, "Edge error")
    answer = envelope.html(fault.status or 429, f"Error {code}: {text}", ray)
    return _waiting(answer, 30 if fault.retry_after is None else fault.retry_after)


def _refused(fault: Fault, _ray: str) -> ApiReply:
    return envelope.failure(fault.status or 400, ApiProblem(fault.code or 1004, fault.text or "Bad request"))


def _failure(fault: Fault, _ray: str) -> ApiReply:
    return envelope.failure(200, ApiProblem(fault.code or 10000, fault.text or "Something went wrong"))


def _null_result(_fault: Fault, _ray: str) -> ApiReply:
    return envelope.success(None)


def _not_json(fault: Fault, _ray: str) -> ApiReply:
    return envelope.html(200, fault.text or "Sign in to the network")


def _redirect(fault: Fault, _ray: str) -> ApiReply:
    target = fault.location or "http://foreign.example/"
    return ApiReply(fault.status or 302, b"", HTML_TYPE, {"Location": target})


def _waiting(answer: ApiReply, wait: int | None) -> ApiReply:
    if wait is not None and wait >= 0:
        answer.headers["Retry-After"] = str(wait)
    return answer


def _error_after_effect(fault: Fault, answer: ApiReply) -> ApiReply:
    status = fault.status or 500
    error = (
        envelope.html(status, _HTML_TITLES[status])
        if status > 500 and status in _HTML_TITLES  # noqa: PLR2004, the edge answers these itself
        else envelope.failure(status, ApiProblem(fault.code or 10001, fault.text or "Internal error"))
    )
    error.effects = answer.effects
    return error


def _late_effect(fault: Fault, answer: ApiReply) -> ApiReply:
    return _error_after_effect(replace(fault, status=fault.status or 504), answer)


def _cut_json(_fault: Fault, answer: ApiReply) -> ApiReply:
    answer.body = answer.body[: len(answer.body) * 3 // 5]
    answer.served = []
    return answer


def _wrong_type(_fault: Fault, answer: ApiReply) -> ApiReply:
    answer.type = HTML_TYPE
    return answer


def _bare(_fault: Fault, answer: ApiReply) -> ApiReply:
    answer.body = answer.body.replace(b'"errors":[],"messages":[],', b"", 1)
    return answer


def _no_info(_fault: Fault, answer: ApiReply) -> ApiReply:
    head, separator, _ = answer.body.rpartition(b',"result_info":')
    answer.body = head + b',"success":true}' if separator else answer.body
    return answer


def _in_subjects(text: bytes) -> Callable[[Fault, ApiReply], ApiReply]:
    def spoil(_fault: Fault, answer: ApiReply) -> ApiReply:
        answer.body = answer.body.replace(b'"subject":"', b'"subject":"' + text)
        return answer

    return spoil


def _huge_number(_fault: Fault, answer: ApiReply) -> ApiReply:
    answer.body = answer.body.replace(b'"result":[{', b'"result":[{"size":1e400,', 1)
    return answer


def _oversized(fault: Fault, answer: ApiReply) -> ApiReply:
    answer.body += b" " * (fault.size or _LARGE)
    return answer


def _bad_gzip(_fault: Fault, answer: ApiReply) -> ApiReply:
    answer.headers["Content-Encoding"] = "gzip"
    answer.served = []
    return answer


_ANSWERS: Final[Mapping[str, Callable[[Fault, str], ApiReply]]] = {
    "rate_limited": _rate_limited, "server_error": _server_error, "html_error": _html_error,
    "edge_error": _edge_error, "refused": _refused, "failure": _failure, "null_result": _null_result,
    "not_json": _not_json, "redirect": _redirect,
}  # fmt: skip

_BODIES: Final[Mapping[str, Callable[[Fault, ApiReply], ApiReply]]] = {
    "cut_json": _cut_json, "wrong_type": _wrong_type, "bare": _bare, "no_info": _no_info,
    "error_after_effect": _error_after_effect, "late_effect": _late_effect,
    "invalid_utf8": _in_subjects(b"\xff\xfe\xc3("), "lone_surrogate": _in_subjects(b"\\ud83d"),
    "huge_number": _huge_number, "oversized": _oversized, "bad_gzip": _bad_gzip,
}  # fmt: skip
