"""S7, the database file's part: it is private, ours and writable, or it is refused."""

from __future__ import annotations

import os
import stat

import pytest

from jupyter_sessmgr.model.errors import StoreRefused
from tests.plugins.disks import as_root, bind, remount, tmpfs
from tests.plugins.stores import PLENTY, ReversingCipher, a_full_session, a_session, open_store


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_S7_every_file_is_private_whatever_the_umask_is(state_dir):
    before = os.umask(0)
    try:
        async with open_store(state_dir) as store:
            await store.add(a_session(), PLENTY)
            found = modes(state_dir)
    finally:
        os.umask(before)
    assert set(found) == {"sessions.db", "sessions.db-wal", "sessions.db-shm"}
    assert set(found.values()) == {0o600}


async def test_S7_a_file_that_others_could_read_becomes_private(state_dir, caplog):
    async with open_store(state_dir):
        pass
    (state_dir / "sessions.db").chmod(0o666)
    async with open_store(state_dir):
        assert set(modes(state_dir).values()) == {0o600}
    assert "now it is private" in caplog.text


async def test_S7_environ_values_cannot_be_read_from_the_file(state_dir):
    async with open_store(state_dir) as store:
        session = await store.add(a_full_session(), PLENTY)
        files = [path.read_bytes() for path in state_dir.iterdir()]
    (value,) = [one for one in session.spec.environ.values() if one]
    assert not any(value.strip().encode() in content for content in files)
    assert not any(b"h\\u00e9llo" in content for content in files)
    assert any(session.name.encode() in content for content in files)


async def test_S7_another_installations_file_is_refused(state_dir):
    async with open_store(state_dir, cipher=ReversingCipher("one")) as store:
        session = await store.add(a_session(), PLENTY)
    with pytest.raises(StoreRefused, match="belongs to another installation") as caught:
        async with open_store(state_dir, cipher=ReversingCipher("other")):
            pass
    assert "Put the secret back" in caught.value.message
    async with open_store(state_dir, cipher=ReversingCipher("one")) as store:
        assert list(store.sessions()) == [session]


@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
async def test_S7_what_is_no_plain_file_is_refused(state_dir, tmp_path, kind):
    file = state_dir / "sessions.db"
    target = tmp_path / "elsewhere"
    if kind == "link":
        target.write_bytes(b"")
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to(target)
    with pytest.raises(StoreRefused, match="is not a plain file"):
        async with open_store(state_dir):
            pass
    assert target.exists() == (kind == "link")


async def test_S7_a_folder_that_is_not_there_is_refused(state_dir):
    with pytest.raises(StoreRefused, match="cannot be opened for writing"):
        async with open_store(state_dir / "missing"):
            pass


async def test_S7_another_users_file_is_refused(tmp_path, request):
    if not as_root(request, tmp_path):
        return
    with tmpfs(tmp_path / "disk", "1m") as folder:
        async with open_store(folder):
            pass
        try:
            os.chown(folder / "sessions.db", 12345, -1)
        except OSError:  # a user namespace knows one user; this one has another owner
            bind("/proc/version", folder / "sessions.db")
        with pytest.raises(StoreRefused, match="belongs to another user"):
            async with open_store(folder):
                pass


async def test_S7_a_read_only_disk_is_refused_and_works_again_later(tmp_path, request):
    if not as_root(request, tmp_path):
        return
    with tmpfs(tmp_path / "disk", "1m") as folder:
        async with open_store(folder) as store:
            session = await store.add(a_session(), PLENTY)
        remount(folder, "ro")
        with pytest.raises(StoreRefused, match="cannot be opened for writing"):
            async with open_store(folder):
                pass
        remount(folder, "rw")
        async with open_store(folder) as store:
            assert list(store.sessions()) == [session]
