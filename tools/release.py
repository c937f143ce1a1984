"""Prepares and checks a release: the version everywhere it stands, the changelog, and the notes of a version.

    python -m tools.release prepare 1.2.0   write the version into every file, date the changelog's section
    python -m tools.release check v1.2.0    fail unless the tag, every file and the changelog agree
    python -m tools.release notes 1.2.0     print the changelog's section
    python -m tools.release chart DIRECTORY IMAGE DIGEST
                                            copy the chart, with the image as its default

docs/releasing.md is the procedure. Versions follow SemVer, without build metadata: the same text must do for Python, Helm and
image tags.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent

_VERSION = re.compile(r"\d+\.\d+\.\d+")

_PLACES = {
    "connector/__init__.py": r'(?m)^__version__ = "(?P<version>[^"]+)"$',
    "Dockerfile": r"(?m)^ARG VERSION=(?P<version>\S+)$",
    "deploy/compose/*/compose.yaml": r"image: email-connector:(?P<version>\S+)",
    "deploy/helm/email-connector/Chart.yaml": r'(?m)^(?:version|appVersion): "?(?P<version>[^"\s]+)"?$',
    "deploy/kubernetes/kustomization.yaml": r"newTag: (?P<version>\S+)",
    "deploy/kubernetes/*set.yaml": r"image: email-connector:(?P<version>\S+)",
    "deploy/splunk/*/app.manifest": r'"version": "(?P<version>\d+\.\d+\.\d+)"',
    "deploy/splunk/*/default/app.conf": r"(?m)^version = (?P<version>\S+)$",
}
"""Glob of files to the pattern of each version in them."""

_UNRELEASED = "## [Unreleased]"


class ReleaseError(Exception):
    """The tree is not in the state a release needs; the message says what to do."""


def versions(root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Yield file and version of every place that names the version. Raises ReleaseError for a file without one."""
    for glob, pattern in _PLACES.items():
        paths = sorted(root.glob(glob))
        if not paths:
            raise ReleaseError(f"{glob}: no such file; mend _PLACES in tools/release.py")
        for path in paths:
            name = str(path.relative_to(root))
            matches = list(re.finditer(pattern, path.read_text(encoding="utf-8")))
            if not matches:
                raise ReleaseError(f"{name}: names no version; mend it, or _PLACES in tools/release.py")
            yield from ((name, match["version"]) for match in matches)


def prepare(version: str, today: date, root: Path = ROOT) -> None:
    """Write *version* into every place and give the changelog's unreleased section its name and date.

    Raises ReleaseError for a version that is no X.Y.Z and for a changelog without unreleased changes.
    """
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"expected a version like 1.2.0, got {version!r}")
    changelog = root / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    if not _section(text, "Unreleased").strip():
        raise ReleaseError("CHANGELOG.md: nothing stands under Unreleased; a release says what changes")
    if f"## [{version}]" in text:
        raise ReleaseError(f"CHANGELOG.md: {version} was released before; choose the next version")
    list(versions(root))  # before anything is written: every place must be there
    changelog.write_text(
        text.replace(_UNRELEASED, f"{_UNRELEASED}\n\n## [{version}] - {today.isoformat()}", 1),
        encoding="utf-8",
    )
    for glob, pattern in _PLACES.items():
        for path in root.glob(glob):
            text = path.read_text(encoding="utf-8")
            for match in reversed(list(re.finditer(pattern, text))):
                text = text[: match.start("version")] + version + text[match.end("version") :]
            path.write_text(text, encoding="utf-8")


def check(tag: str, root: Path = ROOT) -> None:
    """Raise ReleaseError unless *tag* is ``vX.Y.Z`` and every place and the changelog name X.Y.Z."""
    version = tag.removeprefix("v")
    if tag == version or not _VERSION.fullmatch(version):
        raise ReleaseError(f"expected a tag like v1.2.0, got {tag!r}")
    wrong = [f"{name} says {found}" for name, found in versions(root) if found != version]
    if wrong:
        raise ReleaseError(
            f"not everything says {version}: {', '.join(wrong)}; run `make release VERSION={version}`"
        )
    notes(version, root)


def notes(version: str, root: Path = ROOT) -> str:
    """Return the changelog's section of *version*, without its heading. Raises ReleaseError if there is none."""
    section = _section((root / "CHANGELOG.md").read_text(encoding="utf-8"), version).strip()
    if not section:
        raise ReleaseError(f"CHANGELOG.md: no section for {version}; run `make release VERSION={version}`")
    return section + "\n"


def chart(directory: Path, image: str, digest: str, root: Path = ROOT) -> Path:
    """Copy the chart into *directory*, with *image* at *digest* as its default image; return where it is.

    Raises ReleaseError for a digest that is no ``sha256:...``.
    """
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise ReleaseError(f"expected a digest like sha256:<64 hexadecimal digits>, got {digest!r}")
    target = directory / "email-connector"
    shutil.copytree(root / "deploy" / "helm" / "email-connector", target)
    values = target / "values.yaml"
    text = values.read_text(encoding="utf-8")
    for key, old, new in (("repository", "email-connector", image), ("digest", '""', digest)):
        if text.count(f"  {key}: {old}\n") != 1:
            raise ReleaseError(f"values.yaml: expected one line {key}: {old}; mend tools/release.py")
        text = text.replace(f"  {key}: {old}\n", f'  {key}: "{new}"\n')
    values.write_text(text, encoding="utf-8")
    return target


def _section(changelog: str, version: str) -> str:
    match = re.search(rf"(?ms)^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)", changelog)
    return match[1] if match else ""


def main(arguments: list[str]) -> int:
    """Run one of the commands above; 2 for wrong usage, 1 for a tree that is not ready."""
    try:
        match arguments:
            case ["prepare", version]:
                prepare(version, datetime.now(UTC).date())
            case ["check", tag]:
                check(tag)
            case ["notes", version]:
                sys.stdout.write(notes(version))
            case ["chart", directory, image, digest]:
                sys.stdout.write(f"{chart(Path(directory), image, digest)}\n")
            case _:
                usage = "prepare VERSION | check TAG | notes VERSION | chart DIRECTORY IMAGE DIGEST"
                sys.stderr.write(f"usage: python -m tools.release {usage}\n")
                return 2
    except ReleaseError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
