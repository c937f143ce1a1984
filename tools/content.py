"""Write what ``deploy/content`` and ``deploy/sentinel`` hold of queries and templates.

The Sigma rules become queries of Elasticsearch, OpenSearch and Splunk; the mapping ``asim`` becomes templates for Azure.

Rules become queries, correlations (counts in a span of time) become queries that count; OpenSearch, whose backend
knows no correlations, gets requests with aggregations.

Run as ``make content``. A test fails when the files differ from what the rules give.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigma.backends.elasticsearch.elasticsearch_esql import ESQLBackend
from sigma.backends.opensearch.opensearch import OpensearchLuceneBackend
from sigma.backends.splunk.splunk import SplunkBackend
from sigma.collection import SigmaCollection
from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionOR
from sigma.conversion.deferred import DeferredQueryExpression
from sigma.conversion.state import ConversionState
from sigma.correlations import SigmaCorrelationCondition, SigmaCorrelationRule, SigmaCorrelationType
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import FieldMappingTransformation
from sigma.rule import SigmaRule

from connector.mapping import Library
from connector.ops.sentinel_schema import TABLE, columns, template
from tools.kql import kql

CONTENT = Path(__file__).parent.parent / "deploy" / "content"
SENTINEL = CONTENT.parent / "sentinel"
_INDEX = "logs-cloudflare.email_security-*"
_SPLUNK = 'index=* sourcetype="cloudflare:email:security" '
LISTS: Mapping[str | None, str | list[str]] = {
    "cloudflare.email_security.change.fields": "cloudflare.email_security.change.fields{}",
    "cloudflare.email_security.delivery_status": "cloudflare.email_security.delivery_status{}",
    "cloudflare.email_security.sender_domain": "cloudflare.email_security.sender_domain{}",
    "cloudflare.email_security.threat_categories": "cloudflare.email_security.threat_categories{}",
    "email.attachments.file.extension": "email.attachments{}.file.extension",
    "email.from.address": "email.from.address{}",
    "email.to.address": "email.to.address{}",
    "tags": "tags{}",
}
"""Fields with several values, and Splunk's names for values inside JSON arrays."""

_HEAD = "Generated from deploy/content/sigma by `make content`; edit the rules, not this file."


class ListESQLBackend(ESQLBackend):
    """ES|QL that finds a value among several: ``==`` and ``in`` are null for a field with more than one value.

    https://www.elastic.co/docs/reference/query-languages/esql/esql-multivalued-fields
    """

    def decide_convert_condition_as_in_expression(
        self, cond: ConditionOR | ConditionAND, state: ConversionState
    ) -> bool:
        """Lists become a disjunction of matches."""
        listed = any(getattr(one, "field", None) in LISTS for one in cond.args)
        return not listed and super().decide_convert_condition_as_in_expression(cond, state)

    def convert_condition_field_eq_val_str(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str | DeferredQueryExpression:
        """A value of a list is matched: true if any of the field's values is it."""
        converted = super().convert_condition_field_eq_val_str(cond, state)
        if cond.field not in LISTS:
            return converted
        assert isinstance(converted, str)
        assert converted.count("==") == 1, "no wildcards in lists"
        return converted.replace("==", ":")


@dataclass(frozen=True)
class Correlation:
    """A rule of which a number of messages in a span of time make an alert.

    Args:
        rule: the correlation.
        counted: the rule whose messages it counts.
    """

    rule: SigmaCorrelationRule
    counted: SigmaRule

    @property
    def field(self) -> str:
        """What the messages have in common."""
        fields = self.rule.group_by or []
        return fields[0]

    @property
    def least(self) -> int:
        """How many messages make an alert."""
        assert isinstance(self.rule.condition, SigmaCorrelationCondition)
        return self.rule.condition.count


def files() -> Mapping[Path, str]:
    """Return every generated file with its text."""
    library = Library()
    asim = columns(library, library.load("asim"))
    return {
        SENTINEL / "azuredeploy.json": template(TABLE, asim, "arm"),
        SENTINEL / "main.bicep": template(TABLE, asim, "bicep"),
        CONTENT / "opensearch" / "queries.txt": _page("#", lucene()),
        CONTENT / "opensearch" / "correlations.json": json.dumps(aggregations(), indent=2) + "\n",
        CONTENT / "elasticsearch" / "queries.esql": _page("//", _esql()),
        CONTENT / "sentinel" / "queries.kql": _page("//", kql(rules())),
        CONTENT / "splunk" / "savedsearches.conf": _savedsearches(),
    }


def rules() -> list[SigmaRule]:
    """Return the rules that are alerts by themselves, by title: no correlations, no parts of one."""
    found = [rule for rule in _loaded().rules if isinstance(rule, SigmaRule) and not rule._backreferences]  # noqa: SLF001
    return sorted(found, key=lambda rule: str(rule.title))


def correlations() -> list[Correlation]:
    """Return the correlations, by title."""
    found = [rule for rule in _loaded().rules if isinstance(rule, SigmaCorrelationRule)]
    return [
        Correlation(rule, counted)
        for rule in sorted(found, key=lambda rule: str(rule.title))
        if isinstance(counted := (rule.rules or [])[0].rule, SigmaRule)
    ]


def lucene() -> Iterator[tuple[SigmaRule, str]]:
    """Return each rule with its query string for OpenSearch and Elasticsearch (Lucene syntax)."""
    yield from _converted(OpensearchLuceneBackend().convert_rule)


def aggregations() -> Mapping[str, Any]:
    """Return the search request of each correlation, by title: its buckets are the alerts."""
    return {str(one.rule.title): _aggregation(one) for one in correlations()}


def _aggregation(one: Correlation) -> Mapping[str, Any]:
    assert one.rule.type is SigmaCorrelationType.EVENT_COUNT
    alone = SigmaRule.from_dict(one.counted.to_dict())  # a part of a correlation is not converted by itself
    (query,) = OpensearchLuceneBackend().convert_rule(alone)
    span = {"field": "@timestamp", "fixed_interval": one.rule.timespan.spec, "min_doc_count": one.least}
    return {
        "size": 0,
        "query": {"query_string": {"query": query}},
        "aggs": {
            "in": {
                "date_histogram": span,
                "aggs": {"by": {"terms": {"field": one.field, "size": 1000, "min_doc_count": one.least}}},
            }
        },
    }


def _esql() -> Iterator[tuple[SigmaRule | SigmaCorrelationRule, str]]:
    for rule, query in _converted(ListESQLBackend().convert_rule):
        yield rule, query.replace("from *", f"from {_INDEX}", 1)
    for one, query in _correlated(ListESQLBackend()):
        yield one.rule, query.replace("from *", f"from {_INDEX}", 1)


def _savedsearches() -> str:
    lines = [f"# {_HEAD}"]
    lists = ProcessingPipeline(items=[ProcessingItem(FieldMappingTransformation(dict(LISTS)))])
    found: list[tuple[SigmaRule | SigmaCorrelationRule, str]] = [
        *_converted(SplunkBackend(lists).convert_rule),
        *((one.rule, query) for one, query in _correlated(SplunkBackend(lists))),
    ]
    for rule, query in found:
        lines += [
            "",
            f"[Email Security: {rule.title}]",
            f"description = {rule.description}",
            f"search = {_SPLUNK}{_in_one_line(query)}",
            "enableSched = 0",
        ]
    return "\n".join(lines) + "\n"


def _in_one_line(query: str) -> str:
    return " ".join(query.split())


def _loaded() -> SigmaCollection:
    collection = SigmaCollection.load_ruleset([CONTENT / "sigma"])
    collection.resolve_rule_references()
    return collection


def _converted(convert: Callable[[SigmaRule], list[str]]) -> Iterator[tuple[SigmaRule, str]]:
    for rule in rules():
        (query,) = convert(rule)
        yield rule, query


def _correlated(backend: ESQLBackend | SplunkBackend) -> Iterator[tuple[Correlation, str]]:
    for one in correlations():
        backend.convert_rule(one.counted)  # a correlation reads what its rule was converted to
        (query,) = backend.convert_correlation_rule(one.rule)
        yield one, query


def _page(
    comment: str,
    queries: Iterator[tuple[SigmaRule | SigmaCorrelationRule, str]] | Iterator[tuple[SigmaRule, str]],
) -> str:
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
