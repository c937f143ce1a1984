"""An Elasticsearch or OpenSearch cluster on a loopback socket, as far as delivery gets to see it."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tests.support.scripted_http import Asked, Reply, ScriptedServer, json_reply, scripted

STREAM = "logs-cloudflare.email_security-default"
API_KEY = "key-id:key-secret"
ENCODED = base64.b64encode(API_KEY.encode()).decode()


def failed(status: int, kind: str, reason: str, **more: Any) -> Reply:
    """An error of a whole request."""
    error = {"type": kind, "reason": reason, **more}
    return json_reply({"error": {"root_cause": [error], **error}, "status": status}, status)


def trouble(status: int, kind: str, reason: str, cause: str = "") -> dict[str, Any]:
    """What an item says of an event that was not stored."""
    error: dict[str, Any] = {"type": kind, "reason": reason}
    if cause:
        error["caused_by"] = {"type": "illegal_argument_exception", "reason": cause}
    return {"status": status, "error": error}


@dataclass
class BulkCollector:
    """What the cluster is like, and what it stored.

    Args:
        product: ``elasticsearch`` or ``opensearch``.
        authorization: the one value of the header that it accepts; ``None``: it has no security.
        streams: data streams that exist.
        indexes: indexes that exist.
        templates: index templates by name.
        policies: lifecycle policies by name: of ILM, or with their version of ISM.
        creates: whether what does not exist is made at the first event.
        verdict: says for a document what its item answers instead of storing it.
        diverted: says whether a document goes to the failure store.
        takes_ids: whether documents may have an ``_id``; OpenSearch Serverless may refuse it.
        longest: the most bytes of a request, unpacked.
        lacking: privileges that the credentials do not have.
        faults: answers to the next bulk requests, instead of taking them.
        answers: answers to any path, instead of the cluster's own.
    """

    product: str = "elasticsearch"
    authorization: str | None = None
    streams: set[str] = field(default_factory=lambda: {STREAM})
    indexes: set[str] = field(default_factory=set)
    templates: dict[str, Any] = field(default_factory=dict)
    policies: dict[str, Any] = field(default_factory=dict)
    creates: bool = False
    verdict: Callable[[Any], dict[str, Any] | None] = lambda _: None
    diverted: Callable[[Any], bool] = lambda _: False
    takes_ids: bool = True
    longest: int = 100 << 20
    lacking: frozenset[str] = frozenset()
    faults: list[Reply] = field(default_factory=list)
    answers: dict[str, Reply] = field(default_factory=dict)
    stored: dict[str, Any] = field(default_factory=dict)
    documents: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    params: list[dict[str, str]] = field(default_factory=list)
    server: ScriptedServer | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return self.server.url

    def answer(self, asked: Asked) -> Reply:
        """Answer one request as a cluster does."""
        if self.authorization is not None and asked.headers.get("authorization") != self.authorization:
            return failed(401, "security_exception", "unable to authenticate with provided credentials")
        if asked.path in self.answers:
            return self.answers[asked.path]
        parts = asked.path.strip("/").split("/")
        self.params.append(asked.params)
        if asked.method == "POST" and parts[-1] == "_bulk":
            return self._bulk(asked, parts[0])
        unknown = failed(400, "illegal_argument_exception", f"no handler found for uri [{asked.path}]")
        return self._about_cluster(asked, parts) or unknown

    def _about_cluster(self, asked: Asked, parts: list[str]) -> Reply | None:
        reply: Reply | None = None
        match asked.method, parts:
            case "GET", [""]:
                reply = self._about()
            case "GET", ["_data_stream", name]:
                reply = self._stream(name)
            case "HEAD", [name]:
                reply = Reply(200 if name in self.streams | self.indexes else 404)
            case "GET", ["_index_template"]:
                listed = [{"name": name, "index_template": one} for name, one in self.templates.items()]
                reply = json_reply({"index_templates": listed})
            case "PUT", ["_index_template", name]:
                reply = self._template(name, json.loads(asked.body))
            case "PUT", ["_ilm", "policy", name] if self.product == "elasticsearch":
                self.policies[name] = json.loads(asked.body)["policy"]
                reply = json_reply({"acknowledged": True})
            case _, ["_plugins", "_ism", "policies", name] if self.product == "opensearch":
                reply = self._ism(asked, name)
            case "POST", [_, "_search"]:
                reply = self._search(json.loads(asked.body))
            case "POST", ["_security", "user", "_has_privileges"] if self.product == "elasticsearch":
                reply = self._privileges(json.loads(asked.body))
        return reply

    def _stream(self, name: str) -> Reply:
        """The data stream of that name; OpenSearch answers with an empty list if an index has the name."""
        if name in self.streams:
            return json_reply({"data_streams": [{"name": name}]})
        if self.product == "opensearch" and name in self.indexes:
            return json_reply({"data_streams": []})
        return failed(404, "index_not_found_exception", "no such index")

    def _search(self, query: dict[str, Any]) -> Reply:
        """The document stored last of each record that is asked for."""
        wanted = query["query"]["terms"]["event.id"]
        newest = {each["event"]["id"]: (name, each) for name, each in self.stored.items() if "event" in each}
        hits = [{"_id": name, "_source": each} for key, (name, each) in newest.items() if key in wanted]
        return json_reply({"hits": {"hits": hits}})

    def _about(self) -> Reply:
        version = {"number": "9.5.0"}
        if self.product == "opensearch":
            version = {"number": "3.2.0", "distribution": "opensearch"}
        return json_reply({"name": "node", "cluster_name": "soc", "version": version})

    def _ism(self, asked: Asked, name: str) -> Reply:
        """Read or write a policy; one that exists is replaced by who names its version."""
        held = self.policies.get(name)
        if asked.method == "GET":
            return failed(404, "status_exception", "Policy not found") if held is None else json_reply(held)
        number = -1 if held is None else held["_seq_no"]
        if held is not None and asked.params.get("if_seq_no") != str(number):
            return failed(409, "version_conflict_engine_exception", "document already exists")
        body = {"_id": name, "_seq_no": number + 1, "_primary_term": 1, **json.loads(asked.body)}
        self.policies[name] = body
        return json_reply(body, status=201)

    def _template(self, name: str, body: dict[str, Any]) -> Reply:
        known = {"index_patterns", "priority", "version", "data_stream", "template", "_meta", "composed_of"}
        if not body.keys() <= known or not body.get("index_patterns"):
            return failed(400, "x_content_parse_exception", "unknown field")
        inner = body["template"]
        policy = inner["settings"]["index"].get("lifecycle", {}).get("name")
        if policy is not None and (self.product == "opensearch" or policy not in self.policies):
            return failed(400, "illegal_argument_exception", "unknown setting [index.lifecycle.name]")
        lenient = inner["settings"]["index"]["mapping"].get("ignore_malformed", False)
        time = inner["mappings"]["properties"]["@timestamp"]
        if "data_stream" in body and time.get("ignore_malformed", lenient):
            reason = "data stream timestamp field [@timestamp] has disallowed [ignore_malformed] attribute"
            return failed(400, "illegal_argument_exception", reason)
        self.templates[name] = body
        return json_reply({"acknowledged": True})

    def _privileges(self, body: dict[str, Any]) -> Reply:
        [wanted] = body["index"]
        held = {name: name not in self.lacking for name in wanted["privileges"]}
        return json_reply({"has_all_requested": all(held.values()), "index": {wanted["names"][0]: held}})

    def _bulk(self, asked: Asked, target: str) -> Reply:
        if self.faults:
            return self.faults.pop(0)
        if asked.headers.get("content-type") not in {"application/x-ndjson", "application/json"}:
            return failed(406, "media_type_header_exception", "Invalid media-type value on [content-type]")
        packed = asked.headers.get("content-encoding") == "gzip"
        body = gzip.decompress(asked.body) if packed else asked.body
        if len(body) > self.longest:
            return Reply(413)
        if not body.endswith(b"\n"):
            reason = "The bulk request must be terminated by a newline [\\n]"
            return failed(400, "illegal_argument_exception", reason)
        self.sizes.append(len(body))
        lines = body.split(b"\n")[:-1]
        items = [
            {"create": self._item(target, json.loads(action)["create"], document)}
            for action, document in zip(lines[::2], lines[1::2], strict=True)
        ]
        return json_reply({"errors": any("error" in item["create"] for item in items), "items": items})

    def _item(self, target: str, action: dict[str, Any], document: bytes) -> dict[str, Any]:
        target = action.get("_index", target)
        if not self.takes_ids and "_id" in action:
            reason = "Document ID is not supported in create/index operation request"
            return trouble(400, "illegal_argument_exception", reason)
        name = action.get("_id") or f"made-{len(self.stored)}"
        if target not in self.streams | self.indexes:
            if not self.creates:
                return trouble(404, "index_not_found_exception", f"no such index [{target}]")
            patterns = [p for one in self.templates.values() for p in one["index_patterns"]]
            made = self.streams if any(fnmatchcase(target, one) for one in patterns) else self.indexes
            made.add(target)
        if name in self.stored:
            reason = f"[{name}]: version conflict, document already exists (current version [1])"
            return trouble(409, "version_conflict_engine_exception", reason)
        found = json.loads(document)
        verdict = self.verdict(found)
        if verdict is not None:
            return verdict
        self.stored[name] = found
        self.documents.append(document)
        if self.diverted(found):
            return {"status": 201, "failure_store": "used"}
        return {"status": 201}


@contextlib.asynccontextmanager
async def bulk_collector(
    *, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[BulkCollector]:
    """Run a cluster on a free port of 127.0.0.1."""
    collector = BulkCollector(**options)
    async with scripted(collector.answer, tls=tls) as server:
        collector.server = server
        yield collector
