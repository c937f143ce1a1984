"""The endpoint's token: as ``Authorization: Bearer``, or as the password of Basic authentication."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

_OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that probes may ask without the token. /readyz then gives no reasons."""

_KEY = "connector.authenticated"
_CHALLENGE = 'Basic realm="email-connector", charset="UTF-8"'


class Authentication:
    """Lets only requests with *token* through to *app*, except for the probes' paths."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._digest = _digest(token.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or ask for the token with a 401."""
        scope[_KEY] = self._accepts(scope)
        if scope[_KEY] or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        headers = {"WWW-Authenticate": _CHALLENGE, "Cache-Control": "no-store"}
        await Response("token required\n", 401, headers, "text/plain")(scope, receive, send)

    def _accepts(self, scope: Scope) -> bool:
        values = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(values) != 1:
            return False
        # Digests have the same length, so the comparison takes the same time for every wrong token.
        return hmac.compare_digest(_digest(_credential(values[0])), self._digest)


def is_authenticated(scope: Scope) -> bool:
    """Whether the request came with the token."""
    return scope.get(_KEY) is True


def _credential(header: bytes) -> bytes:
    scheme, _, value = header.partition(b" ")
    value = value.strip()
    if scheme.lower() != b"basic":
        return value if scheme.lower() == b"bearer" else b""
    try:
        return base64.b64decode(value, validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
