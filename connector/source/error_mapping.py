"""Maps failed responses of the API to the ``SourceError`` tree, with a hint for the operator.

The HTTP status decides, Cloudflare's error codes refine it. An HTML page comes from Cloudflare's edge or a
proxy, never from the API; the edge's 1xxx code is read from its text. The codes are from public reports:
Cloudflare publishes no list.
"""

from __future__ import annotations

import re

from connector.errors import BadQuery, Denied, SearchIncomplete, SourceError, Unavailable
from connector.net.transport import Response, TooLarge, TransportError, Unsendable
from connector.source.envelope import ApiError, Envelope, one_line
from connector.source.pages import ANSWER_TOO_LARGE

ROUTE_CODES = frozenset({7000, 7003})
_CREDENTIAL_CODES = frozenset({6003, 6103, 6111, 9106, 9109, 9300, 10000, 10001})
_LIMIT_CODES = frozenset({10100})


def credential_hint(permission: str) -> str:
    """What to do where a request that needs *permission* is denied."""
    return f"check that the credential is valid, belongs to this account and has {permission}"


PERMISSION = "Cloud Email Security: Read"
CREDENTIAL_HINT = credential_hint(PERMISSION)
"""The permission that nearly every request needs, and the hint where it is denied."""

_MALFORMED = "the credential is malformed: paste it again, without quotes, spaces or 'Bearer'"
_HINTS = {
    6003: _MALFORMED,
    6103: _MALFORMED,
    6111: _MALFORMED,
    7000: "check account_id and base_url",
    7003: "check account_id: see the account's overview page or the dashboard URL",
    9106: "the API received no credential: a proxy may strip headers",
    9109: CREDENTIAL_HINT,
    9300: "the login of this credential expired: create a new token",
    10000: CREDENTIAL_HINT,
    10001: CREDENTIAL_HINT,
    10100: "other clients use up this credential's 1200 requests per 5 minutes",
    10405: "this URL does not accept searches: check base_url",
}
_BY_STATUS = {
    400: "check the filters of this search",
    401: CREDENTIAL_HINT,
    403: CREDENTIAL_HINT,
    404: "check account_id and base_url",
    405: "check base_url",
    407: "the proxy requires credentials: check its URL",
    410: "Cloudflare retired this endpoint: look for a newer version of the connector",
    422: "check the filters of this search",
    429: "all requests of this credential pause until the rate limit ends",
}
_EDGE = "Cloudflare's edge blocked the request before it reached the API; the token is not the cause"
_NOT_API = "this response is not from the API: check base_url and proxies"
_EDGE_CODE = re.compile(r"(?:error code:?|error|cf-error-code\D{0,20})\s*(1\d{3})\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def from_response(response: Response, envelope: Envelope | None) -> SourceError:
    """Classify an unsuccessful response; *envelope* is its JSON object, if it has one."""
    if envelope is None:
        return _from_html(response)
    api_errors = envelope.api_errors
    code = _first_code(api_errors)
    text = "; ".join(_describe(api_error) for api_error in api_errors) or "no reason given"
    known = [_HINTS[c.code] for c in api_errors if c.code in _HINTS]
    hint = known[-1] if known else _BY_STATUS.get(response.status, "")
    return _classify(
        response, code, f"{_describe_status(response.status)}: {text}", hint, _code_kinds(api_errors)
    )


def from_transport_error(error: TransportError) -> SourceError:
    """Classify an exchange without a complete response."""
    if isinstance(error, TooLarge):
        return SearchIncomplete(ANSWER_TOO_LARGE, hint=error.reason)
    if isinstance(error, Unsendable):
        return Denied(
            "the request cannot be sent: the credential contains characters that are invalid in a header",
            hint=_MALFORMED,
        )
    return Unavailable(error.reason)


def from_content(response: Response, what: str) -> Unavailable:
    """Classify a response whose status is fine but whose content is unusable."""
    return Unavailable(
        f"unusable response from the API: {what}", status=response.status, ray=response.headers.get("cf-ray")
    )


def is_retryable(response: Response, error: SourceError) -> bool:
    """Whether the same request may succeed if repeated within seconds."""
    status = response.status
    return isinstance(error, Unavailable) and (status == 408 or status >= 500 or response.ok)  # noqa: PLR2004


def is_gateway_timeout(response: Response) -> bool:
    """Whether the edge timed out waiting for the API, as it does when a search covers too much."""
    return response.status in {504, 524}


def _from_html(response: Response) -> SourceError:
    """Classify a response without a JSON object: HTML of the edge or of something in between."""
    text = response.body[:20_000].decode("utf-8", "replace")
    edge_code = _EDGE_CODE.search(_TAG.sub(" ", text)) or _EDGE_CODE.search(text)
    code = int(edge_code[1]) if edge_code else None
    title = _TITLE.search(text)
    excerpt = one_line(_TAG.sub(" ", title[1] if title else text))[:120]
    kind = response.headers.get("content-type", "no content type").split(";")[0].strip()[:60]
    reason = f"{_describe_status(response.status)}, with {kind} instead of JSON" + (
        f": {excerpt}" if excerpt else ""
    )
    status = response.status
    hint = _NOT_API if response.ok or 300 <= status < 400 else _BY_STATUS.get(status, "")  # noqa: PLR2004
    if status in {401, 403, 409}:
        return Unavailable(reason, status=status, code=code, ray=response.headers.get("cf-ray"), hint=_EDGE)
    return _classify(response, code, reason, hint, (False, False))


def _classify(
    response: Response, code: int | None, reason: str, hint: str, kinds: tuple[bool, bool]
) -> SourceError:
    status, ray = response.status, response.headers.get("cf-ray")
    credential, limit = kinds
    kind: type[SourceError] = Unavailable
    if status in {401, 403} or (credential and status == 400):  # noqa: PLR2004
        kind = Denied
    elif 400 <= status < 500 and status not in {407, 408, 429} and not limit:  # noqa: PLR2004
        kind = BadQuery
    return kind(reason, status=status, code=code, ray=ray, hint=hint)


def _code_kinds(api_errors: tuple[ApiError, ...]) -> tuple[bool, bool]:
    codes = {api_error.code for api_error in api_errors}
    return bool(codes & _CREDENTIAL_CODES), bool(codes & _LIMIT_CODES)


def _first_code(api_errors: tuple[ApiError, ...]) -> int | None:
    return next((api_error.code for api_error in api_errors if api_error.code is not None), None)


def _describe(api_error: ApiError) -> str:
    code = f" ({api_error.code})" if api_error.code is not None else ""
    at = f", at {api_error.pointer}" if api_error.pointer else ""
    return (api_error.text or "no text given") + code + at


def _describe_status(status: int) -> str:
    if 200 <= status < 300:  # noqa: PLR2004
        return "the API reported a failure"
    if 300 <= status < 400:  # noqa: PLR2004
        return "the API redirected elsewhere"
    if status in {401, 403}:
        return "the API denied access"
    if status == 429:  # noqa: PLR2004
        return "the API's rate limit is reached"
    return "the API refused the request" if status < 500 else "the API failed"  # noqa: PLR2004
