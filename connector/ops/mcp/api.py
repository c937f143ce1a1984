"""The HTTP API of a running connector, called as one of its callers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

import orjson

from connector.errors import ConfigurationError, ConnectorError, Problem
from connector.formats.json import encode
from connector.masking import mask_secrets
from connector.model import JsonObject
from connector.net.http import HttpClient, Response
from connector.net.loopback import is_loopback
from connector.net.tls import TlsOptions
from connector.net.transport import TransportError
from connector.ops.mcp.tools import ApiRequest
from connector.secret import Secret, urlsplit_uncached

SECONDS: Final = 50.0
"""Longest exchange: the wait for an action's end and the reading before it; below a client's usual minute."""

_LARGEST: Final = 16 << 20
"""Bytes of an answer that are read; what an assistant gets is shortened from them."""


class ApiRefusal(ConnectorError):
    """The connector refused a call, or there is no answer. The text is for the assistant."""

    kind = "api_refusal"


def check_url(url: str) -> str:
    """*url* without a slash at its end; raises ``ConfigurationError`` for one that must not be called."""
    wrong = ""
    try:
        parts = urlsplit_uncached(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigurationError(Problem("--url: not a URL")) from None
    if parts.scheme not in {"http", "https"} or not host:
        wrong = "expected http://HOST:PORT or https://HOST:PORT"
    elif parts.username is not None or parts.path not in {"", "/"} or parts.query or parts.fragment:
        wrong = "expected scheme, host and port only"
    elif parts.scheme == "http" and not is_loopback(host):
        wrong = "expected https: the token must not cross a network in clear text"
    if wrong:
        raise ConfigurationError(Problem(f"--url: {wrong}", hint="it is the address in actions.listen"))
    return url.rstrip("/")


class Api:
    """Calls the HTTP API.

    Args:
        url: of the API, without a slash at its end.
        token: of the caller.
        tls: how to verify the server, and the client's certificate.
    """

    def __init__(self, url: str, token: Secret, tls: TlsOptions | None = None) -> None:
        self._url = url
        self._token = token
        self._http = HttpClient(tls=tls, timeout=SECONDS, max_body=_LARGEST)

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    def mask(self, text: str) -> str:
        """*text* without the token, should somebody have repeated it."""
        return mask_secrets(text, [self._token.reveal()])

    async def call(self, request: ApiRequest) -> JsonObject:
        """Send *request* and return the answer; raises ``ApiRefusal``."""
        try:
            response = await self._send(request)
            if response.status == HTTPStatus.UNAUTHORIZED and self._token.refresh():
                # Refused before anything was done: the token's file has another one since.
                response = await self._send(request)
        except TransportError as error:
            told = f"No answer from the connector: {error.reason}."
            if request.request_id and not request.preview:
                told += (
                    " Whether it was done is unknown: call again with the same arguments and request_id "
                    f"{request.request_id!r}, and it is done once at most."
                )
            raise ApiRefusal(self.mask(told)) from None
        try:
            document = orjson.loads(response.body)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise ApiRefusal(f"{self._url} answered {response.status} without JSON: is it a connector?")
        if not response.ok:
            raise ApiRefusal(self.mask(_refusal_text(response, document)))
        return document

    async def _send(self, request: ApiRequest) -> Response:
        headers = {"authorization": f"Bearer {self._token.reveal()}"}
        content = None
        if request.body is not None:
            headers["content-type"] = "application/json"
            content = encode(request.body)
        query = f"?{urlencode(request.query)}" if request.query else ""
        return await self._http.request(
            request.method, f"{self._url}{request.path}{query}", headers=headers, content=content
        )


def _refusal_text(response: Response, problem: JsonObject) -> str:
    """A refusal in one line: status, code and what to do."""
    after = response.headers.get("retry-after", "")
    later = f" Try again after {after} seconds." if after.isdigit() else ""
    return f"[{response.status}] {problem.get('code', 'unknown')}: {problem.get('detail', '')}{later}"
