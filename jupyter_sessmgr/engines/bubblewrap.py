"""The sandbox of local sessions: what ``bwrap`` is told, and whether it works here.

A session in it has its own processes, its own ``/tmp``, IPC and devices, and sees of the files
only what is named: the system's programs, its Python environment, its mounts, its own folder.
Everything else is not hidden but absent, so what nobody thought of is absent too: homes, the
sockets in ``/run``, other sessions. It has no capabilities and cannot get any.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jupyter_sessmgr.model.mounts import Mount

#: A private folder in memory, for what must never be on a disk.
INSIDE_RUN = "/run/sessmgr"

#: What it says when a mount below a folder came or went while that was shown.
MOVED = "Can't bind mount"

_PROBE_TIMEOUT = 10.0
#: Which field of a line of mountinfo is the mount point.
_POINT = 4
_RUN_BYTES = 16 * 2**20
#: What every attempt has in common. `--die-with-parent` is absent on purpose: a session
#: outlives the server that started it.
_ALWAYS = ("--unshare-pid", "--as-pid-1", "--unshare-ipc", "--unshare-cgroup-try")
_NEWEST = ("--unshare-user", "--disable-userns", "--cap-drop", "ALL")
_OLDER = ("--unshare-user", "--cap-drop", "ALL")
#: For root on systems that forbid user namespaces, and where ``bwrap`` is setuid.
_WITHOUT_USER = ("--cap-drop", "ALL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A ``bwrap`` that was seen to work, and with which options."""

    program: str
    options: tuple[str, ...]
    #: It can bound the folders it keeps in memory.
    sizes: bool
    #: It can give a session a network of its own, with nobody in it.
    own_network: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Which files a session sees, and where it sees them. All paths are absolute."""

    #: Folders and files of the host that are at the same place inside, to be read only.
    visible: tuple[str, ...]
    #: Links to make: what is written in them, and where they are.
    links: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    #: Folders that exist and that a session must never see, wherever they come to lie.
    hidden: tuple[str, ...] = ()
    #: The same for files.
    masked: tuple[str, ...] = ()
    #: What of ``/proc`` nobody may write, and what nobody may read.
    sealed: tuple[str, ...] = ()
    blanked: tuple[str, ...] = ()
    #: The place's own folders, writable, at the same place inside.
    own: tuple[str, ...] = ()
    #: Folder of the host that is ``/tmp`` inside.
    tmp: str
    #: Bytes of ``/dev/shm``.
    shmem: int
    #: Whether it has the network of the host.
    network: bool


def arguments(sandbox: Sandbox, view: View, command: Sequence[str], info: int) -> list[str]:
    """Build the command line that runs `command` in a sandbox. Pure.

    `info` is the number of an open file that gets the process's number as the host sees it.
    """
    parts: list[str] = [sandbox.program, *sandbox.options, *_ALWAYS]
    if not view.network:
        parts.append("--unshare-net")
    parts += _system(sandbox, view)
    for target, path in view.links:
        parts += ["--symlink", target, path]
    steps, covers = _layers(view)
    for step in steps:
        parts += step
    for path in view.own:
        parts += ["--bind", path, path]
    # Last, since what is made read-only cannot get another folder in it.
    for path in (*covers, "/"):
        parts += ["--remount-ro", path]
    return [*parts, "--chdir", "/", "--info-fd", str(info), "--", *command]


def _layers(view: View) -> tuple[list[list[str]], list[str]]:
    """Order what is shown and what is covered; returns the options, and the covering folders.

    The outer one comes first, or it would lie over the inner one: a mount from a hidden folder
    shows, a hidden folder in a mount does not.
    """
    shown = [Mount(name="", source=path, target=path) for path in view.visible]
    shown += view.mounts
    covers = _inside(view.hidden, shown)
    layers = [
        (one.target, ["--ro-bind" if one.read_only else "--bind", one.source, one.target])
        for one in shown
    ]
    layers += [(path, ["--tmpfs", path]) for path in covers]
    layers += [(path, ["--ro-bind", "/dev/null", path]) for path in _inside(view.masked, shown)]
    layers.sort(key=lambda layer: len(PurePosixPath(layer[0]).parts))
    return [options for _, options in layers], covers


def _system(sandbox: Sandbox, view: View) -> list[str]:
    def in_memory(path: str, size: int) -> list[str]:
        return [*(["--size", str(size)] if sandbox.sizes else []), "--tmpfs", path]

    proc = ["--proc", "/proc"]
    for path in view.sealed:
        proc += ["--ro-bind", path, path]
    for path in view.blanked:
        proc += ["--ro-bind", "/dev/null", path]
    return [
        *proc,
        *("--dev", "/dev"),
        *in_memory("/dev/shm", view.shmem),  # noqa: S108 - inside the sandbox
        *("--ro-bind-try", "/sys/devices/system", "/sys/devices/system"),
        *in_memory("/run", _RUN_BYTES),
        *("--perms", "0700", "--dir", INSIDE_RUN),
        *("--bind", view.tmp, "/tmp", "--bind", view.tmp, "/var/tmp"),  # noqa: S108 - as above
    ]


def _inside(secrets: Iterable[str], shown: Iterable[Mount]) -> list[str]:
    """Say where inside the secret paths show, since something around them is shown."""
    binds = [(PurePosixPath(one.source), PurePosixPath(one.target)) for one in shown]
    found = {
        str(target / secret.relative_to(source)): None
        for secret in map(PurePosixPath, secrets)
        for source, target in binds
        if secret.is_relative_to(source)
    }
    return list(found)


def probe(program: str) -> Sandbox | str:
    """Find out what this ``bwrap`` can do by doing it; else say in words why it cannot.

    Runs programs for some tens of milliseconds; called once, in a thread.
    """
    problem = "it gave no reason"
    for options, sizes in (
        (_NEWEST, True),
        (_OLDER, True),
        (_OLDER, False),
        (_WITHOUT_USER, False),
    ):
        sandbox = Sandbox(program=program, options=options, sizes=sizes, own_network=True)
        for network in (False, True):
            failure = _try(sandbox, network=network)
            if not failure:
                return Sandbox(
                    program=program, options=options, sizes=sizes, own_network=not network
                )
            problem = failure
    return problem


def _try(sandbox: Sandbox, *, network: bool) -> str:
    view = View(
        visible=system_folders(), links=system_links(), tmp="/usr", shmem=2**20, network=network
    )
    handle = os.open(os.devnull, os.O_WRONLY)
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            arguments(sandbox, view, ["true"], handle),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_PROBE_TIMEOUT,
            pass_fds=(handle,),
            env={"PATH": os.defpath},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        os.close(handle)
    return "" if done.returncode == 0 else done.stderr.strip()[-200:] or "it gave no reason"


#: Where systems keep programs, libraries and their settings.
SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc"),
    *("/nix/store", "/gnu/store"),
)
#: Where other programs are, each in a folder of its own.
_OTHERS = Path("/opt")
_MOUNTS = Path("/proc/self/mountinfo")


def system_folders() -> tuple[str, ...]:
    """List the folders of the system that sessions see. Looks at files."""
    folders = [path for path in SYSTEM if Path(path).is_dir() and not Path(path).is_symlink()]
    points = _mount_points()
    if _OTHERS.is_dir():
        folders += [str(path) for path in sorted(_OTHERS.iterdir()) if _is_program(path, points)]
    # Name resolution is often a link out of /etc.
    resolver = os.path.realpath("/etc/resolv.conf")
    if not resolver.startswith("/etc/") and Path(resolver).is_file():
        folders.append(resolver)
    return tuple(folders)


def _is_program(path: Path, points: Sequence[PurePosixPath]) -> bool:
    """Tell a program's folder from one where something keeps its data, as container engines do."""
    seen = path.lstat()
    open_to_all = stat.S_IROTH | stat.S_IXOTH
    if not stat.S_ISDIR(seen.st_mode) or seen.st_mode & open_to_all != open_to_all:
        return False
    return not any(point.is_relative_to(path) for point in points)


def _mount_points() -> list[PurePosixPath]:
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    return [PurePosixPath(line.split(" ")[_POINT].replace("\\040", " ")) for line in lines]


def system_links() -> tuple[tuple[str, str], ...]:
    """List the links among them, as ``/bin`` is one where ``/usr`` is merged. Looks at files."""
    links = (path for path in SYSTEM if Path(path).is_symlink())
    return tuple((str(Path(path).readlink()), path) for path in links)


def system_knobs() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """List what of ``/proc`` is to be sealed, and what to be blanked. Looks at files.

    Where the server runs as root, its sessions own what is in there, and the system asks for no
    more than that: ``/proc/sys/kernel/core_pattern`` alone is the whole machine. The sandbox
    program seals only what it finds writable at the top.
    """
    sealed, blanked = [], []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() or entry.is_symlink():
            continue
        mode = entry.stat().st_mode
        if entry.is_dir() or mode & stat.S_IWUSR:
            sealed.append(entry.path)
        elif not mode & stat.S_IROTH:
            blanked.append(entry.path)
    return tuple(sorted(sealed)), tuple(sorted(blanked))


def unreadable_by_others(root: str = "/etc") -> Iterator[str]:
    """List what only its owner may read below `root`. Looks at files.

    For a server that runs as root: its sessions own these files, rights would not stop them.
    """
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_symlink():
                continue
            if not entry.stat(follow_symlinks=False).st_mode & stat.S_IROTH:
                yield entry.path
            elif entry.is_dir(follow_symlinks=False):
                yield from unreadable_by_others(entry.path)
