"""What the sandbox program is told."""

from __future__ import annotations

import pytest

from jupyter_sessmgr.engines.bubblewrap import Sandbox, View, arguments, probe, unreadable_by_others
from jupyter_sessmgr.model.mounts import Mount

SANDBOX = Sandbox(
    program="/usr/bin/bwrap", options=("--unshare-user",), sizes=True, own_network=True
)


def build(sandbox=SANDBOX, **view):
    view = View(**{"visible": ("/usr",), "tmp": "/p/tmp", "shmem": 64, "network": True, **view})
    return arguments(sandbox, view, ["python", "-c", "pass"], 7)


def position(words, *wanted):
    """Find where words stand one after the other; fail when they don't."""
    for start in range(len(words)):
        if tuple(words[start : start + len(wanted)]) == wanted:
            return start
    raise AssertionError(f"{wanted} not in {words}")


def test_the_command_comes_last_and_whole():
    words = build()
    assert words[0] == "/usr/bin/bwrap"
    assert words[-6:] == ["--info-fd", "7", "--", "python", "-c", "pass"]


def test_a_session_outlives_its_server():
    assert "--die-with-parent" not in build()


@pytest.mark.parametrize("option", ["--unshare-pid", "--as-pid-1", "--unshare-ipc"])
def test_it_has_its_own(option):
    assert option in build()


def test_the_network_is_its_own_only_when_isolated():
    assert "--unshare-net" not in build(network=True)
    assert "--unshare-net" in build(network=False)


def test_mounts_show_where_they_are_wanted_with_the_rights_given():
    words = build(
        mounts=(
            Mount(name="data", source="/srv/data", target="/mnt/data"),
            Mount(name="notebook", source="/n", target="/n", read_only=False),
        )
    )
    position(words, "--ro-bind", "/srv/data", "/mnt/data")
    position(words, "--bind", "/n", "/n")


def test_an_outer_mount_does_not_lie_over_an_inner_one():
    words = build(
        mounts=(
            Mount(name="inner", source="/b", target="/w/x/y"),
            Mount(name="outer", source="/a", target="/w"),
        )
    )
    assert position(words, "--ro-bind", "/a", "/w") < position(words, "--ro-bind", "/b", "/w/x/y")


def test_a_secret_in_a_mount_is_covered_there_and_sealed_at_the_end():
    words = build(
        mounts=(Mount(name="notebook", source="/home/me", target="/work", read_only=False),),
        hidden=("/home/me/state",),
        masked=("/home/me/key",),
    )
    mounted = position(words, "--bind", "/home/me", "/work")
    assert mounted < position(words, "--tmpfs", "/work/state")
    assert mounted < position(words, "--ro-bind", "/dev/null", "/work/key")
    assert position(words, "--tmpfs", "/work/state") < position(
        words, "--remount-ro", "/work/state"
    )
    assert "/home/me/state" not in words


def test_a_mount_out_of_a_secret_folder_shows():
    words = build(
        visible=("/opt",),
        hidden=("/opt/state",),
        mounts=(Mount(name="home", source="/opt/state/h", target="/opt/state/h"),),
    )
    covered = position(words, "--tmpfs", "/opt/state")
    assert covered < position(words, "--ro-bind", "/opt/state/h", "/opt/state/h")


def test_secrets_that_nothing_shows_are_not_named():
    assert "/root/state" not in build(hidden=("/root/state",))


def test_the_root_is_sealed_after_everything_was_made():
    words = build(own=("/p/run",), links=(("usr/lib", "/lib"),))
    sealed = position(words, "--remount-ro", "/")
    assert position(words, "--bind", "/p/run", "/p/run") < sealed
    assert position(words, "--symlink", "usr/lib", "/lib") < sealed


def test_sizes_are_given_only_where_they_are_understood():
    position(build(shmem=123), "--size", "123", "--tmpfs", "/dev/shm")
    older = Sandbox(program="bwrap", options=(), sizes=False, own_network=True)
    assert "--size" not in build(older)


def test_a_program_that_is_no_sandbox_is_told_in_words():
    assert isinstance(probe("/bin/false"), str)
    assert "No such file" in probe("/nowhere/bwrap")


def test_only_what_others_may_not_read_is_named(tmp_path):
    for name, mode in {"open": 0o644, "closed": 0o600, "dir/closed": 0o640}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        path.chmod(mode)
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "private/inner").write_text("")
    (tmp_path / "link").symlink_to("closed")
    names = {path.removeprefix(f"{tmp_path}/") for path in unreadable_by_others(str(tmp_path))}
    assert names == {"closed", "dir/closed", "private"}
