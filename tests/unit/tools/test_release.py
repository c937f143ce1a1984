"""A release is prepared in one step, and a tag that does not fit the tree is refused."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from connector import __version__
from tools import release

TODAY = date(2030, 2, 3)
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n- A change.\n\n## [0.0.1] - 2029-01-01\n\n- Older.\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The files of the repository that name the version, and its changelog."""
    names = {name for name, _version in release.versions()} | {"CHANGELOG.md"}
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(release.ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def test_every_place_names_the_version_of_the_package() -> None:
    assert {version for _name, version in release.versions()} == {__version__}


def test_prepare_writes_the_version_everywhere_and_dates_the_changelog(tree: Path) -> None:
    release.prepare("9.8.7", TODAY, tree)

    assert {version for _name, version in release.versions(tree)} == {"9.8.7"}
    release.check("v9.8.7", tree)
    assert release.notes("9.8.7", tree) == "- A change.\n"
    dated = "## [Unreleased]\n\n## [9.8.7] - 2030-02-03\n\n- A change.\n"
    assert dated in (tree / "CHANGELOG.md").read_text()


def test_a_second_release_needs_changes_and_a_new_version(tree: Path) -> None:
    release.prepare("9.8.7", TODAY, tree)
    with pytest.raises(release.ReleaseError, match="nothing stands under Unreleased"):
        release.prepare("9.8.8", TODAY, tree)

    changelog = tree / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("## [Unreleased]\n", "## [Unreleased]\n\n- More.\n"))
    with pytest.raises(release.ReleaseError, match=r"9\.8\.7 was released before"):
        release.prepare("9.8.7", TODAY, tree)


@pytest.mark.parametrize("version", ["1.2", "v1.2.3", "1.2.3rc1", ""])
def test_what_is_no_version_is_refused(version: str, tree: Path) -> None:
    with pytest.raises(release.ReleaseError, match=r"expected a version like 1\.2\.0"):
        release.prepare(version, TODAY, tree)


def test_a_tag_that_disagrees_with_one_file_is_refused_by_its_name(tree: Path) -> None:
    release.prepare("9.8.7", TODAY, tree)
    dockerfile = tree / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("9.8.7", "9.8.6"))

    with pytest.raises(release.ReleaseError, match=r"Dockerfile says 9\.8\.6"):
        release.check("v9.8.7", tree)
    with pytest.raises(release.ReleaseError, match="expected a tag like"):
        release.check("9.8.7", tree)


def test_the_published_chart_names_its_image_by_digest(tmp_path: Path) -> None:
    digest = "sha256:" + "ab" * 32

    chart = release.chart(tmp_path, "registry.example/soc/connector", digest)

    values = (chart / "values.yaml").read_text()
    assert '  repository: "registry.example/soc/connector"\n' in values
    assert f'  digest: "{digest}"\n' in values
    with pytest.raises(release.ReleaseError, match="expected a digest"):
        release.chart(tmp_path / "other", "registry.example/soc/connector", "latest")
