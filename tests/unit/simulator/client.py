"""A plain client over real sockets, and a clock that tests move."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
START = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
TOKEN = {"Authorization": "Bearer token-of-a-test"}
EVERYTHING = {"detections_only": "false", "per_page": "1000"}


class Clock:
    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **length: float) -> None:
        self.now += timedelta(**length)


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ids(self) -> list[str]:
        return [record["id"] for record in self.json["result"]]

    @property
    def next(self) -> str | None:
        found = self.json["result_info"].get("next")
        assert found is None or isinstance(found, str)
        return found


class Client:
    """Asks one simulator; every request on a connection of its own."""

    def __init__(self, base_url: str, headers: Mapping[str, str] | None = None) -> None:
        self.base_url = base_url
        self.headers = TOKEN if headers is None else headers
        self._place = urlsplit(base_url)

    def send(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        timeout: float = 10,
        body: object = None,
    ) -> Reply:
        """Ask for a path below the base URL, or for a whole URL."""
        target = urlsplit(path).path + ("?" + urlsplit(path).query if urlsplit(path).query else "")
        if not path.startswith(("http:", "/client/v4")):
            target = self._place.path + target
        connection = http.client.HTTPConnection(str(self._place.hostname), self._place.port, timeout=timeout)
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(
                method, target, content, headers=dict(self.headers if headers is None else headers)
            )
            answer = connection.getresponse()
            return Reply(
                answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
            )
        finally:
            connection.close()

    def simulate(self, directions: str) -> Client:
        """Return a client whose every request asks for *directions*."""
        return Client(self.base_url, {**self.headers, "X-Simulate": directions})

    def search(self, **parameters: str) -> Reply:
        """Ask for one page."""
        return self.send(f"/accounts/{ACCOUNT}/email-security/investigate?{urlencode(parameters)}")

    def record(self, record_id: str, sibling: str = "") -> Reply:
        """Ask for one record, or for what a sibling endpoint says of it."""
        return self.send(f"/accounts/{ACCOUNT}/email-security/investigate/{record_id}{sibling}")

    def act(self, path: str, body: object, method: str = "POST") -> Reply:
        """Send *body* to a path below the account's Email Security."""
        return self.send(f"/accounts/{ACCOUNT}/email-security/{path}", method=method, body=body)

    def pages(self, **parameters: str) -> Iterator[Reply]:
        """Walk a search to its end."""
        reply = self.search(**parameters)
        yield reply
        while reply.next:
            reply = self.search(**parameters, cursor=reply.next)
            yield reply

    def walk(self, **parameters: str) -> list[str]:
        """Return the ids of a whole search, in the order received."""
        return [one for page in self.pages(**parameters) for one in page.ids]
