"""Each pack makes of each revision exactly what is written down, and what every reader of it accepts.

``pytest tests/golden --update-golden`` writes down what the packs make now; the difference is the review.
"""

import ipaddress
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import pytest

from connector.mapping import Library, build_interpreter, build_map, build_mapper
from connector.mapping.engine.conform import FITS
from connector.mapping.schemas.asim import columns
from connector.model import Event
from tests.golden.revisions import ACCOUNTS, HERE, cases
from tests.support import ecs_check, leef_parser, ocsf_check
from tests.support.cef_parser import parse, splunk_fields

PACKS = {
    "ecs": "ecs.ndjson",
    "cef": "cef.txt",
    "leef": "leef.txt",
    "ocsf": "ocsf.ndjson",
    "cim": "cim.ndjson",
    "asim": "asim.ndjson",
    "raw": "raw.ndjson",
}
CASES = cases()
NUMBER = 200


@cache
def events(pack: str) -> dict[str, Event]:
    """What *pack* makes of every case, by the name of the case."""
    mapper = build_mapper(Library().load(pack), accounts=ACCOUNTS)
    made = {case.name: mapper(case.revision) for case in CASES}
    return {name: event for name, event in made.items() if event is not None}


@pytest.mark.parametrize("pack", PACKS)
def test_a_pack_makes_what_is_written_down(pack: str, update_golden: bool) -> None:
    file = HERE / PACKS[pack]
    made = {name: event.payload.decode("utf-8") for name, event in events(pack).items()}
    if update_golden:
        file.write_text("".join(f"{line}\n" for line in made.values()), "utf-8", newline="\n")
    written = file.read_text("utf-8").split("\n")[:-1]

    assert len(made) == len(CASES) == len(written) == NUMBER
    for (name, line), expected in zip(made.items(), written, strict=True):
        assert line == expected, name


def test_an_ecs_document_keeps_the_rules_of_the_schema() -> None:
    """A single value of the wrong type would make Elasticsearch refuse the whole document."""
    schema = ecs_check.load()
    if schema is None:
        pytest.skip("ecs-fields.json is not here to check against")

    for case in CASES:
        assert ecs_check.problems(json.loads(events("ecs")[case.name].payload), schema) == [], case.name


def test_an_asim_row_keeps_the_rules_of_the_published_schema() -> None:
    """Mandatory columns are there, values of closed lists are in them, other columns hold what they may."""
    schema = columns()
    mandatory = {name for name, column in schema.items() if column.presence == "mandatory"}
    python: dict[str, type | tuple[type, ...]] = {"int": int, "bool": bool, "dynamic": (dict, list)}

    for case in CASES:
        row: dict[str, Any] = json.loads(events("asim")[case.name].payload)
        assert mandatory <= row.keys(), case.name
        for name, value in row.items():
            column = schema[name]
            fits = isinstance(value, python.get(column.type, str))
            assert fits, f"{case.name}: {name} is {value!r}"
            assert column.allowed is None or value in column.allowed, f"{case.name}: {name} is {value}"
            if column.type == "datetime":
                assert datetime.fromisoformat(value).tzinfo is not None, f"{case.name}: {name} is {value}"
            if column.type == "ip":
                ipaddress.ip_address(value)


def test_a_cef_line_reads_back_and_keeps_its_verdict() -> None:
    """By the strictest grammar and by the loosest, with the same keys and no forged one among them."""
    for case in CASES:
        event = events("cef")[case.name]
        read = parse(event.payload)

        assert set(read.extension) == set(splunk_fields(event.payload)), case.name
        assert read.header["severity"] == str(event.severity)
        assert read.extension["devicePayloadId"] == case.revision.record.id
        verdict = case.revision.record.body.get("final_disposition") or "UNKNOWN"
        assert read.extension["cs2"] == verdict.upper()
        assert int(read.extension["rt"]) == round(event.time.timestamp() * 1000)


def test_a_leef_line_reads_back_and_keeps_its_verdict() -> None:
    """However a receiver splits it, it has the same attributes and no forged one among them."""
    for case in CASES:
        event = events("leef")[case.name]
        read = leef_parser.parse(event.payload)

        assert leef_parser.gateway_fields(event.payload) == read.attributes, case.name
        assert leef_parser.escaping_fields(event.payload) == read.attributes
        assert read.attributes["sev"] == str(max(1, event.severity))
        assert read.attributes["investigateId"] == case.revision.record.id
        assert read.attributes["devTime"] == f"{event.time:%b %d %Y %H:%M:%S}.000 GMT"


def test_an_ocsf_event_keeps_the_rules_of_the_schema() -> None:
    """Whatever the record lacks, what the class requires is there, and nothing that it does not know."""
    schema = ocsf_check.load()
    if schema is None:
        pytest.skip("ocsf-email.json is not here to check against")

    for case in CASES:
        assert ocsf_check.problems(json.loads(events("ocsf")[case.name].payload), schema) == [], case.name


def test_no_event_holds_a_raw_line_end() -> None:
    for case in CASES:
        for pack in PACKS:
            payload = events(pack)[case.name].payload

            assert b"\n" not in payload, case.name
            assert b"\r" not in payload, case.name


def test_nothing_of_the_record_is_lost_in_ecs() -> None:
    """What ECS has no field for, or what does not fit its field, is under the vendor's name."""
    for case in CASES:
        document = json.loads(events("ecs")[case.name].payload)
        kept = document["cloudflare"]["email_security"]
        moved = {
            "id",
            "postfix_id",
            "scanned_at",
            "ts",
            "sent_at",
            "sent_date",
            "subject",
            "from",
            "to",
            "replyto",
        }

        for key, value in case.revision.record.body.items():
            if key not in moved | {"envelope_from"} and _has_value(value):
                whole = key.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
                assert whole in kept or whole in kept.get("malformed", {}), f"{case.name}: {key}"


@pytest.mark.parametrize("pack", PACKS)
def test_the_compiled_mapping_does_what_the_rules_say(pack: str) -> None:
    loaded = Library().load(pack)
    compiled, walked = build_map(loaded, accounts=ACCOUNTS), build_interpreter(loaded, accounts=ACCOUNTS)

    for case in CASES:
        assert compiled(case.revision) == walked(case.revision), case.name


def _has_value(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_value(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_value(item) for item in value)
    return value is not None and value != ""


def test_every_observable_names_an_attribute_of_the_event_that_holds_its_value() -> None:
    """Addresses that OCSF refuses, of internationalised senders, included."""
    for case in CASES:
        document = json.loads(events("ocsf")[case.name].payload)
        for observable in document.get("observables", []):
            held = list(flat(at(document, observable["name"].split("."))))
            assert held, f"{case.name}: {observable['name']} is absent"
            if observable["type"] != "Hostname":  # it stands inside of addresses
                assert observable["value"] in held or isinstance(held[0], dict), f"{case.name}: {observable}"


def at(value: Any, path: Sequence[str]) -> list[Any]:
    """What *path* leads to, through lists."""
    if isinstance(value, list):
        return [found for item in value for found in at(item, path)]
    if not path:
        return [value]
    return at(value[path[0]], path[1:]) if isinstance(value, dict) and path[0] in value else []


@pytest.mark.parametrize(
    ("pack", "place"),
    [
        ("ecs", "cloudflare.email_security"),
        ("ocsf", "unmapped"),
        ("cim", "cloudflare"),
        ("asim", "AdditionalFields"),
    ],
)
def test_a_documented_field_has_its_documented_type_wherever_its_name_appears(pack: str, place: str) -> None:
    """An index with typed fields takes every event, the hostile ones of the corpus included."""
    for case in CASES:
        kept = json.loads(events(pack)[case.name].payload)
        for step in place.split("."):
            kept = kept.get(step, {})
        for name, value in (kept or {}).items():
            for item in flat(value) if name in FITS else ():
                assert FITS[name](item), f"{case.name}: {name} is {value!r}"


def flat(value: Any) -> Iterator[Any]:
    """The values in lists of lists: an index takes each of them."""
    if isinstance(value, list):
        for item in value:
            yield from flat(item)
    else:
        yield value
