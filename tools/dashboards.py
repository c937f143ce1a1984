"""Write the dashboards for OpenSearch Dashboards and Kibana from one description, as saved objects (NDJSON).

Run as ``make content``. A test fails when the files differ from what the description gives. Both products read the
format of Kibana 7.10, the version that OpenSearch Dashboards began with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

DEPLOY = Path(__file__).parent.parent / "deploy"
FILES = (DEPLOY / "opensearch" / "dashboards.ndjson", DEPLOY / "elastic" / "dashboards.ndjson")

_VENDOR = "cloudflare.email_security"
_MAIL = "event.dataset:cloudflare.email_security AND NOT event.kind:state"
"""Every message; heartbeats of the connector are of the kind ``state``."""

_ALERTS = f"{_MAIL} AND event.kind:alert"
_INDEX_PATTERN = "cloudflare-email-security"
# Of the saved object format; the products migrate what is older than they are.
_VERSIONS = {"index-pattern": "7.6.0", "visualization": "7.10.0", "search": "7.9.3", "dashboard": "7.9.3"}
_COLUMNS = 48
"""Width of a dashboard."""


@dataclass(frozen=True)
class Panel:
    """One visualization.

    Args:
        name: its id, unique.
        title: above it.
        chart: how it is drawn.
        query: the events it counts, in Lucene syntax.
        by: the field whose values are counted.
        among: instead of a field, groups of events by their names: queries in Lucene syntax.
        rows: how many values at most.
        width, height: in columns and rows of the dashboard.
    """

    name: str
    title: str
    chart: Literal["metric", "bars", "table", "pie"]
    query: str = _MAIL
    by: str = ""
    among: Mapping[str, str] = field(default_factory=dict)
    rows: int = 10
    width: int = 16
    height: int = 12


def _extensions(*names: str) -> str:
    return f"email.attachments.file.extension:({' OR '.join(names)})"


ATTACHMENTS = {
    "programs and scripts": _extensions("exe", "scr", "js", "vbs", "hta", "lnk", "msi", "jar", "ps1", "bat"),
    "archives and disk images": _extensions("zip", "rar", "7z", "iso", "img", "vhd", "gz"),
    "web pages": _extensions("html", "htm", "shtml", "svg"),
    "documents": _extensions("pdf", "doc", "docx", "docm", "xls", "xlsx", "xlsm", "ppt", "pptx", "one"),
}
"""Kinds of attachments. Attachments are nested documents, whose fields the products do not count themselves."""


def _number(name: str, title: str, query: str) -> Panel:
    return Panel(name, title, "metric", query, width=8, height=7)


PANELS: Sequence[Panel] = (
    _number("messages", "Messages", _MAIL),
    _number("alerts", "Alerts", _ALERTS),
    _number("quarantined", "Quarantined", f"{_MAIL} AND event.action:quarantined"),
    _number("released", "Released from quarantine", f"{_MAIL} AND event.action:released"),
    _number(
        "corrected",
        "Verdicts corrected",
        f"{_MAIL} AND tags:update AND {_VENDOR}.change.fields:final_disposition",
    ),
    _number("reported", "Reported by users", f"{_MAIL} AND {_VENDOR}.is_phish_submission:true"),
    Panel("verdicts", "Verdicts over time", "bars", by=f"{_VENDOR}.final_disposition", width=32),
    Panel("delivery", "Delivery status", "pie", by=f"{_VENDOR}.delivery_status"),
    Panel("actions", "What happened to alerts", "bars", _ALERTS, by="event.action", width=32),
    Panel("categories", "Threat categories", "pie", _ALERTS, by=f"{_VENDOR}.threat_categories"),
    Panel("domains", "Top sender domains of alerts", "table", _ALERTS, by=f"{_VENDOR}.sender_domain"),
    Panel("recipients", "Most targeted recipients", "table", _ALERTS, by="email.to.address"),
    Panel("findings", "Primary findings", "table", _ALERTS, by="rule.name"),
    Panel("attachments", "Attachments", "table", among=ATTACHMENTS),
    Panel(
        "updates",
        "Updates by changed field",
        "table",
        f"{_MAIL} AND tags:update",
        by=f"{_VENDOR}.change.fields",
    ),
    Panel(
        "quality",
        "Late and incomplete",
        "table",
        among={
            "updates of earlier events": "tags:update",
            "left their search": f"{_VENDOR}.change.gone:true",
            "without a usable time": "tags:time-unknown",
            "enrichment incomplete": "tags:enrichment-incomplete",
        },
    ),
)

TRIAGE_COLUMNS = (
    f"{_VENDOR}.final_disposition", "event.action", "email.from.address", "email.to.address",
    "email.subject", "rule.name", "event.reason", "event.url",
)  # fmt: skip


def objects() -> Iterator[Mapping[str, Any]]:
    """Return every saved object: what others refer to comes first."""
    formats = {"event.url": {"id": "url", "params": {"labelTemplate": "investigate"}}}
    yield _object(
        "index-pattern",
        _INDEX_PATTERN,
        {
            "title": "logs-cloudflare.email_security-*",
            "timeFieldName": "@timestamp",
            "fieldFormatMap": _text(formats),
        },
    )
    for panel in PANELS:
        yield _visualization(panel)
    yield _object(
        "search",
        f"{_INDEX_PATTERN}-triage",
        {
            "title": "Email Security: alerts to triage",
            "description": "Alerts, newest first; the last column leads to the investigation page of the account.",
            "columns": list(TRIAGE_COLUMNS),
            "sort": [["@timestamp", "desc"]],
            "kibanaSavedObjectMeta": _source(_ALERTS),
            "version": 1,
        },
        [_pattern_reference()],
    )
    yield _dashboard()


def text() -> str:
    """Return the file: one object per line."""
    return "".join(_text(one) + "\n" for one in objects())


def _visualization(panel: Panel) -> Mapping[str, Any]:
    title = f"Email Security: {panel.title}"
    state = {
        "title": title,
        "type": _TYPES[panel.chart],
        "aggs": _aggregations(panel),
        "params": _PARAMS[panel.chart],
    }
    return _object(
        "visualization",
        f"{_INDEX_PATTERN}-{panel.name}",
        {
            "title": title,
            "description": "",
            "visState": _text(state),
            "uiStateJSON": "{}",
            "kibanaSavedObjectMeta": _source(panel.query),
            "version": 1,
        },
        [_pattern_reference()],
    )


def _aggregations(panel: Panel) -> list[Mapping[str, Any]]:
    schemas = {"bars": "group", "table": "bucket", "pie": "segment", "metric": ""}
    found: list[Mapping[str, Any]] = [_aggregation("1", "count", "metric", {})]
    if panel.chart == "bars":
        over = {
            "field": "@timestamp",
            "interval": "auto",
            "drop_partials": False,
            "min_doc_count": 1,
            "extended_bounds": {},
        }
        found.append(_aggregation("2", "date_histogram", "segment", over))
    if panel.among:
        filters = [
            {"input": {"query": query, "language": "lucene"}, "label": label}
            for label, query in panel.among.items()
        ]
        found.append(_aggregation("3", "filters", schemas[panel.chart], {"filters": filters}))
    elif panel.by:
        terms = {
            "field": panel.by,
            "orderBy": "1",
            "order": "desc",
            "size": panel.rows,
            "otherBucket": False,
            "missingBucket": False,
        }
        found.append(_aggregation("3", "terms", schemas[panel.chart], terms))
    return found


def _aggregation(name: str, kind: str, schema: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"id": name, "enabled": True, "type": kind, "schema": schema, "params": params}


def _dashboard() -> Mapping[str, Any]:
    panels, references = [], []
    x = y = tallest = 0
    placed = [*((f"{_INDEX_PATTERN}-{one.name}", "visualization", one.width, one.height) for one in PANELS)]
    placed.append((f"{_INDEX_PATTERN}-triage", "search", _COLUMNS, 18))
    for number, (name, kind, width, height) in enumerate(placed):
        if x + width > _COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        grid = {"x": x, "y": y, "w": width, "h": height, "i": str(number)}
        x, tallest = x + width, max(tallest, height)
        panels.append(
            {
                "version": "7.10.0",
                "gridData": grid,
                "panelIndex": str(number),
                "embeddableConfig": {},
                "panelRefName": f"panel_{number}",
            }
        )
        references.append({"name": f"panel_{number}", "type": kind, "id": name})
    return _object(
        "dashboard",
        f"{_INDEX_PATTERN}-overview",
        {
            "title": "Email Security: overview",
            "description": "Verdicts, what became of the messages, who sends and who is targeted.",
            "panelsJSON": _text(panels),
            "optionsJSON": _text({"useMargins": True, "hidePanelTitles": False}),
            "timeRestore": True,
            "timeFrom": "now-7d",
            "timeTo": "now",
            "kibanaSavedObjectMeta": {
                "searchSourceJSON": _text({"query": {"query": "", "language": "kuery"}, "filter": []})
            },
            "version": 1,
        },
        references,
    )


_AXIS = {"show": True, "style": {}, "labels": {"show": True, "truncate": 100}, "title": {}}
_PARAMS: Mapping[str, Mapping[str, Any]] = {
    "metric": {
        "addTooltip": True,
        "addLegend": False,
        "type": "metric",
        "metric": {
            "percentageMode": False,
            "useRanges": False,
            "colorSchema": "Green to Red",
            "metricColorMode": "None",
            "colorsRange": [{"from": 0, "to": 10000}],
            "labels": {"show": False},
            "invertColors": False,
            "style": {"bgFill": "#000", "bgColor": False, "labelColor": False, "subText": "", "fontSize": 40},
        },
    },
    "bars": {
        "type": "histogram",
        "addTooltip": True,
        "addLegend": True,
        "legendPosition": "right",
        "times": [],
        "addTimeMarker": False,
        "grid": {"categoryLines": False},
        "categoryAxes": [
            {
                **_AXIS,
                "id": "CategoryAxis-1",
                "type": "category",
                "position": "bottom",
                "scale": {"type": "linear"},
            }
        ],
        "valueAxes": [
            {
                **_AXIS,
                "id": "ValueAxis-1",
                "name": "LeftAxis-1",
                "type": "value",
                "position": "left",
                "scale": {"type": "linear", "mode": "normal"},
            }
        ],
        "seriesParams": [
            {
                "show": True,
                "type": "histogram",
                "mode": "stacked",
                "data": {"label": "Count", "id": "1"},
                "valueAxis": "ValueAxis-1",
                "drawLinesBetweenPoints": True,
                "showCircles": True,
            }
        ],
        "thresholdLine": {"show": False, "value": 10, "width": 1, "style": "full", "color": "#E7664C"},
        "labels": {"show": False},
    },
    "table": {
        "perPage": 10,
        "showPartialRows": False,
        "showMetricsAtAllLevels": False,
        "showTotal": False,
        "totalFunc": "sum",
        "percentageCol": "",
    },
    "pie": {
        "type": "pie",
        "addTooltip": True,
        "addLegend": True,
        "legendPosition": "right",
        "isDonut": True,
        "labels": {"show": False, "values": True, "last_level": True, "truncate": 100},
    },
}
_TYPES = {"metric": "metric", "bars": "histogram", "table": "table", "pie": "pie"}


def _source(query: str) -> Mapping[str, str]:
    source = {
        "query": {"query": query, "language": "lucene"},
        "filter": [],
        "indexRefName": "kibanaSavedObjectMeta.searchSourceJSON.index",
    }
    return {"searchSourceJSON": _text(source)}


def _pattern_reference() -> Mapping[str, str]:
    return {
        "name": "kibanaSavedObjectMeta.searchSourceJSON.index",
        "type": "index-pattern",
        "id": _INDEX_PATTERN,
    }


def _object(
    kind: str, name: str, attributes: Mapping[str, Any], references: Sequence[Mapping[str, str]] = ()
) -> Mapping[str, Any]:
    return {
        "id": name,
        "type": kind,
        "attributes": attributes,
        "references": list(references),
        "migrationVersion": {kind: _VERSIONS[kind]},
    }


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def main() -> None:
    """Write the files."""
    for path in FILES:
        path.write_text(text(), "utf-8")


if __name__ == "__main__":
    main()
