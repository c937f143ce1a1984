"""What a package index shows: links that lead somewhere, and the address of the project."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hatch_build import ProjectMetadataHook, absolute_links

ROOT = Path(__file__).parents[3]
URL = "https://forge.example/soc/connector"


def metadata(monkeypatch: pytest.MonkeyPatch, url: str | None) -> dict[str, Any]:
    """The fields that the hook fills with *url* as PROJECT_URL."""
    monkeypatch.delenv("PROJECT_URL", raising=False)
    if url is not None:
        monkeypatch.setenv("PROJECT_URL", url)
    fields: dict[str, Any] = {"version": "1.2.3"}
    ProjectMetadataHook(str(ROOT), {}).update(fields)
    return fields


def test_with_an_address_no_link_of_the_readme_is_relative(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = metadata(monkeypatch, URL + "/")

    targets = re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", fields["readme"]["text"])
    links = [markdown or html for markdown, html in targets]
    assert len(links) > 20
    for link in links:
        assert link.startswith(("https://", "http://", "#")), link
        if link.startswith(f"{URL}/"):
            path = re.sub(rf"^{URL}/(blob|raw)/v1\.2\.3/", "", link).partition("#")[0]
            assert (ROOT / path).exists(), link
    assert f'src="{URL}/raw/v1.2.3/docs/images/status-page.png"' in fields["readme"]["text"]
    assert fields["urls"]["Changelog"] == f"{URL}/blob/v1.2.3/CHANGELOG.md"


def test_without_an_address_the_metadata_claims_none(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = metadata(monkeypatch, None)

    assert fields["readme"]["text"] == (ROOT / "README.md").read_text()
    assert "urls" not in fields


def test_an_address_that_is_no_repository_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (
        "http://forge.example/soc",
        "forge.example/soc/connector",
        "https://forge.example",
        "https://x y/z",
    ):
        with pytest.raises(ValueError, match="PROJECT_URL: expected https://HOST/OWNER/NAME"):
            metadata(monkeypatch, wrong)


def test_absolute_links_and_anchors_stay() -> None:
    text = "[a](https://x.example/) [b](#here) [c](docs/d.md#e) [f](mailto:g@h.example)"

    assert (
        absolute_links(text, URL, "v1")
        == f"[a](https://x.example/) [b](#here) [c]({URL}/blob/v1/docs/d.md#e) [f](mailto:g@h.example)"
    )
