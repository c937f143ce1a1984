"""Write ``deploy/content`` from its Sigma rules: the same detections as queries of Elasticsearch, OpenSearch and Splunk.

Run as ``make content``. A test fails when the files differ from what the rules give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sigma.backends.elasticsearch.elasticsearch_esql import ESQLBackend
from sigma.backends.opensearch.opensearch import OpensearchLuceneBackend
from sigma.backends.splunk.splunk import SplunkBackend
from sigma.collection import SigmaCollection
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import FieldMappingTransformation
from sigma.rule import SigmaRule

CONTENT = Path(__file__).parent.parent / "deploy" / "content"
_INDEX = "logs-cloudflare.email_security-*"
_SPLUNK = 'index=* sourcetype="cloudflare:email:security" '
_SPLUNK_LISTS: Mapping[str | None, str | list[str]] = {
    "cloudflare.email_security.change.fields": "cloudflare.email_security.change.fields{}",
    "cloudflare.email_security.delivery_status": "cloudflare.email_security.delivery_status{}",
    "email.attachments.file.extension": "email.attachments{}.file.extension",
    "email.from.address": "email.from.address{}",
    "email.to.address": "email.to.address{}",
    "tags": "tags{}",
}
"""Splunk's names for values inside JSON arrays, which Elasticsearch reads as plain fields."""

_HEAD = "Generated from deploy/content/sigma by `make content`; edit the rules, not this file."


def files() -> Mapping[Path, str]:
    """Return every generated file with its text."""
    return {
        CONTENT / "opensearch" / "queries.txt": _page("#", lucene()),
        CONTENT / "elasticsearch" / "queries.esql": _page("//", _esql()),
        CONTENT / "splunk" / "savedsearches.conf": _savedsearches(),
    }


def rules() -> list[SigmaRule]:
    """Return the rules that are alerts by themselves, by title: no correlations, no parts of one."""
    collection = SigmaCollection.load_ruleset([CONTENT / "sigma"])
    collection.resolve_rule_references()
    found = [rule for rule in collection.rules if isinstance(rule, SigmaRule) and not rule._backreferences]  # noqa: SLF001
    return sorted(found, key=lambda rule: str(rule.title))


def lucene() -> Iterator[tuple[SigmaRule, str]]:
    """Return each rule with its query string for OpenSearch and Elasticsearch (Lucene syntax)."""
    yield from _converted(OpensearchLuceneBackend().convert_rule)


def _esql() -> Iterator[tuple[SigmaRule, str]]:
    for rule, query in _converted(ESQLBackend().convert_rule):
        yield rule, query.replace("from *", f"from {_INDEX}", 1)


def _savedsearches() -> str:
    lines = [f"# {_HEAD}"]
    lists = ProcessingPipeline(items=[ProcessingItem(FieldMappingTransformation(dict(_SPLUNK_LISTS)))])
    for rule, query in _converted(SplunkBackend(lists).convert_rule):
        lines += [
            "",
            f"[Email Security: {rule.title}]",
            f"description = {rule.description}",
            f"search = {_SPLUNK}{query}",
            "enableSched = 0",
        ]
    return "\n".join(lines) + "\n"


def _converted(convert: Callable[[SigmaRule], list[str]]) -> Iterator[tuple[SigmaRule, str]]:
    for rule in rules():
        (query,) = convert(rule)
        yield rule, query


def _page(comment: str, queries: Iterator[tuple[SigmaRule, str]]) -> str:
    parts = [f"{comment} {_HEAD}"]
    parts += [f"{comment} {rule.title} ({rule.level})\n{query}" for rule, query in queries]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the files."""
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
