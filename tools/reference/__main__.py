"""``python -m tools.reference`` writes the pages."""

from __future__ import annotations

from tools.reference import pages

for path, text in pages().items():
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
