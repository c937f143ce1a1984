"""The tables of docs/configuration.md, generated from the settings models by ``make reference``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from connector.model import JsonObject, SearchSource
from connector.outputs import BUILT_IN
from connector.quantities import format_size
from connector.settings.schema_index import SchemaNode, settings_schema
from connector.source.catalog import FILTER_TABLES
from connector.source.filters import Filter

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
_BLOCK = re.compile(r"(<!-- table: ([a-z0-9_ ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
NAMED = frozenset({"accounts", "searches", "outputs"})
APART = frozenset({"tls", "filters"})
_HEAD = "| key | value | default | meaning |\n|---|---|---|---|\n"

Row = tuple[str, str, str, str]


def rendered(page: str) -> str:
    """*page* with every table regenerated."""
    return _BLOCK.sub(lambda match: match[1] + table(match[2]) + match[3], page)


def table(name: str) -> str:
    """The table *name*: a top-level key, ``filters SOURCE``, ``tls``, ``outputs``, or ``output TYPE``."""
    rows = list(rows_of(name))
    return _HEAD + "".join(
        f"| `{key}` | {value} | {default} | {text} |\n" for key, value, default, text in rows
    )


def tables() -> set[str]:
    """The names of all tables the page must have."""
    own = {f"output {kind}" for kind in BUILT_IN if any(rows_of(f"output {kind}"))}
    filters = {f"filters {source}" for source in SearchSource}
    return {"accounts", "searches", "tls", "outputs", "top", *filters, *own}


def rows_of(name: str) -> Iterator[Row]:
    """The rows of table *name*: key, value, default, meaning."""
    common = [row for row in _rows(_inside("outputs", "x").of_type("stdout")) if row[0] != "type"]
    if name.startswith("output "):
        rows = _rows(_inside("outputs", "x").of_type(name.removeprefix("output ")))
        yield from (row for row in rows if row not in common and row[0] != "type")
    elif name == "outputs":
        yield from common
    elif name.startswith("filters "):
        known = FILTER_TABLES[SearchSource(name.removeprefix("filters "))].filters
        by_name = {row[0]: row for row in _rows(_inside("searches", "x", "filters"))}
        # The page explains those that exclude: each stands for the one of the same name.
        yield from (
            _filter(filter_, by_name[filter_.name])
            for filter_ in known.values()
            if ".not" not in filter_.name
        )
    elif name == "tls":
        yield from _rows(_inside("accounts", "x", "tls"))
    elif name == "top":
        yield from (
            row for row in _rows(settings_schema(with_defaults=True)) if row[0].split(".")[0] not in NAMED
        )
    else:
        yield from _rows(_inside(name, "x"))


def _filter(known: Filter, row: Row) -> Row:
    """The row of a filter, whose name another source may have too."""
    return (*row[:3], known.help)


def _inside(*path: str) -> SchemaNode:
    shape = settings_schema(with_defaults=True)
    for key in path:
        inner = shape.child(key)
        assert inner is not None
        shape = inner
    return shape


def _rows(shape: SchemaNode, above: str = "") -> Iterator[Row]:
    for one in shape.alternatives:
        for key, schema in one.get("properties", {}).items():
            inner = shape.child(key)
            assert inner is not None
            nested = [] if key in APART else list(_rows(inner, f"{above}{key}."))
            if nested:
                yield from nested
                continue
            default = "required" if key in one.get("required", ()) else _default(schema.get("default"), inner)
            text = str(schema.get("description", "")).replace("|", "\\|")
            yield f"{above}{key}", _value(inner), default, text


def _default(value: object, shape: SchemaNode) -> str:
    is_map = any(one.get("type") == "object" for one in shape.alternatives)
    if value is None or value == {} or (is_map and not isinstance(value, str)):
        return ""
    if _is_size(shape) and isinstance(value, int):
        return f"`{format_size(value)}`"
    if isinstance(value, list):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _value(shape: SchemaNode) -> str:
    if _is_size(shape):
        return "size"
    if len(shape.literals) > len(set(shape.literals)) or (
        shape.literals and shape.accepts("array") and len(shape.item().literals) > 1
    ):
        return f"one of {', '.join(f'`{word}`' for word in shape.literals)}, or a list of them"
    parts = [_kind(one, shape) for one in shape.alternatives if one.get("type") != "null"]
    return " or ".join(dict.fromkeys(part for part in parts if part))


def _is_size(shape: SchemaNode) -> bool:
    return any("[KMGT]iB" in one.get("pattern", "") for one in shape.alternatives)


def _kind(one: JsonObject, shape: SchemaNode) -> str:
    literals = [one["const"]] if "const" in one else one.get("enum", [])
    if literals:
        return ", ".join(f"`{word}`" for word in literals)
    if one.get("writeOnly"):
        return "secret"
    if one.get("type") == "string":
        special = {"path": "file", "uri": "URL"}.get(str(one.get("format")))
        return special or ("duration" if "ms|s|m|h|d" in one.get("pattern", "") else "text")
    if one.get("type") == "array":
        inner = shape.item()
        return "list" if inner.untyped else f"list of {_value(inner)}"
    if one.get("type") == "object":
        return "map"
    return {"integer": "number", "number": "number", "boolean": "`true`, `false`"}.get(
        str(one.get("type")), "any"
    )
