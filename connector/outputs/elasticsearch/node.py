"""One node of an Elasticsearch or OpenSearch cluster: credentials, requests, and what a status means."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence

import orjson

from connector.errors import DeliveryError
from connector.interfaces import Clock
from connector.model import Event, JsonObject
from connector.net.transport import Response
from connector.outputs.elasticsearch.bulk import describe_response
from connector.outputs.http.auth import header_secrets
from connector.outputs.shared.failover import MultiUrlSettings, address
from connector.outputs.shared.http_client import HttpSender
from connector.outputs.shared.url import Url
from connector.secret import Secret

_BULK = "/_bulk"
# Leaves out the response's copies of the request; an error of the whole request is never filtered.
_FILTER = "?filter_path=errors,items.*.status,items.*.error,items.*.failure_store"
# A response with one of these is about credentials and address, not about the content of a document.
_QUOTABLE = {401, 402, 403, 404, 405, 407, 413}


class ClusterCredentials:
    """Credentials for the cluster: none, an API key, or a user with a password."""

    def __init__(self, api_key: Secret | None, username: str | None, password: Secret | None) -> None:
        self._api_key = api_key
        self._username = username
        self._password = password

    def refresh(self) -> None:
        """Read rotated credentials again."""
        for secret in self._secrets():
            secret.refresh()

    def headers(self) -> dict[str, str]:
        """The Authorization header, if any."""
        if self._api_key is not None:
            text = self._api_key.reveal().strip()
            # An encoded key contains no colon; the pair id:key does.
            return {"authorization": f"ApiKey {_base64(text) if ':' in text else text}"}
        if self._password is not None:
            return {"authorization": f"Basic {_base64(f'{self._username}:{self._password.reveal()}')}"}
        return {}

    def header_secrets(self) -> Iterator[str]:
        """Texts that no error may show."""
        yield from header_secrets(self.headers())
        for secret in self._secrets():
            for text in (secret.reveal(), _decoded(secret.reveal())):
                yield text
                yield text.rpartition(":")[2]

    def _secrets(self) -> Iterator[Secret]:
        yield from (secret for secret in (self._api_key, self._password) if secret is not None)


class ClusterNode:
    """Sends requests to one node.

    Args:
        settings: of the output.
        url: of the node.
        credentials: for every request.
        clock: the wall clock.
    """

    def __init__(
        self, settings: MultiUrlSettings, url: Url, credentials: ClusterCredentials, clock: Clock
    ) -> None:
        self._url = url
        self._credentials = credentials
        self._sender = HttpSender(settings, url, (), clock)

    @property
    def origin(self) -> str:
        """Scheme, host and port, for messages."""
        return self._url.origin

    async def open(self) -> None:
        """Read a rotated URL, proxy or certificate again."""
        await self._sender.open()

    @property
    def names_index_itself(self) -> bool:
        """Whether the request's URL names the index; a URL configured with ``/_bulk`` at its end does not."""
        return not self._url.parts.path.endswith(_BULK)

    def compressed(self, body: bytes) -> tuple[bytes, dict[str, str]]:
        """See ``HttpSettingsBase.compressed``."""
        return self._sender.compressed(body)

    async def bulk(self, target: str, content: bytes, encoding: Mapping[str, str]) -> Response:
        """Post a bulk request for the index or data stream *target*, with the URL's query parameters.

        *content* and *encoding* are what ``compressed`` returns.

        A URL that ends with ``/_bulk`` is used as it is: stores that imitate the API know no other path.
        """
        headers = {**self._credentials.headers(), "content-type": "application/x-ndjson", **encoding}
        path = f"/{target}{_BULK}" if self.names_index_itself else _BULK
        query = self._url.parts.query
        return await self._sender.post(
            content, headers, url=self._at(path + _FILTER + (f"&{query}" if query else ""))
        )

    async def request(self, method: str, path: str, body: JsonObject | None = None) -> Response:
        """Send a request about the cluster."""
        headers = dict(self._credentials.headers())
        content = None
        if body is not None:
            headers["content-type"] = "application/json"
            content = orjson.dumps(body)
        return await self._sender.request(method, headers, body=content, url=self._at(path))

    def classify(self, answer: Response, sent: Sequence[Event] = ()) -> DeliveryError | None:
        """What the status of *answer* means for the whole request; ``None`` for any 2xx."""
        if answer.ok:
            return None
        if answer.status in _QUOTABLE:
            return self._sender.classify(answer, self._credentials.header_secrets(), sent)
        return self._sender.error_for_status(answer, describe_response(answer.body))

    def describe(self, answer: Response, detail: str) -> str:
        """One line: origin, status and *detail*."""
        return self._sender.describe(answer, detail)

    async def close(self) -> None:
        """Close all connections."""
        await self._sender.close()

    def _at(self, path: str) -> str:
        return address(self._url, _BULK) + path


def document(answer: Response) -> JsonObject:
    """The JSON object in *answer*; an empty one if there is none."""
    try:
        parsed = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _decoded(text: str) -> str:
    """The decoded key; empty for any other text."""
    try:
        return base64.b64decode(text.strip(), validate=True).decode()
    except ValueError:
        return ""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
