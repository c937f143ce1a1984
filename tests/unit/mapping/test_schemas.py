"""The tables of fields agree with what their standards publish."""

import json
from pathlib import Path
from typing import Any

import pytest

from connector.formats.ocsf import CLASS, attributes
from connector.mapping.schemas import SCHEMAS, lookup, names
from connector.mapping.schemas.ecs import event_types
from connector.mapping.schemas.fields import RECORD_FIELDS

DATA = Path(__file__).parents[3].parent / "shared" / "data"
SETS = (
    *("agent", "data_stream", "ecs", "email", "error", "event", "file", "host", "log", "network", "observer"),
    *("organization", "related", "rule", "source", "destination", "threat", "url", "user"),
    *("http", "user_agent"),
)
SAME_KIND = {
    "constant_keyword": "keyword",
    "match_only_text": "text",
    "float": "double",
    "scaled_float": "double",
}


def published(name: str) -> dict[str, Any]:
    if not (DATA / name).is_file():
        pytest.skip(f"{name} is not here to compare with")
    content: dict[str, Any] = json.loads((DATA / name).read_text("utf-8"))
    return content


def test_ecs_fields_are_those_of_the_published_schema() -> None:
    content = published("ecs-fields.json")
    fields = {
        name: rule
        for name, rule in content["fields"].items()
        if "." not in name or name.split(".")[0] in SETS
    }

    assert list(names("ecs")) == list(fields)
    for name, rule in fields.items():
        target = lookup("ecs", name)
        assert target is not None
        assert target.kind == SAME_KIND.get(rule["type"], rule["type"]) or rule["type"] == "geo_point"
        assert target.is_list == bool(rule.get("array")), name
        assert target.allowed == (frozenset(rule["allowed_values"]) if "allowed_values" in rule else None)


def test_event_types_are_those_of_the_published_schema() -> None:
    content = published("ecs-fields.json")["event_category_expected_event_types"]

    assert {category: frozenset(types) for category, types in content.items()} == event_types()


def test_cef_keys_are_those_a_producer_may_set() -> None:
    content = published("cef-dictionary.json")
    header = [row["field"] for row in content["header"] if row["field"] != "version"]
    keys = {key: row for key, row in content["extensions"].items() if row["scope"] != "consumer"}

    assert list(names("cef")) == [*header, *keys]
    for key, row in keys.items():
        target = lookup("cef", key)
        assert target is not None
        assert target.max_length == row.get("max_len"), key
        assert (target.kind == "epoch_ms") == (row["type"] == "timestamp")


def test_leef_attributes_are_those_a_producer_may_set() -> None:
    content = published("leef-attributes.json")["attributes"]
    free = {key: row for key, row in content.items() if not row.get("reserved")}

    assert list(names("leef")) == ["Vendor", "Product", "Version", "EventID", "Delimiter", *free]
    for key, row in free.items():
        target = lookup("leef", key)
        assert target is not None
        assert target.max_length == (int(row["limits"]) if row.get("limits", "").isdigit() else 4000), key
        assert (target.kind == "ip") == (row["type"] == "ip_address")


def test_ocsf_attributes_are_those_of_the_published_class() -> None:
    """Deprecated ones aside; kinds follow the types, numbers of a list are the only ones allowed."""
    content = published("ocsf-email.json")
    whole = {name: item["attributes"] for name, item in content["objects"].items()}
    whole[CLASS] = content["classes"][CLASS]["attributes"]

    for owner, listed in attributes().items():
        expected = {name: row for name, row in whole[owner].items() if "deprecated" not in row}
        assert list(listed) == list(expected), owner
        for name, row in expected.items():
            made = listed[name]
            assert made.is_list == bool(row.get("array")), (owner, name)
            assert made.required == (row["req"] == "required"), (owner, name)
            assert made.inner in (None, row["type"]), (owner, name)
            assert (made.kind == "email") == (row["type"] == "email_t"), (owner, name)
            assert (made.kind == "epoch_ms") == (row["type"] == "timestamp_t"), (owner, name)
            if "enum" in row and (owner, name) != ("observable", "type_id"):
                assert made.allowed == frozenset(int(number) for number in row["enum"]), (owner, name)


def test_record_fields_are_those_of_the_published_interface() -> None:
    content = published("cloudflare-email-security-openapi.json")
    described = _properties(content)
    top = {path.split(".")[0].removesuffix("[]") for path in RECORD_FIELDS}

    assert len(top) == 35
    assert described is None or top == described


@pytest.mark.parametrize(
    ("format_name", "name", "kind"),
    [
        ("ecs", "cloudflare.email_security.anything.at.all", "any"),
        ("ecs", "cloudflare", "object"),
        ("ecs", "labels.team", "keyword"),
        ("ecs", "event.severity", "long"),
        ("ecs", "email.attachments", "nested"),
        ("cef", "CloudflareEmailSecurityFromName", "string"),
        ("cef", "severity", "integer"),
        ("cef", "rt", "epoch_ms"),
        ("leef", "EventID", "string"),
        ("leef", "src", "ip"),
        ("leef", "sev", "integer"),
        ("leef", "investigateId", "string"),
        ("ocsf", "time", "epoch_ms"),
        ("ocsf", "email.to", "email"),
        ("ocsf", "email.files", "nested"),
        ("ocsf", "metadata.product.name", "keyword"),
        ("ocsf", "src_endpoint.location.country", "any"),
        ("ocsf", "unmapped.anything.at.all", "any"),
        ("cim", "recipient", "keyword"),
        ("cim", "time", "date"),
        ("cim", "cloudflare.anything.at.all", "any"),
        ("asim", "TimeGenerated", "date"),
        ("asim", "EmailToRecipients", "any"),
        ("asim", "SrcIpAddr", "ip"),
        ("asim", "AdditionalFields.anything.at.all", "any"),
        ("json", "whatever.you.like", "any"),
    ],
)
def test_what_a_mapping_may_fill(format_name: str, name: str, kind: str) -> None:
    target = lookup(format_name, name)

    assert target is not None
    assert target.kind == kind


@pytest.mark.parametrize(
    ("format_name", "name"),
    [
        ("ecs", "email.fron"),
        ("ecs", "email"),
        ("ecs", "labels.a.b"),
        ("ecs", "cloudflare..x"),
        ("ecs", ""),
        ("cef", "rawEvent"),
        ("cef", "agentDnsDomain"),
        ("cef", "CloudflareEmailSecurity"),
        ("cef", "CloudflareEmailSecurityA=b"),
        ("cef", "subject"),
        ("leef", "usrname"),
        ("leef", "isLoginEvent"),
        ("leef", "bad key"),
        ("leef", "7bits"),
        ("ocsf", "email"),
        ("ocsf", "email.form"),
        ("ocsf", "email.files.name"),
        ("ocsf", "email.subject.text"),
        ("ocsf", "unmapped..x"),
        ("ocsf", "email.smtp_from"),
        ("cim", "recipients"),
        ("cim", "src_category"),
        ("cim", "cloudflare..x"),
        ("cim", "tag"),
        ("asim", "EmailFrom"),
        ("asim", "EmailFiles.name"),
        ("asim", "AdditionalFields..x"),
        ("json", ""),
    ],
)
def test_what_a_mapping_may_not_fill(format_name: str, name: str) -> None:
    """Unknown names, parents of fields, and the keys that belong to the receiver."""
    assert lookup(format_name, name) is None


def test_a_format_without_rules_has_nothing_to_suggest() -> None:
    assert names("json") == ()
    assert set(SCHEMAS) == {"ecs", "cef", "leef", "ocsf", "cim", "asim", "json"}


def _properties(content: dict[str, Any]) -> set[str] | None:
    """The properties of the one schema that has both ``final_disposition`` and ``postfix_id``."""
    stack: list[Any] = [content]
    best: set[str] = set()
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            inner = node.get("properties")
            if isinstance(inner, dict) and {"postfix_id", "client_recipients", "id"} <= set(inner):
                best = best if len(best) > len(inner) else set(inner)
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)
    return best or None
