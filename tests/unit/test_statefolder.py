"""The folder where an installation keeps its state."""

from __future__ import annotations

import os
import stat

import pytest

from jupyter_sessmgr.manager.installation import statefolder
from jupyter_sessmgr.manager.installation.statefolder import (
    INSTALL_FILE,
    LOCK_FILE,
    MASTER_FILE,
    StateFolder,
    is_network_type,
    type_of_mount,
)
from jupyter_sessmgr.model.errors import Standby, StoreRefused

MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:20 / /proc rw - proc proc rw
30 22 0:40 / /home rw,relatime shared:9 - nfs4 server:/home rw,vers=4.2
31 30 0:41 / /home/ada/local\040disk rw - xfs /dev/sdb rw
32 22 0:42 / /mnt/cloud rw - fuse.sshfs ada@host:/ rw
33 22 0:43 / /mnt/over rw - ext4 /dev/sdc rw
34 33 0:44 / /mnt/over rw master:1 propagate_from:2 - cifs //server/share rw
broken line
"""


@pytest.fixture
def folder(tmp_path):
    """Give a state folder that is open and led."""
    made = StateFolder(tmp_path / "a" / "state")
    made.open(note="http://here")
    yield made
    made.close()


def test_it_is_made_private(folder):
    folder.secrets()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    for path in folder.path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def test_the_secret_stays_the_same(folder):
    one, other = folder.secrets(), StateFolder(folder.path).secrets()
    assert one.install_id == other.install_id
    assert len(one.install_id) == 10
    assert one.agent_token("p") == other.agent_token("p")
    assert {path.name for path in folder.path.iterdir()} == {MASTER_FILE, INSTALL_FILE, LOCK_FILE}


def test_two_folders_are_two_installations(folder, tmp_path):
    other = StateFolder(tmp_path / "other")
    other.open(lock=False)
    assert other.secrets().install_id != folder.secrets().install_id


def test_the_public_name_can_be_made_again(folder):
    name = folder.secrets().install_id
    (folder.path / INSTALL_FILE).unlink()
    assert folder.secrets().install_id == name
    assert (folder.path / INSTALL_FILE).read_text().strip() == name


@pytest.mark.parametrize("witness", [INSTALL_FILE, "sessions.db"])
def test_a_lost_secret_is_not_replaced(folder, witness):
    folder.secrets()
    (folder.path / MASTER_FILE).unlink()
    (folder.path / INSTALL_FILE).unlink()
    (folder.path / witness).write_text("x")
    with pytest.raises(StoreRefused, match="is missing, and") as caught:
        folder.secrets()
    assert "Put it back from a copy" in caught.value.message
    assert not (folder.path / MASTER_FILE).exists()


def test_a_swapped_secret_is_refused(folder, tmp_path):
    folder.secrets()
    other = StateFolder(tmp_path / "other")
    other.open(lock=False)
    other.secrets()
    (other.path / MASTER_FILE).replace(folder.path / MASTER_FILE)
    with pytest.raises(StoreRefused, match="do not belong together"):
        folder.secrets()


@pytest.mark.parametrize("content", ["", "abc", "z" * 64, "a" * 63, "\xff" * 64])
def test_a_damaged_secret_is_refused_and_not_shown(folder, content):
    folder.secrets()
    (folder.path / MASTER_FILE).write_text(content, encoding="latin-1")
    with pytest.raises(StoreRefused, match="is damaged") as caught:
        folder.secrets()
    assert not content or content not in caught.value.message


def test_a_secret_that_others_could_read_is_refused(folder):
    folder.secrets()
    (folder.path / MASTER_FILE).chmod(0o640)
    with pytest.raises(StoreRefused, match="chmod 600"):
        folder.secrets()


def test_the_lock_says_who_holds_it(folder):
    holder = StateFolder(folder.path).holder()
    assert (holder.pid, holder.note) == (os.getpid(), "http://here")
    assert str(holder) == f"process {os.getpid()}, http://here"
    folder.acquire()  # harmless
    with pytest.raises(Standby, match=f"in use by process {os.getpid()}, http://here"):
        StateFolder(folder.path).open()
    assert StateFolder(folder.path).holder() == holder, "who was refused leaves no word"


def test_a_lock_that_was_given_back_can_be_taken(folder):
    folder.close()
    folder.close()  # harmless
    other = StateFolder(folder.path)
    other.open()
    other.close()


def test_without_the_lock_the_folder_can_be_read_meanwhile(folder):
    name = folder.secrets().install_id
    follower = StateFolder(folder.path)
    follower.open(lock=False)
    assert follower.secrets().install_id == name


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x", "note": 1, "since": 2}'])
def test_a_lock_file_that_makes_no_sense_is_no_error(folder, text):
    (folder.path / LOCK_FILE).write_text(text)
    assert str(folder.holder()) == "another process"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/ada/.local/share", "nfs4"),
        ("/home", "nfs4"),
        ("/homestead", "ext4"),
        ("/home/ada/local disk/state", "xfs"),
        ("/mnt/cloud/x", "fuse.sshfs"),
        ("/mnt/over/x", "cifs"),
        ("/srv", "ext4"),
    ],
)
def test_the_longest_and_latest_mount_counts(path, kind):
    assert type_of_mount(MOUNTS, path) == kind


@pytest.mark.parametrize(
    "kind",
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "9p",
        "ceph",
        "glusterfs",
        "lustre",
        "afs",
        "beegfs",
        "fuse.sshfs",
        "fuse.s3fs",
        "fuse.rclone",
        "fuse.ceph-fuse",
        "fuse.glusterfs",
    ],
)
def test_network_file_systems(kind):
    assert is_network_type(kind)


@pytest.mark.parametrize("kind", ["", "ext4", "xfs", "btrfs", "tmpfs", "overlay", "fuse.ntfs-3g"])
def test_local_file_systems(kind):
    assert not is_network_type(kind)


def test_a_folder_on_a_network_file_system_is_refused_before_it_is_made(tmp_path, monkeypatch):
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / / rw - ext4 d rw\n2 1 0:2 / {tmp_path}/home rw - nfs4 s:/ rw\n")
    monkeypatch.setattr(statefolder, "_MOUNTS", table)
    with pytest.raises(StoreRefused, match=r"network file system \(nfs4\)") as caught:
        StateFolder(tmp_path / "home" / "state").open()
    assert "c.ComputeSessionManager.state_dir" in caught.value.message
    assert not (tmp_path / "home").exists()
    StateFolder(tmp_path / "local").open()


def test_where_mounts_are_not_told_the_folder_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(statefolder, "_MOUNTS", tmp_path / "absent")
    folder = StateFolder(tmp_path / "state")
    folder.open()
    folder.close()
