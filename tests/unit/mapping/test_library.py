"""Finding, inheriting and refusing mapping files."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import ConfigurationError
from connector.mapping import Library
from tests.unit.mapping.packs import mapped, pack_of, write


def test_packs_that_ship_load_and_are_listed_without_the_prelude() -> None:
    library = Library()

    assert {"ecs", "cef"} <= set(library.names())
    assert "common" not in library.names()
    for name in library.names():
        assert library.load(name).fields or library.load(name).rest


def test_a_users_file_shadows_the_pack_and_may_extend_the_very_one_that_it_shadows(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "ecs.yaml").write_text(
        "mapping: 1\nextends: ecs\nfields:\n  event.kind: {const: event}\n  rule.name: null\n", "utf-8"
    )

    pack = Library([own]).load("ecs")

    assert pack.format == "ecs"
    assert "rule.name" not in pack.fields
    assert "email.subject" in pack.fields
    assert mapped(pack, {"final_disposition": "MALICIOUS"}).document["event"]["kind"] == "event"


def test_tables_merge_by_entry_so_that_one_line_changes_one_severity(tmp_path: Path) -> None:
    base = "mapping: 1\nformat: json\nfields: {severity: $severity}\n"
    mine = "mapping: 1\nextends: base\ntables: {severity: {SPAM: 6, MALICIOUS: null}}\n"
    pack = write(tmp_path, base=base, mine=mine).load("mine")

    assert mapped(pack, {"final_disposition": "SPAM"}).document["severity"] == 6
    assert mapped(pack, {"final_disposition": "MALICIOUS"}).document["severity"] == 1


def test_sections_merge_by_key_and_null_deletes(tmp_path: Path) -> None:
    base = (
        "mapping: 1\nformat: cef\nrest: {into: X}\n"
        "fields: {cs1: id, cs2: subject}\nlabels: {cs1: Id, cs2: Subject}\n"
    )
    mine = (
        "mapping: 1\nextends: base\nrest: null\n"
        "fields: {cs2: null, cs3: from}\nlabels: {cs2: null, cs3: From}\n"
    )
    pack = write(tmp_path, base=base, mine=mine).load("mine")

    assert list(pack.fields) == ["cs1", "cs3"]
    assert {name: label.text for name, label in pack.labels.items()} == {"cs1": "Id", "cs3": "From"}
    assert pack.rest is None


def test_a_pack_whose_last_use_of_a_deleted_value_remains_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"mine.yaml:4:13: there is no \$action"):
        pack_of(tmp_path, "derive: {time: null}\nfields: {a: $action}")


@pytest.mark.parametrize(
    ("files", "name", "message"),
    [
        ({}, "esc", "there is no mapping esc (did you mean ecs?)"),
        ({"a": "mapping: 1\nextends: b\n", "b": "mapping: 1\nextends: a\n"}, "a", "a extends itself"),
        (
            {"a": "mapping: 1\nextends: a\n"},
            "a",
            "a.yaml:2:10: there is no mapping a (there is no other a.yaml to extend",
        ),
        ({}, "../secret", "there is no mapping ../secret"),
        ({"a": "mapping: 1\nfields:\n  x: [1]\n"}, "a", "a.yaml:3:6: expected a path"),
    ],
)
def test_files_that_cannot_be_found_or_followed_are_named(
    tmp_path: Path, files: dict[str, str], name: str, message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        write(tmp_path, **files).load(name)

    assert message in str(caught.value)


def test_a_directory_that_is_missing_and_a_file_that_is_not_text_are_configuration_errors(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigurationError, match="is not a directory of mappings"):
        Library([tmp_path / "absent"]).names()
    library = write(tmp_path)
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"bad.yaml cannot be read"):
        library.load("bad")


def test_all_problems_of_a_file_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        pack_of(
            tmp_path, "fields:\n  a: $sevrity\n  b: {from: id, as: {table: sevrity}}\n  c: $account.nmae\n"
        )

    assert [problem.hint for problem in caught.value.problems] == [
        "did you mean $severity?",
        "did you mean $account.name?",
        "did you mean severity?",
    ]
