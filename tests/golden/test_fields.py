"""The packs fill only fields that exist, and read only fields that a record has."""

import pytest

from connector.mapping import Library
from connector.mapping.language.grammar import RECORD, rule_refs
from connector.mapping.language.pack import rules
from connector.mapping.schemas import lookup
from connector.mapping.schemas.fields import RECORD_FIELDS

PACKS = ("ecs", "cef", "leef", "ocsf", "cim", "asim", "raw")
KNOWN = {path.replace("[]", "") for path in RECORD_FIELDS}
TOP = {path.split(".")[0] for path in KNOWN}


@pytest.mark.parametrize("name", PACKS)
def test_every_target_exists_in_its_format(name: str) -> None:
    pack = Library().load(name)
    targets = [*pack.fields, *(f"{target}Label" for target in pack.labels)]

    assert [target for target in targets if lookup(pack.format, target) is None] == []


@pytest.mark.parametrize("name", PACKS)
def test_every_path_exists_in_a_record(name: str) -> None:
    pack = Library().load(name)
    read = {".".join(ref.path) for _, rule in rules(pack) for ref in rule_refs(rule) if ref.root == RECORD}
    without = {".".join(path) for path in (pack.rest.without if pack.rest else ())}

    assert (read | without) - KNOWN == set()


@pytest.mark.parametrize("name", ["cef", "leef"])
def test_formats_of_text_leave_out_nothing_silently(name: str) -> None:
    """What ``without`` keeps from the rest has to stand in a field of its own."""
    pack = Library().load(name)
    read = {
        ref.path[0] for _, rule in rules(pack) for ref in rule_refs(rule) if ref.root == RECORD and ref.path
    }

    assert pack.rest is not None
    assert {path[0] for path in pack.rest.without} <= read
    assert TOP - read - {"action_log"} == set()


def test_every_label_of_a_custom_cef_field_is_there() -> None:
    """A receiver shows a custom field by its label; one word, since some make a field name of it."""
    pack = Library().load("cef")
    custom = [key for key in pack.fields if f"{key}Label" in KEYS_WITH_LABELS]

    assert sorted(custom) == sorted(pack.labels)
    assert all(label.text.isalnum() for label in pack.labels.values())


KEYS_WITH_LABELS = {
    *(f"cs{number}Label" for number in range(1, 7)),
    *(f"cn{number}Label" for number in range(1, 4)),
    *(f"cfp{number}Label" for number in range(1, 5)),
    *(f"c6a{number}Label" for number in range(1, 5)),
    *(f"deviceCustomDate{number}Label" for number in range(1, 3)),
}
