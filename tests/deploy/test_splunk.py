"""The Splunk add-on: events of both mappings are found under the names of the Common Information Model."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from connector import __version__
from connector.mapping.schemas.cim import CimSchema
from connector.outputs.splunk_hec.request import Metadata
from tests.deploy.artefacts import ROOT
from tests.deploy.splunk import ADDON, Fields, conf, searched, table
from tests.support.cef_parser import parse

GOLDEN = ROOT / "tests" / "golden"
DOCUMENTS = [json.loads(line) for line in (GOLDEN / "cim.ndjson").read_text().split("\n") if line]
LINES = [line for line in (GOLDEN / "cef.txt").read_text().split("\n") if line]
PAIRS = list(zip(LINES, DOCUMENTS, strict=True))
JSON, CEF = "cloudflare:email:security", "cloudflare:email:security:cef"


def flat(document: dict[str, Any], prefix: str = "") -> Fields:
    """The names that Splunk gives to the values of a JSON event; a list is told by its first value."""
    found: Fields = {}
    for key, value in document.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            found[f"{prefix}{key}{{}}"] = str(value[0])
        else:
            found[f"{prefix}{key}"] = str(value)
    return found


def unescaped(text: str) -> str:
    """A value of CEF as it was before it was escaped."""
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), text)


def test_lists_are_found_under_the_names_of_the_data_models() -> None:
    known = set(CimSchema().names())
    lists = 0

    for document in DOCUMENTS:
        found = searched(JSON, "", flat(document))
        for key, value in document.items():
            if isinstance(value, list) and key in known:
                lists += 1
                assert found[key] == str(value[0])
    assert lists > len(DOCUMENTS)


def test_a_line_of_cef_says_what_the_document_says() -> None:
    for line, document in PAIRS:
        found = searched(CEF, line, {})

        for key in ("id", "action", "filter_action", "severity", "severity_id", "type"):
            assert found[key] == document[key], key
        for key in ("vendor_product", "app", "vendor_account", "recipient_count"):
            assert found.get(key) == (str(document[key]) if key in document else None), key
        assert found["signature_id"].startswith("email.")


def test_no_key_of_a_line_is_missed_or_changed() -> None:
    for line in LINES:
        found = searched(CEF, line, {})

        for key, value in parse(line.encode()).extension.items():
            assert unescaped(found[key]) == value, key


def test_eventtypes_tags_and_source_types_know_each_other() -> None:
    props, types, tags = conf("props.conf"), conf("eventtypes.conf"), conf("tags.conf")

    tagged = {stanza.removeprefix("eventtype=") for stanza in tags}
    assert tagged == set(types) - {"cloudflare_email_heartbeat"}
    assert set(tags["eventtype=cloudflare_email"]) == {"email", "filter"}
    assert set(tags["eventtype=cloudflare_email_alert"]) == {"alert"}
    for search in (one["search"] for one in types.values()):
        assert all(f'sourcetype="{name}"' in search for name in props)
    metadata = Metadata("soc-1", "cloudflare:email_security")
    assert {metadata.sourcetype_for(payload) for payload in (b"{}", b"CEF:0|")} == {JSON, CEF} <= set(props)


def test_a_heartbeat_is_no_mail() -> None:
    types = conf("eventtypes.conf")
    heartbeat = (ROOT / "mappings" / "heartbeat" / "cim.yaml").read_text()
    reported = 'signature_id="connector.heartbeat"'

    assert "connector.heartbeat" in heartbeat or "$code" in heartbeat
    assert types["cloudflare_email_heartbeat"]["search"].endswith(reported)
    for name in ("cloudflare_email", "cloudflare_email_alert"):
        assert types[name]["search"].endswith(f"NOT {reported}")
        assert all(document["vendor_product"] in types[name]["search"] for document in DOCUMENTS)


def test_the_lookups_say_what_the_mappings_say() -> None:
    mappings = ROOT / "mappings"
    tables = yaml.safe_load((mappings / "cim.yaml").read_text())["tables"]
    actions = {
        row["filter_action"]: row["action"]
        for row in table(ADDON / "lookups" / "cloudflare_email_actions.csv")
    }

    default = conf("transforms.conf")["cloudflare_email_actions"]["default_match"]
    assert {**actions, "*": default} == tables["cim_action"]
    files = {path.name for path in (ADDON / "lookups").iterdir()}
    assert files == {one["filename"] for one in conf("transforms.conf").values() if "filename" in one}


def test_the_add_on_is_of_the_version_of_the_connector() -> None:
    app = conf("app.conf")

    assert app["launcher"]["version"] == app["id"]["version"] == __version__
    assert app["package"]["id"] == app["id"]["name"] == ADDON.name
    manifest = json.loads((ADDON / "app.manifest").read_text())["info"]
    assert manifest["id"] == {"group": None, "name": ADDON.name, "version": __version__}
    assert manifest["title"] == app["ui"]["label"]
    assert manifest["description"] == app["launcher"]["description"]
