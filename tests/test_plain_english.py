"""Texts that people read contain no phrase of a short list: they are translated idiom, not English.

Checked: the help of every command, every text in errors, log events, settings and metrics, and the
documentation. The list is short on purpose: what stands on it was there once and confused readers.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from connector.cli import group

ROOT = Path(__file__).parent.parent
BANNED = re.compile(
    r"""
      \b(?:is|are)\ needed\b | \bneeded\ is\b
    | \bis\ told\b | \bare\ told\b | \btold\ (?:at|with|where|once)\b
    | \bgoes\ on\b | \bgo\ on\ where\b
    | \bis\ no\ more\b | \bof\ late\b | \bnobody\ (?:would|knows|configures|expected)\b
    | \ba\ mail\b | \bmails\b | \bevery\ mail\b
    | \bin\ no\ sound\b | \bno\ sound\b | \bis\ it\ of\ the\ same\ version\b
    | \bdelivery\ would\ bury\b | \bburied\b
    | \bstands?\ in\ the\ file\b | \bit\ stands\b
    """,
    re.VERBOSE | re.IGNORECASE,
)

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
MODULES = sorted((ROOT / "connector").rglob("*.py"))


def commands(context: click.Context) -> Iterator[tuple[str, str]]:
    """Every command's path with its whole help."""
    yield context.command_path, context.command.get_help(context)
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            inner = context.command.get_command(context, name)
            assert inner is not None
            yield from commands(click.Context(inner, context, info_name=name))


def texts(module: Path) -> Iterator[tuple[int, str]]:
    """String literals of a module that are not docstrings: errors, hints, descriptions, log texts."""
    tree = ast.parse(module.read_text())
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Lines of a page without its code blocks."""
    inside = False
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside:
            yield number, line


def test_the_list_finds_what_it_is_for() -> None:
    for phrase in (
        "a URL is needed",
        "judges every mail",
        "it goes on by itself",
        "delivery would bury it",
        "it is told",
    ):
        assert BANNED.search(phrase), phrase
    for phrase in ("email", "expected a URL", "no more than 1200", "a dead letter", "needed for"):
        assert not BANNED.search(phrase), phrase


def test_help_is_plain_english() -> None:
    found = [
        f"{path}: {match[0]}"
        for path, text in commands(click.Context(group, info_name="email-connector"))
        for match in BANNED.finditer(" ".join(text.split()))
    ]
    assert not found


@pytest.mark.parametrize("room", sorted({path.relative_to(ROOT / "connector").parts[0] for path in MODULES}))
def test_errors_and_descriptions_are_plain_english(room: str) -> None:
    found = [
        f"{module.relative_to(ROOT)}:{line}: {match[0]}"
        for module in MODULES
        if module.relative_to(ROOT / "connector").parts[0] == room
        for line, text in texts(module)
        for match in BANNED.finditer(text)
    ]
    assert not found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_documentation_is_plain_english(page: Path) -> None:
    found = [
        f"{page.name}:{line}: {match[0]}" for line, text in prose(page) for match in BANNED.finditer(text)
    ]
    assert not found
