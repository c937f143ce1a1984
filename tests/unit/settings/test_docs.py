"""The page on configuration says what the models say."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.settings.support import ACCOUNT, read, wrong
from tools.reference.tables import PAGE, rendered, tables

TEXT = PAGE.read_text(encoding="utf-8")


def test_every_key_is_documented_as_it_is() -> None:
    assert set(re.findall(r"<!-- table: ([a-z0-9_ ]+) -->", TEXT)) == tables()
    assert rendered(TEXT) == TEXT, "run: make reference"


def test_the_example_on_the_page_loads(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "token").write_text("x")

    loaded = read(
        tmp_path,
        example.replace("/run/secrets/cloudflare_api_token", "token"),
        {"CLOUDFLARE_ACCOUNT_ID": ACCOUNT},
    )

    assert list(loaded.settings.outputs) == ["siem"]


def test_the_errors_on_the_page_are_what_people_get(tmp_path: Path) -> None:
    promised = TEXT.rpartition("```\nconnector.yaml")[2].partition("```")[0].strip().split("\n")
    text = f"""\
accounts:
  prod:
    account_id: {ACCOUNT}
    api_token: abc

outputs:
  siem:
    mapping: ecs
    type: %s
    # the timeout
    # of this output
    timeout: 30
"""
    first = wrong(tmp_path, text % "sysloog", {"CONNECTOR_LOG_LEVEL": "debug"})
    second = wrong(tmp_path, (text % "stdout").replace("30", "thirty"))

    assert [*first[:1], *second, *first[1:]] == [f"connector.yaml{promised[0]}", *promised[1:]]
