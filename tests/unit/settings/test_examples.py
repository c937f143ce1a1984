"""Every example configuration loads, as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connector.settings import load
from tests.unit.settings.support import ACCOUNT

EXAMPLES = sorted((Path(__file__).parents[3] / "deploy" / "examples").glob("*.yaml"))


def test_there_are_examples() -> None:
    assert {file.stem for file in EXAMPLES} >= {"minimal", "siem-and-soar"}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_loads_without_a_literal_secret(file: Path, tmp_path: Path) -> None:
    text = file.read_text()
    names = re.findall(r"\$\{env:(\w+)", text)
    environ = {name: f"{index:x}{ACCOUNT[1:]}" for index, name in enumerate(names)}
    for name in re.findall(r"\$\{file:/run/secrets/(\w+)", text):
        (tmp_path / name).write_text(f"https://{name.replace('_', '-')}.example/x\n")
    copy = tmp_path / file.name
    copy.write_text(text.replace("/run/secrets", str(tmp_path)))

    loaded = load(copy, environ)

    assert not [note for note in loaded.notes if "in clear text" in note]
    assert all(line.isascii() and len(line) <= 110 for line in text.splitlines())
