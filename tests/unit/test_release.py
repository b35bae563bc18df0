"""`make version` and `make release`: what they write, and what they refuse."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.meta.test_documented import script
from tests.meta.tree import ROOT

CHANGELOG = """# Changelog

## Unreleased

- Not yet.

## 1.2.0 - 2027-01-02

- One.

## 1.2 - 2026-12-01

- Older.
"""


@pytest.fixture
def release():
    return script("release")


def test_the_notes_are_the_versions_section(release):
    assert release.notes_of(CHANGELOG, "1.2.0") == "# jupyter-sessmgr 1.2.0\n\n- One.\n"
    assert "Older" in release.notes_of(CHANGELOG, "1.2")


@pytest.mark.parametrize("version", ["1.3", "1", "1.2.0.1"])
def test_a_version_without_a_section_is_refused(release, version):
    with pytest.raises(release.Refused, match="has no section"):
        release.notes_of(CHANGELOG, version)


def test_an_empty_section_is_refused(release):
    with pytest.raises(release.Refused, match="something in it"):
        release.notes_of("## 2.0 - 2027-02-02\n\n## 1.0\n\n- Old.\n", "2.0")


def test_a_tree_with_changes_is_refused(release, tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    release.refuse_changes(tmp_path)
    (tmp_path / "new.txt").write_text("x")
    with pytest.raises(release.Refused, match=r"new\.txt .* not committed"):
        release.refuse_changes(tmp_path)


def test_the_version_is_the_packages(release):
    from jupyter_sessmgr import __version__

    assert release.version_of(release.ROOT) == __version__


@pytest.fixture
def version():
    return script("version")


@pytest.fixture
def tree(version, tmp_path):
    """Copy the files that have the version."""
    for name in {name for name, _ in version.PLACES}:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def test_a_version_is_written_everywhere_and_nothing_else_is(version, release, tree):
    version.set_version(tree, "7.8.9", "2030-02-03")
    assert release.version_of(tree) == "7.8.9"
    for name in {name for name, _ in version.PLACES}:
        before = (ROOT / name).read_text().splitlines()
        after = (tree / name).read_text().splitlines()
        changed = [new for old, new in zip(before, after, strict=True) if old != new]
        assert len(changed) == [one for one, _ in version.PLACES].count(name)
        assert all("7.8.9" in line for line in changed), name
    notes = release.notes_of((tree / "CHANGELOG.md").read_text(), "7.8.9")
    assert notes.endswith("- Not yet.\n")
    assert "## 7.8.9 - 2030-02-03\n" in (tree / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("wrong", ["", "1.2", "v1.2.3", "1.2.3rc1", "1.2.3\n"])
def test_what_is_no_version_is_refused(version, tree, wrong):
    with pytest.raises(ValueError, match="three numbers"):
        version.set_version(tree, wrong, "2030-02-03")


def test_nothing_is_written_where_something_is_missing(version, release, tree):
    (tree / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.0 - 2027-01-02\n\n- One.\n")
    with pytest.raises(ValueError, match="Unreleased"):
        version.set_version(tree, "7.8.9", "2030-02-03")
    assert release.version_of(tree) != "7.8.9"


def test_a_section_that_has_the_version_keeps_its_date(version):
    assert version.name_section(CHANGELOG, "1.2.0", "2030-02-03") == CHANGELOG
