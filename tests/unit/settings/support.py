"""A configuration from a text, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from connector.errors import ConfigurationError
from connector.settings import Loaded, load

ACCOUNT = "023e105f4ecef8ad9ca31a8372d0c353"
MINIMAL = f"""\
accounts:
  prod:
    account_id: {ACCOUNT}
    api_token: ${{env:TOKEN}}
searches:
  detections: {{every: 60s}}
outputs:
  siem:
    type: stdout
"""
"""Nine lines; further keys of the output begin at line 10."""

TOKENS: Mapping[str, str] = {"TOKEN": "token-of-the-environment"}


def read(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> Loaded:
    """Load *text* as connector.yaml, with ``TOKEN`` and *environ* as variables."""
    file = tmp_path / "connector.yaml"
    file.write_text(text, encoding="utf-8")
    return load(file, {**TOKENS, **(environ or {})})


def wrong(tmp_path: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """The problems of *text*, one line each, with the directory left out."""
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, text, environ)
    return str(caught.value).replace(f"{tmp_path}/", "").split("\n")
