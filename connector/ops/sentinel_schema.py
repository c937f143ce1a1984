"""The table and data collection rule for the output ``sentinel``, made from a mapping. Pure.

Azure Monitor drops a column that the rule's stream does not declare, without a word. So both are made from
what the mapping, its heartbeats and its audit events can fill. Sources: learn.microsoft.com/azure/templates,
``microsoft.operationalinsights/workspaces/tables`` (2022-10-01) and
``microsoft.insights/datacollectionrules`` (2023-03-11), and .../azure-monitor/logs/create-custom-table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from connector.errors import ConfigurationError, Problem
from connector.mapping import Library, Pack
from connector.mapping.language.grammar import Constant, Rule
from connector.mapping.schemas import Target, lookup
from connector.mapping.schemas.asim import AUDIT_COLUMNS
from connector.mapping.schemas.encoding import SHAPES
from connector.model import JsonObject, SearchSource

TABLE = "CloudflareEmailSecurity_CL"
ColumnType: TypeAlias = Literal["boolean", "datetime", "dynamic", "int", "long", "real", "string"]
Form: TypeAlias = Literal["arm", "bicep"]

_TYPES: Mapping[str, ColumnType] = {
    "boolean": "boolean",
    "date": "datetime",
    "double": "real",
    "email": "string",
    "epoch_ms": "long",
    "integer": "int",
    "ip": "string",
    "keyword": "string",
    "long": "long",
    "string": "string",
    "text": "string",
    "wildcard": "string",
}
_TIME = "TimeGenerated"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,44}")
_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}_CL")
_RESERVED = frozenset(("TenantId", "Type", "UniqueId", "Title", "id"))
_MOST_COLUMNS = 500
_PUBLISHER = "3913510d-42f4-4e42-8a64-420c390055eb"
"""The id of the built-in role Monitoring Metrics Publisher, the same in every tenant."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table, which the rule's stream declares with the same type."""

    name: str
    type: ColumnType


def columns(library: Library, mapping: Pack) -> Sequence[Column]:
    """Every column that rows of *mapping*, its heartbeats, audit events and other records can have.

    Raises:
        ConfigurationError: the mapping writes no flat rows, or a name that no column may have.
    """
    if not SHAPES[mapping.format].nested:
        raise _refused(f"{mapping.name} writes {mapping.format} lines, a table needs JSON", "use asim")
    found: dict[str, ColumnType] = {_TIME: "datetime"}
    problems: list[Problem] = []
    libraries = [library.heartbeats(), library.actions()]
    libraries += [
        library.of_source(source) for source in SearchSource if source is not SearchSource.INVESTIGATE
    ]
    for pack in (mapping, *(one.load(mapping.format) for one in libraries)):
        for name, kind in _columns_of(pack):
            if not _NAME.fullmatch(name) or name in _RESERVED:
                problems.append(_illegal(pack, name))
            elif found.setdefault(name, kind) != kind and "dynamic" not in {kind, found[name]}:
                problems.append(Problem(f"{pack.name}: {name} is {kind} here and {found[name]} elsewhere"))
    if len(found) > _MOST_COLUMNS:
        problems.append(Problem(f"{len(found)} columns; a table has at most {_MOST_COLUMNS}"))
    if problems:
        raise ConfigurationError(*problems)
    return [Column(name, kind) for name, kind in found.items()]


def _columns_of(pack: Pack) -> Iterator[tuple[str, ColumnType]]:
    for target, field in pack.fields.items():
        name, _, inside = target.partition(".")
        yield name, "dynamic" if inside else _type(pack, target, field.rule)
    if pack.rest is not None:
        yield pack.rest.into.partition(".")[0], "dynamic"


def _type(pack: Pack, name: str, rule: Rule) -> ColumnType:
    target = lookup(pack.format, name)
    if target is None or target.kind == "any":
        target = lookup("asim", name) or (Target(name, "keyword", False) if name in AUDIT_COLUMNS else target)
    if target is not None and target.kind in _TYPES and not target.is_list:
        return _TYPES[target.kind]
    source = rule.source
    if isinstance(source, Constant) and not rule.calls and isinstance(source.value, str):
        return "string"
    return "dynamic"


def _illegal(pack: Pack, name: str) -> Problem:
    if not name and pack.rest is not None:
        return Problem(
            f"{pack.name} spreads the rest of a record over columns that cannot be declared",
            pack.rest.position,
            "write rest: {into: AdditionalFields}",
        )
    place = next((f.position for key, f in pack.fields.items() if key.partition(".")[0] == name), None)
    why = (
        "is reserved"
        if name in _RESERVED
        else "is no column name (a letter, then at most 44 of A-Z a-z 0-9 _)"
    )
    return Problem(f"{pack.name}: {name} {why}", place, "use asim, or a mapping that extends it")


def _refused(message: str, hint: str) -> ConfigurationError:
    return ConfigurationError(Problem(message, hint=hint))


@dataclass(frozen=True, slots=True)
class _Expression:
    """A value that the deployment computes, in both languages."""

    arm: str
    bicep: str


_Value: TypeAlias = "str | int | bool | _Expression | Mapping[str, _Value] | Sequence[_Value]"


@dataclass(frozen=True, slots=True)
class _Resource:
    """One resource of the template."""

    symbol: str
    type: str
    version: str
    body: Mapping[str, _Value]
    depends_on: tuple[_Expression, ...] = ()
    scope: _Expression | None = None
    parent: str | None = None
    condition: _Expression | None = None


_PARAMETERS: Mapping[str, tuple[str, str | _Expression | None]] = {
    "workspaceName": ("Log Analytics workspace of Microsoft Sentinel.", None),
    "location": (
        "Region of the data collection rule: that of the workspace.",
        _Expression("[resourceGroup().location]", "resourceGroup().location"),
    ),
    "ruleName": ("Name of the data collection rule.", "dcr-cloudflare-email-security"),
    "principalId": (
        "Object id of the service principal or managed identity that sends; empty assigns no role.",
        "",
    ),
}


def template(table: str, found: Sequence[Column], form: Form) -> str:
    """The text of a template that creates table, rule and role assignment.

    Raises:
        ConfigurationError: *table* is no name of a custom table.
    """
    if not _TABLE_NAME.fullmatch(table):
        raise _refused(f"{table!r} is no name of a custom table", "a letter, letters, digits, _, then _CL")
    resources = _resources(table, found)
    return _bicep(resources) if form == "bicep" else json.dumps(_arm(resources), indent=2) + "\n"


def _resources(table: str, found: Sequence[Column]) -> Sequence[_Resource]:
    stream = f"Custom-{table}"
    workspace = _Expression(
        "[resourceId('Microsoft.OperationalInsights/workspaces', parameters('workspaceName'))]",
        "workspace.id",
    )
    table_id = (
        "[resourceId('Microsoft.OperationalInsights/workspaces/tables', parameters('workspaceName'), "
        f"'{table}')]"
    )
    declared = [{"name": column.name, "type": column.type} for column in found]
    stored = [
        {"name": column.name, "type": "dateTime" if column.type == "datetime" else column.type}
        for column in found
    ]
    rule = _Resource(
        "rule",
        "Microsoft.Insights/dataCollectionRules",
        "2023-03-11",
        {
            "name": _Expression("[parameters('ruleName')]", "ruleName"),
            "location": _Expression("[parameters('location')]", "location"),
            "kind": "Direct",
            "properties": {
                "streamDeclarations": {stream: {"columns": declared}},
                "destinations": {"logAnalytics": [{"name": "workspace", "workspaceResourceId": workspace}]},
                "dataFlows": [
                    {
                        "streams": [stream],
                        "destinations": ["workspace"],
                        "transformKql": "source",
                        "outputStream": stream,
                    }
                ],
            },
        },
        depends_on=(_Expression(table_id, "table"),),
    )
    return [
        _Resource(
            "table",
            "Microsoft.OperationalInsights/workspaces/tables",
            "2022-10-01",
            {
                "name": _Expression(f"[format('{{0}}/{table}', parameters('workspaceName'))]", f"'{table}'"),
                "properties": {"plan": "Analytics", "schema": {"name": table, "columns": stored}},
            },
            parent="workspace",
        ),
        rule,
        _Resource(
            "publisher",
            "Microsoft.Authorization/roleAssignments",
            "2022-04-01",
            {
                "name": _Expression(
                    "[guid(resourceId('Microsoft.Insights/dataCollectionRules', parameters('ruleName')), "
                    f"parameters('principalId'), '{_PUBLISHER}')]",
                    f"guid(rule.id, principalId, '{_PUBLISHER}')",
                ),
                "properties": {
                    "principalId": _Expression("[parameters('principalId')]", "principalId"),
                    "principalType": "ServicePrincipal",
                    "roleDefinitionId": _Expression(
                        "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', "
                        f"'{_PUBLISHER}')]",
                        f"subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{_PUBLISHER}')",
                    ),
                },
            },
            depends_on=(_Expression(_RULE_ID, "rule"),),
            scope=_Expression(
                "[format('Microsoft.Insights/dataCollectionRules/{0}', parameters('ruleName'))]", "rule"
            ),
            condition=_Expression("[not(empty(parameters('principalId')))]", "!empty(principalId)"),
        ),
    ]


_RULE_ID = "[resourceId('Microsoft.Insights/dataCollectionRules', parameters('ruleName'))]"
_DEPLOYED = (
    "reference(resourceId('Microsoft.Insights/dataCollectionRules', parameters('ruleName')), '2023-03-11')"
)
_OUTPUTS: Mapping[str, tuple[str, _Expression]] = {
    "rule": (
        "Immutable id: the setting rule of the output.",
        _Expression(f"[{_DEPLOYED}.immutableId]", "rule.properties.immutableId"),
    ),
    "url": (
        "Logs ingestion endpoint: the setting url of the output.",
        _Expression(f"[{_DEPLOYED}.endpoints.logsIngestion]", "rule.properties.endpoints.logsIngestion"),
    ),
}


def _arm(resources: Sequence[_Resource]) -> JsonObject:
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {
            name: {
                "type": "string",
                **({} if default is None else {"defaultValue": _arm_value(default)}),
                "metadata": {"description": text},
            }
            for name, (text, default) in _PARAMETERS.items()
        },
        "resources": [_arm_resource(resource) for resource in resources],
        "outputs": {
            name: {"type": "string", "value": value.arm, "metadata": {"description": text}}
            for name, (text, value) in _OUTPUTS.items()
        },
    }


def _arm_resource(resource: _Resource) -> JsonObject:
    written: JsonObject = {"condition": resource.condition.arm} if resource.condition else {}
    written |= {"type": resource.type, "apiVersion": resource.version}
    written |= {"scope": resource.scope.arm} if resource.scope else {}
    written |= {key: _arm_value(value) for key, value in resource.body.items()}
    return written | ({"dependsOn": [one.arm for one in resource.depends_on]} if resource.depends_on else {})


def _arm_value(value: _Value) -> object:
    if isinstance(value, _Expression):
        return value.arm
    if isinstance(value, Mapping):
        return {key: _arm_value(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_arm_value(item) for item in value]
    return value


def _bicep(resources: Sequence[_Resource]) -> str:
    lines: list[str] = []
    for name, (text, default) in _PARAMETERS.items():
        given = "" if default is None else f" = {_bicep_value(default, 0)}"
        lines += [f"@description({_quoted(text)})", f"param {name} string{given}", ""]
    lines += [
        "resource workspace 'Microsoft.OperationalInsights/workspaces@2022-10-01' existing = {",
        "  name: workspaceName",
        "}",
        "",
    ]
    for resource in resources:
        body: dict[str, _Value] = {}
        if resource.parent:
            body["parent"] = _Expression("", resource.parent)
        if resource.scope:
            body["scope"] = resource.scope
        body |= resource.body
        if resource.depends_on and not resource.scope:
            body["dependsOn"] = list(resource.depends_on)
        condition = f"if ({resource.condition.bicep}) " if resource.condition else ""
        head = f"resource {resource.symbol} '{resource.type}@{resource.version}' = {condition}"
        lines += [head + _bicep_value(body, 0), ""]
    for name, (text, value) in _OUTPUTS.items():
        lines += [f"@description({_quoted(text)})", f"output {name} string = {value.bicep}", ""]
    return "\n".join(lines)


def _bicep_value(value: _Value, depth: int) -> str:
    """*value* as Bicep; objects of plain values on one line, others one key a line."""
    pad = "  " * (depth + 1)
    if isinstance(value, _Expression):
        return value.bicep
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Mapping):
        items = [f"{_key(key)}: {_bicep_value(item, depth + 1)}" for key, item in value.items()]
        if all(isinstance(item, str) for item in value.values()):
            return "{ " + ", ".join(items) + " }"
    elif isinstance(value, Sequence):
        items = [_bicep_value(item, depth + 1) for item in value]
        return "[\n" + "".join(f"{pad}{item}\n" for item in items) + "  " * depth + "]"
    else:
        return json.dumps(value)
    return "{\n" + "".join(f"{pad}{item}\n" for item in items) + "  " * depth + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
    return f"'{escaped}'"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else _quoted(name)
