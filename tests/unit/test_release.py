"""`make release`: it refuses what must not be published, and takes the notes from the changelog."""

from __future__ import annotations

import subprocess

import pytest

from tests.meta.test_documented import script

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
