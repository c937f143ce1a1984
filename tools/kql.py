"""Writes Sigma rules as KQL for the table of the output ``sentinel``, where the mapping ``asim`` fills the columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from sigma.backends.kusto.kusto import KustoBackend
from sigma.conditions import ConditionAND, ConditionFieldEqualsValueExpression, ConditionOR
from sigma.conversion.state import ConversionState
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import FieldMappingTransformation
from sigma.rule import SigmaRule

from connector.ops.sentinel_schema import TABLE

_COLUMNS: Mapping[str | None, str | list[str]] = {
    "cloudflare.email_security.change.fields": "AdditionalFields.change.fields",
    "cloudflare.email_security.delivery_status": "AdditionalFields.delivery_status",
    "cloudflare.email_security.is_phish_submission": "tobool(AdditionalFields.is_phish_submission)",
    "cloudflare.email_security.properties.allowlisted_pattern_type": "tostring(AdditionalFields.properties.allowlisted_pattern_type)",
    "cloudflare.email_security.validation.dmarc": "EmailDmarcOriginalResult",
    "cloudflare.email_security.validation.spf": "EmailSpfOriginalResult",
    "email.attachments.file.extension": "AdditionalFields.file_extensions",
    "event.action": "DvcOriginalAction",
    "event.code": "EventOriginalType",
    "event.kind": "tostring(AdditionalFields.kind)",
    "rule.name": "RuleName",
    "tags": "AdditionalFields.tags",
}
"""Where the mapping ``asim`` puts the fields of ``ecs`` that the rules read, as expressions of KQL."""

_LISTS = frozenset((
    "AdditionalFields.change.fields", "AdditionalFields.delivery_status", "AdditionalFields.file_extensions",
    "AdditionalFields.tags",
))  # fmt: skip


class AsimKql(KustoBackend):
    """KQL for the table of the output ``sentinel``, where some columns are dynamic lists."""

    # Columns are expressions here: quoted, they would be texts.
    field_quote_pattern: ClassVar[re.Pattern[str]] = re.compile(".*")

    def convert_condition_field_eq_val(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str:
        """Whether a list has the value; a boolean is compared by ``==``."""
        if cond.field in _LISTS:
            return f'set_has_element({cond.field}, "{cond.value}")'
        if cond.field.startswith("tobool("):
            return f"{cond.field} == {str(cond.value).lower()}"
        return str(super().convert_condition_field_eq_val(cond, state))

    def convert_condition_as_in_expression(
        self, cond: ConditionOR | ConditionAND, state: ConversionState
    ) -> str:
        """Whether a list and the values have one in common."""
        [first, *_] = parts = [
            arg for arg in cond.args if isinstance(arg, ConditionFieldEqualsValueExpression)
        ]
        if first.field not in _LISTS:
            return str(super().convert_condition_as_in_expression(cond, state))
        values = ", ".join(f'"{part.value}"' for part in parts)
        return f"array_length(set_intersect({first.field}, dynamic([{values}]))) > 0"


def kql(rules: Iterable[SigmaRule]) -> Iterator[tuple[SigmaRule, str]]:
    """Return each of *rules* with its query."""
    backend = AsimKql(ProcessingPipeline(items=[ProcessingItem(FieldMappingTransformation(dict(_COLUMNS)))]))
    for rule in rules:
        (query,) = backend.convert_rule(rule)
        email = 'where EventSchema == "EmailEvent"'
        yield rule, f"{TABLE}\n| {email}\n| where {query}\n| summarize take_any(*) by EventUid"
