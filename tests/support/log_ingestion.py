"""A fake of the Logs Ingestion API and of its token authority, on a loopback socket."""

from __future__ import annotations

import contextlib
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs

import orjson

from tests.support.scripted_http import Asked, Reply, ScriptedServer, json_reply, scripted

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "66666666-7777-8888-9999-000000000000"
RULE = "dcr-0123456789abcdef0123456789abcdef"
STREAM = "Custom-CloudflareEmailSecurity_CL"
SECRET = "s3cret&of/the app"
LARGEST = 1_000_000
"""Bytes of a request before compression."""


class LogIngestion:
    """Takes arrays of rows for one rule and stream, from whoever has the newest token.

    *judge* may answer instead, given the request and its rows. *columns* are those of the rule: others
    vanish, as they do in Azure.
    """

    def __init__(
        self,
        judge: Callable[[Asked, list[Any]], Reply | None] = lambda _asked, _rows: None,
        columns: set[str] | None = None,
    ) -> None:
        self.judge = judge
        self.columns = columns
        self.rows: list[dict[str, Any]] = []
        self.calls: list[Asked] = []
        self.grants: list[dict[str, str]] = []
        self.lifetime: object = 3599
        self.revoked: set[str] = set()
        self.server: ScriptedServer | None = None

    def __call__(self, asked: Asked) -> Reply:
        if asked.path == f"/{TENANT}/oauth2/v2.0/token":
            self.grants.append({key: values[0] for key, values in parse_qs(asked.body.decode()).items()})
            token = {"token_type": "Bearer", "expires_in": self.lifetime, "access_token": self.newest}
            return json_reply(token)
        self.calls.append(asked)
        if asked.path != f"/dataCollectionRules/{RULE}/streams/{STREAM}":
            return json_reply({"error": {"code": "NotFound", "message": "no such rule or stream"}}, 404)
        bearer = asked.headers.get("authorization", "")
        if bearer != f"Bearer {self.newest}" or bearer in self.revoked:
            return json_reply({"error": {"code": "InvalidToken", "message": bearer}}, 401)
        body = asked.body
        if asked.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if len(body) > LARGEST:
            return json_reply({"error": {"code": "ContentLengthLimitExceeded"}}, 413)
        rows = orjson.loads(body)
        reply = self.judge(asked, rows)
        if reply is not None:
            return reply
        assert all("TimeGenerated" in row for row in rows)
        for row in rows:
            self.rows.append({k: v for k, v in row.items() if self.columns is None or k in self.columns})
        return Reply(204)

    @property
    def newest(self) -> str:
        """The token that counts."""
        return f"token-{len(self.grants)}-of-the-authority"

    @property
    def url(self) -> str:
        assert self.server is not None
        return self.server.url

    def documents(self) -> list[bytes]:
        """The rows as they were before the output added the time."""
        return [orjson.dumps({k: v for k, v in row.items() if k != "TimeGenerated"}) for row in self.rows]


def settings(url: str, **more: Any) -> dict[str, Any]:
    """Settings of an output whose endpoint and authority are at *url*."""
    auth = {"tenant_id": TENANT, "client_id": CLIENT, "client_secret": SECRET, "authority": url}
    given = {"type": "sentinel", "url": url, "rule": RULE, "auth": auth, **more}
    if "tls" in more:
        auth["tls"] = more["tls"]
    return given


@contextlib.asynccontextmanager
async def log_ingestion(
    judge: Callable[[Asked, list[Any]], Reply | None] = lambda _asked, _rows: None,
    *,
    columns: set[str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[LogIngestion]:
    """Run the fake on a free port of 127.0.0.1."""
    site = LogIngestion(judge, columns)
    async with scripted(site, tls=tls) as site.server:
        yield site
