"""Runs an example configuration: real records of a hostile day through its output to a local collector."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

from connector.app.routes import Route, build_routes
from connector.model import Feed, Record, Revision
from connector.settings import load
from connector.simulator import Recipe, Simulator
from tests.scenarios.outputs.delivering import delivering
from tests.support.collectors import unobserved
from tests.support.scripted_http import Asked, Reply, Script, scripted

EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"
ACCOUNT = "0123456789abcdef0123456789abcdef"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = "s3cret-value-0123456789"

VERDICTS = ("MALICIOUS-BEC", "MALICIOUS", "SPOOF", "SUSPICIOUS", "SPAM", "BULK", "NONE", "NEWS")

BAIT = (
    "<!channel> <@U123> @here #general :smile: *bold* _it_ ~no~ `code` <http://evil.example|click> "
    "[click](http://evil.example/a) ![pic](https://evil.example/p.png) <img src=x onerror=alert(1)> "
    "www.evil.example ftp://evil.example javascript:alert(1) mailto:x@evil.example "
    "\r\n*Verdict:* clean\u2028# heading\u202etxt.exe & \\\\evil\\share {subject} {$event}"
)
"""A subject that tries everything at once."""


@dataclass(frozen=True)
class RecipeRun:
    """The result: the requests, and the revisions that the output wanted."""

    requests: list[Asked]
    wanted: list[Revision]

    def bodies(self) -> list[Any]:
        """The JSON bodies of all requests."""
        return [json.loads(unpacked(request)) for request in self.requests]


def unpacked(request: Asked) -> bytes:
    """The body as it was before compression."""
    return (
        gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
    )


def revisions() -> list[Revision]:
    """A day of hostile mail, and mails made to suppress their own alert."""
    simulator = Simulator(seed=7, backlog=120, recipe=Recipe(hostile=0.5))
    bodies = [
        {**simulator.ledger.body(issued), "final_disposition": verdict}
        for issued, verdict in zip(simulator.ledger.issued(), cycle(VERDICTS), strict=False)
    ]
    worst = {
        "scanned_at": "2026-11-22T11:00:00Z",
        "final_disposition": "MALICIOUS-BEC",
        "from": f"{BAIT} <boss@evil.example>",
        "to": ["victim@corp.example"],
        "detection_reasons": [BAIT, "second"],
    }
    bodies += [
        {**worst, "id": "bait", "subject": BAIT},
        {**worst, "id": "megabyte", "subject": "&<>.a" * 200_000, "from": "&.a" * 9999, "from_name": "<"},
        {**worst, "id": "crowd", "subject": "x", "to": [f"user{n}@corp.example" for n in range(10_000)]},
        {"id": "bare", "final_disposition": "MALICIOUS-BEC", "scanned_at": "2026-11-22T11:00:00Z"},
    ]
    feed = Feed(ACCOUNT, "detections")
    return [Revision(feed, Record(body["id"], body), f"digest-{body['id']}", 1, NOW) for body in bodies]


def route_of(name: str, base: str, directory: Path, urls: Mapping[str, str]) -> Route:
    """The output of the example *name*, loaded as it stands; *urls* names variables that lead to *base*."""
    text = (EXAMPLES / f"{name}.yaml").read_text()
    for secret in re.findall(r"\$\{file:/run/secrets/(\w+)", text):
        (directory / secret).write_text(
            f"{base}/{secret}" if secret.endswith(("url", "endpoint")) else SECRET
        )
    copy = directory / f"{name}.yaml"
    copy.write_text(
        text.replace("/run/secrets", str(directory)).replace("./mappings", str(EXAMPLES / "mappings"))
    )
    environ = dict.fromkeys(re.findall(r"\$\{env:(\w+)", text), "some-value") | {
        "CLOUDFLARE_ACCOUNT_ID": ACCOUNT
    }
    loaded = load(copy, environ | {key: f"{base}{path}" for key, path in urls.items()})
    [route] = build_routes(loaded, unobserved, {ACCOUNT: "prod"})
    return route


async def run_recipe(
    name: str, directory: Path, answer: Script, urls: Mapping[str, str] | None = None
) -> RecipeRun:
    """Run the example *name* against a collector that answers with *answer*."""
    async with scripted(answer) as server:
        route = route_of(name, server.url, directory, urls or {})
        everything = revisions()
        wanted = [revision for revision in everything if route.mapper(revision) is not None]
        async with delivering(route.output, everything, mapper=route.mapper) as delivery:
            await delivery.done()
        assert delivery.log.dead_lettered == {}
        return RecipeRun(server.asked, wanted)


def strings(tree: Any, without: tuple[str, ...] = ()) -> Iterator[str]:
    """Every text in *tree*, but what stands under the keys *without*."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, list):
        for item in tree:
            yield from strings(item, without)
    elif isinstance(tree, dict):
        for key, item in tree.items():
            if key not in without:
                yield from strings(item, without)


def no_link(text: str) -> bool:
    """Whether nothing in *text* can be clicked, in any program that finds links by itself."""
    return not re.search(
        r"https?:/|ftp:/|www\.|evil\.|javascript:\S|mailto:\S|\\\\evil|[\w-]+\.(?:com|net|org|example)\b",
        text,
    )


def one_line(text: str) -> bool:
    """Whether *text* has no line break and no change of direction that a mail could have brought."""
    return not re.search(r"[\r\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text)


def accepted(status: int = 200, body: bytes = b"{}") -> Script:
    """A collector that takes everything."""
    return lambda _: Reply(status, body)
