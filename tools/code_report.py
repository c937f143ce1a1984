"""Print how the code is cut: files, lines, functions, comments. For a reviewer's judgement; nothing depends on it.

Run as ``python -m tools.code_report`` (``make report``).
"""

from __future__ import annotations

import ast
import io
import re
import statistics
import tokenize
from collections import Counter
from pathlib import Path

import click

ROOT = Path(__file__).parent.parent
SHORT = 40
"""Lines of a file that a reviewer asks about: could it live where it is used?"""


def main() -> None:
    """Print one line per figure for ``connector/``."""
    sources = {path: path.read_text("utf-8") for path in sorted((ROOT / "connector").rglob("*.py"))}
    lengths = {path: len(text.splitlines()) for path, text in sources.items()}
    functions: list[tuple[int, str]] = []
    documented = commented = filled = 0
    for text in sources.values():
        filled += sum(1 for line in text.splitlines() if line.strip())
        commented += sum(
            1
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        )
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.append(((node.end_lineno or node.lineno) - node.lineno + 1, node.name))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
                docstring = ast.get_docstring(node, clean=False)
                documented += len(docstring.splitlines()) if docstring else 0

    words = Counter(word for text in sources.values() for word in re.findall(r"\w+", text))
    # A definition is one occurrence; a function used once has exactly one more.
    definition_and_use = 2
    once = [
        name
        for _, name in functions
        if name.startswith("_") and not name.startswith("__") and words[name] == definition_and_use
    ]
    sizes = sorted(size for size, _ in functions)
    longest = sorted(lengths, key=lengths.__getitem__, reverse=True)[:5]
    rows = {
        "files": len(sources),
        "lines": sum(lengths.values()),
        "median file": f"{statistics.median(lengths.values()):.0f}",
        f"files of {SHORT} lines or fewer": sum(1 for length in lengths.values() if length <= SHORT),
        "functions": len(functions),
        "function median / p90 / max": (
            f"{statistics.median(sizes):.0f} / {sizes[len(sizes) * 9 // 10]} / {sizes[-1]}"
        ),
        "private functions used once": f"{len(once)} ({100 * len(once) / len(functions):.0f} %)",
        "comment lines": f"{commented} ({100 * commented / filled:.1f} %)",
        "docstring lines": f"{documented} ({100 * documented / filled:.1f} %)",
        "longest files": ", ".join(f"{path.name} {lengths[path]}" for path in longest),
    }
    for title, value in rows.items():
        click.echo(f"{title:<30}{value}")


if __name__ == "__main__":
    main()
