"""At the start the connector says what is doubtful in own mappings; what cannot be used is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.app.routes import build_routes, mapping_notes
from connector.errors import ConfigurationError
from connector.settings import Loaded, load

CONFIG = """\
accounts: {prod: {account_id: 023e105f4ecef8ad9ca31a8372d0c353, api_token: t0ken}}
mappings: {directory: mine}
outputs: {siem: {type: stdout, mapping: my_ecs}}
"""


def configured(directory: Path, mapping: str) -> Loaded:
    (directory / "mine").mkdir()
    (directory / "mine" / "my_ecs.yaml").write_text(mapping)
    (directory / "connector.yaml").write_text(CONFIG)
    return load(directory / "connector.yaml", {})


def test_what_is_doubtful_is_noted_with_its_place(tmp_path: Path) -> None:
    loaded = configured(tmp_path, "mapping: 1\nextends: ecs\nfields: {email.subjct: subject}\n")
    [note] = mapping_notes(loaded)

    assert note.startswith("mapping my_ecs: ")
    assert "my_ecs.yaml:3:10: ecs has no field email.subjct (did you mean email.subject?)" in note
    assert build_routes(loaded, lambda _: None, {})


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    loaded = configured(tmp_path, "mapping: 1\nextends: ecs\nfields: {email.subject: $nothing}\n")

    with pytest.raises(ConfigurationError, match=r"my_ecs.yaml:3:25: there is no \$nothing"):
        build_routes(loaded, lambda _: None, {})


def test_packs_that_ship_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "connector.yaml").write_text(
        CONFIG.replace("mappings: {directory: mine}\n", "").replace("my_ecs", "ecs")
    )

    assert list(mapping_notes(load(tmp_path / "connector.yaml", {}))) == []
