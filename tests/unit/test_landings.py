"""The folders in which containers reach the server: made, kept, and removed."""

from __future__ import annotations

import os
import time

import pytest

from jupyter_sessmgr.engines.docker import landings
from jupyter_sessmgr.engines.docker.landings import Landings


@pytest.fixture
def made(tmp_path):
    return Landings(tmp_path / "landings")


def age(path):
    """Have a folder made a while ago."""
    long_ago = time.time() - 2 * landings._LEFT_OVER
    os.utime(path, (long_ago, long_ago))


async def test_folders_of_places_that_are_gone_are_removed(made):
    for name in ("lives", "gone", "young"):
        await made.make(name)
    age(made.path("lives"))
    age(made.path("gone"))
    await made.sweep({"lives"})
    assert [made.path(name).is_dir() for name in ("lives", "gone", "young")] == [True, False, True]


async def test_a_folder_that_goes_while_it_is_looked_at_does_not_end_the_sweep(made, monkeypatch):
    for name in ("first", "second"):
        await made.make(name)
        age(made.path(name))
    removed = made.path("first"), made.path("second")

    def names(_root):
        removed[0].rmdir()
        return iter(removed)

    monkeypatch.setattr(type(removed[0]), "iterdir", names)
    await made.sweep(set())
    assert not any(path.exists() for path in removed)


async def test_a_folder_that_cannot_be_made_is_done_without(tmp_path):
    (tmp_path / "landings").write_text("in the way")
    assert await Landings(tmp_path / "landings").make("place") == ""
    assert await Landings(None).make("place") == ""
