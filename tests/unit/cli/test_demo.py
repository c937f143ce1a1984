"""``demo`` keeps to itself, whatever is configured where it is started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.process import ACCOUNT, command, environment

CONFIG = f"""
accounts: {{prod: {{account_id: {ACCOUNT}, api_token: secret, base_url: "http://127.0.0.1:9/client/v4"}}}}
outputs: {{siem: {{type: file, path: siem.ndjson, from: beginning}}}}
state: {{directory: state}}
"""


@pytest.mark.parametrize("named", [True, False], ids=["in a variable", "in the directory"])
def test_nothing_reaches_the_outputs_of_a_configuration(named: bool, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "connector.yaml").write_text(CONFIG)
    own = {
        "CONNECTOR_OUTPUTS__LAKE__TYPE": "file",
        "CONNECTOR_OUTPUTS__LAKE__PATH": str(tmp_path / "lake.ndjson"),
        "CONNECTOR_STATE__DIRECTORY": str(tmp_path / "state"),
    }
    if named:
        own["CONNECTOR_CONFIG"] = str(tmp_path / "connector.yaml")

    code, out, err = command(
        *("demo", "--once", "--backlog", "50"),
        environ=environment(PATH=os.environ["PATH"], **own),
        cwd=home if named else tmp_path,
    )

    assert code == 0, err
    assert '"outputs":1,' in err
    assert len(out.splitlines()) > 5
    assert sorted(each.name for each in tmp_path.iterdir()) == ["connector.yaml", "home"]


def test_a_mapping_that_does_not_exist_is_named_with_the_nearest(tmp_path: Path) -> None:
    code, _, err = command("demo", "--once", "--mapping", "cefx", environ=environment(), cwd=tmp_path)

    assert code == 2
    assert "there is no mapping cefx (did you mean cef?)" in err
