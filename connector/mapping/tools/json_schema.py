"""JSON Schema of mapping files, so that editors complete and check them while they are written.

It covers the grammar of ``language``. Checks that need more than one place in the file (undefined names,
cycles, conflicting targets) are left to ``language.validate``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from connector.mapping.functions.registry import FUNCTIONS, ArgumentKind
from connector.mapping.language.file import GIVEN
from connector.mapping.language.pack import PROVIDED
from connector.mapping.language.rules import SOURCES
from connector.mapping.schemas import names
from connector.mapping.schemas.encoding import SHAPES
from connector.mapping.schemas.fields import RECORD_FIELDS
from connector.model import JsonObject

_STEP = r"[^\s.${}\[\]]+"
_KEY = rf"^{_STEP}$"
_NAME = "[a-z][a-z0-9_]*"
_PLAIN = rf"{_STEP}(?:\.{_STEP})*"
_NAMED = rf"\$(?!\$){_NAME}(?:\.{_STEP})*"
_TEXT: JsonObject = {"type": "string"}
_NULL: JsonObject = {"type": "null"}
_SCALAR: JsonObject = {"type": ["string", "number", "boolean", "null"]}
_TARGET = r"^[^.]+(?:\.[^.]+)*$"


def json_schema(packs: Iterable[str] = ()) -> JsonObject:
    """Describe a whole mapping file; *packs* are names that ``extends`` can be completed to."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "email-connector mapping",
        "type": "object",
        "required": ["mapping"],
        "additionalProperties": False,
        "properties": _sections(sorted(packs)),
        "allOf": [_targets(name) for name in SHAPES if names(name)],
        "$defs": {
            **_level("", rf"^(?:{_NAMED}|{_PLAIN})$"),
            **_level("element_", rf"^(?:\.|{_NAMED}|{_PLAIN})$"),
            "rule_or_null": {"anyOf": [{"$ref": "#/$defs/rule"}, _NULL]},
            "test": _test(),
        },
    }


def _sections(packs: list[str]) -> JsonObject:
    rule_or_null: JsonObject = {"$ref": "#/$defs/rule_or_null"}
    return {
        "mapping": {"const": 1, "description": "The version of the language."},
        "format": {
            "enum": [*SHAPES, None],
            "description": "What targets are checked against, and how an event is written.",
        },
        "extends": {
            "anyOf": [{"enum": packs}, _TEXT, _NULL],
            "description": "The mapping this one builds on; its own name means the one that it shadows.",
        },
        "tables": _section(
            {"type": ["object", "null"]},
            'Look-up tables; the entry "*" is for everything that is not listed.',
        ),
        "derive": {
            **_section(rule_or_null, "Values with a name, for use as $name in any rule."),
            "propertyNames": {"pattern": f"^{_NAME}$", "not": {"enum": sorted(PROVIDED)}},
        },
        "fields": {
            **_section(rule_or_null, "Target: rule. null removes a target that is inherited."),
            "propertyNames": {"pattern": _TARGET},
        },
        "labels": _section(
            {"anyOf": [{"type": "string", "minLength": 1}, _NULL]},
            "For CEF: the text of cs1Label, cn1Label, ...",
        ),
        "rest": _rest(),
        "tests": {
            "type": ["array", "null"],
            "items": _case(),
            "description": "Records, and what they become.",
        },
    }


def _section(value: JsonObject, description: str) -> JsonObject:
    return {"type": ["object", "null"], "additionalProperties": value, "description": description}


def _rest() -> JsonObject:
    return {
        "type": ["object", "null"],
        "description": "Where everything goes that no rule moved.",
        "required": ["into"],
        "additionalProperties": False,
        "properties": {
            "into": {"type": "string", "minLength": 1, "description": "Its place; . is the top."},
            "malformed": {
                "type": "string",
                "pattern": _KEY,
                "description": "A key inside, for values of documented fields that do not have their type.",
            },
            "without": {
                "type": ["array", "null"],
                "items": {"$ref": "#/$defs/reference"},
                "description": "Fields that stay out.",
            },
        },
    }


def _case() -> JsonObject:
    return {
        "type": "object",
        "required": ["name", "given", "expect"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": ["string", "number", "boolean"], "description": "What it shows, in words."},
            "given": {
                "type": "object",
                "description": "A record, and with a $ what stands beside it.",
                "properties": dict.fromkeys(GIVEN, True),
                "propertyNames": {"anyOf": [{"enum": list(GIVEN)}, {"pattern": "^(?!\\$)"}]},
            },
            "expect": {"type": "object", "description": "Targets, or derived values with a $; null: absent."},
        },
    }


def _targets(form: str) -> JsonObject:
    """Complete the targets of *form*: where a file says so, or where it extends the pack of that name."""
    branches: list[JsonObject] = [
        {"required": [key], "properties": {key: {"const": form}}} for key in ("format", "extends")
    ]
    known = {name: {"$ref": "#/$defs/rule_or_null"} for name in names(form)}
    return {"if": {"anyOf": branches}, "then": {"properties": {"fields": {"properties": known}}}}


def _level(prefix: str, reference: str) -> JsonObject:
    """The definitions of rules and matches, once for those of a record, once for those of an element."""

    def to(name: str) -> JsonObject:
        return {"$ref": f"#/$defs/{prefix}{name}"}

    paths = list(dict.fromkeys(path.replace("[]", "") for path in RECORD_FIELDS))
    provided = [f"${name}" for name in PROVIDED]
    complete = [] if prefix else [{"enum": [*paths, *provided]}]
    return {
        f"{prefix}reference": {"anyOf": [*complete, {"type": "string", "pattern": reference}]},
        f"{prefix}rule": {"anyOf": [to("reference"), _rule(to("rule"), to("reference"), to("match"))]},
        f"{prefix}match": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"anyOf": [{"enum": ["any", "all", "not"]}, {"pattern": reference}]},
            "properties": {"any": _several(to("match")), "all": _several(to("match")), "not": to("match")},
            "additionalProperties": {"$ref": "#/$defs/test"},
        },
    }


def _rule(rule: JsonObject, reference: JsonObject, match: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "additionalProperties": False,
        "oneOf": [{"required": [source]} for source in SOURCES],
        "properties": {
            "from": {**reference, "description": "The value at a path."},
            "first_of": {**_several(rule), "description": "The first of the rules that has a value."},
            "all_of": {**_several(rule), "description": "One list of the values of all rules."},
            "const": {"description": "A fixed value."},
            "template": {"type": "string", "description": "Text with {path} and {$name} in it."},
            "as": {"anyOf": [_call(), _several(_call())], "description": "Functions, from left to right."},
            "when": {**match, "description": "No value unless this holds."},
            "else": {
                "anyOf": [rule, {"type": ["number", "boolean", "null", "array", "string"]}],
                "description": "What stands in where there is no value, or none that fits.",
            },
        },
    }


def _several(one: JsonObject) -> JsonObject:
    return {"type": "array", "minItems": 1, "items": one}


def _call() -> JsonObject:
    bare = [
        {"const": name, "description": function.summary}
        for name, function in FUNCTIONS.items()
        if function.argument_kind == "nothing"
    ]
    taking = {
        name: {**_ARGUMENTS[function.argument_kind], "description": function.summary}
        for name, function in FUNCTIONS.items()
        if function.argument_kind != "nothing"
    }
    taking["only"] = {"anyOf": [{"$ref": "#/$defs/test"}, {"$ref": "#/$defs/element_match"}]}
    one = {"type": "object", "minProperties": 1, "maxProperties": 1}
    return {"anyOf": [*bare, {**one, "additionalProperties": False, "properties": taking}]}


_ARGUMENTS: Mapping[ArgumentKind, JsonObject] = MappingProxyType(
    {
        "length": {"type": "integer", "minimum": 1},
        "text": _TEXT,
        "path": {"$ref": "#/$defs/element_reference"},
        "table": _TEXT,
        "match": {"$ref": "#/$defs/element_match"},
        "rules": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"$ref": "#/$defs/element_rule"},
            "propertyNames": {"pattern": _TARGET},
        },
    }
)


def _test() -> JsonObject:
    texts: JsonObject = {"anyOf": [_TEXT, _several(_TEXT)]}
    single: JsonObject = {"type": ["string", "number"]}
    return {
        "anyOf": [
            _SCALAR,
            _several(_SCALAR),
            {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": False,
                "properties": {
                    "gte": {**single, "description": "At least."},
                    "lte": {**single, "description": "At most."},
                    "contains": {**texts, "description": "Has the text in it, whatever the case."},
                    "matches": {**texts, "description": "Fits * ? and [abc], as a whole, whatever the case."},
                    "exists": {"type": "boolean", "description": "Whether it is a value at all."},
                },
            },
        ]
    }
