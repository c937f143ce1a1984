"""Adds to the package's metadata what depends on where the project is published: its URLs and absolute links.

A package index shows the README without the repository around it, so relative links would lead nowhere.
``PROJECT_URL`` is the address of the repository (``https://HOST/OWNER/NAME``); the release workflow sets it.
Without it, as in a build for one's own use, the README stays as it is and the metadata names no URL.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(\]\(|src=\")(?![a-z]+:|#)([^)\"\s]+)")
"""A relative target in Markdown's ``[text](target)`` or HTML's ``src="target"``."""

_IMAGE = re.compile(r"\.(png|svg|gif|jpe?g)$")


def absolute_links(readme: str, url: str, tag: str) -> str:
    """Return *readme* with each relative link leading to the same file at *tag* of the repository *url*."""
    return _LINK.sub(lambda m: f"{m[1]}{url}/{'raw' if _IMAGE.search(m[2]) else 'blob'}/{tag}/{m[2]}", readme)


class ProjectMetadataHook(MetadataHookInterface):
    """Fills the dynamic fields ``readme`` and ``urls``; hatchling calls it for every build."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Write the fields into *metadata*; ValueError for a ``PROJECT_URL`` that is no https address."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        url = os.environ.get("PROJECT_URL", "").rstrip("/")
        if url:
            if not re.fullmatch(r"https://[^\s/]+(/[^\s?#]+)+", url):
                raise ValueError(f"PROJECT_URL: expected https://HOST/OWNER/NAME, got {url!r}")
            tag = f"v{metadata['version']}"
            text = absolute_links(text, url, tag)
            metadata["urls"] = {
                "Homepage": url,
                "Documentation": f"{url}/blob/{tag}/docs/README.md",
                "Changelog": f"{url}/blob/{tag}/CHANGELOG.md",
                "Issues": f"{url}/issues",
                "Security": f"{url}/blob/{tag}/SECURITY.md",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
