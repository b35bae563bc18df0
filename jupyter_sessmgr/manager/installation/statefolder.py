"""The folder where an installation keeps its state: private, local, held by one server."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyter_sessmgr._version import __version__
from jupyter_sessmgr.manager.installation.secrets import KEY_BYTES, InstallationSecrets
from jupyter_sessmgr.model.errors import Standby, StoreError, StoreRefused

#: The master secret lies apart from the database, so an emptied database does not make the
#: installation a stranger to its own sessions (FAULTS S5).
MASTER_FILE = "master-secret"
INSTALL_FILE = "install-id"
LOCK_FILE = "leader.lock"

_NETWORK_TYPES = frozenset(
    {"nfs", "nfs4", "cifs", "smbfs", "smb3", "9p", "ceph", "glusterfs", "lustre", "afs", "beegfs"}
    | {"gpfs", "orangefs", "pvfs2", "ncpfs", "coda", "ocfs2", "gfs2", "davfs"}
)
_NETWORK_FUSE = re.compile(
    r"fuse\.(sshfs|s3fs|goofys|gcsfuse|rclone|davfs2?|ceph(-fuse)?|gluster\w*|juicefs|seaweedfs|"
    r"curlftpfs|smbnetfs|mountpoint-s3|blobfuse2?|afpfs|beegfs\w*|moosefs|mfs|nfs\w*)"
)
_ESCAPE = re.compile(r"\\([0-7]{3})")
#: Which field of a mountinfo line is the mount point.
_POINT = 4
_MOUNTS = Path("/proc/self/mountinfo")
_NOTE_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who holds a state folder."""

    pid: int
    #: What the holder says of itself, such as its URL without a token.
    note: str
    #: When it took the lock, in seconds since the epoch.
    since: float
    #: Which release of this package it is.
    release: str = ""

    def __str__(self) -> str:
        note = f", {self.note}" if self.note else ""
        return f"process {self.pid}{note}" if self.pid else "another process"


class StateFolder:
    """One installation's folder.

    Made by the manager. The methods do file I/O: call them in a thread.

    Parameters
    ----------
    path : Path
        Where it is, or is to be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def open(self, *, lock: bool = True, note: str = "") -> None:
        """Make the folder if need be, check it, and become its leader.

        Parameters
        ----------
        lock : bool
            Become the leader. Without it, nothing but the secrets may be used.
        note : str
            What the lock says of the holder, for people.

        Raises
        ------
        Standby
            when another server is the leader; says which.
        StoreRefused
            when the folder must not be used as it is; says the remedy.
        """
        self.prepare()
        if lock:
            self.acquire(note)

    def prepare(self) -> None:
        """Make the folder if need be, and refuse one that is not private, ours and local.

        Raises
        ------
        StoreRefused
            with the remedy.
        """
        kind = filesystem_type(self.path)
        if is_network_type(kind):
            raise StoreRefused(
                f"The state folder {self.path} is on a network file system ({kind}), where its "
                "database would be damaged. Set c.ComputeSessionManager.state_dir to a folder on "
                "a disk of this machine."
            )
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            seen = self.path.stat()
        except OSError as error:
            raise StoreRefused(
                f"The state folder {self.path} cannot be made ({error.strerror}). Set "
                "c.ComputeSessionManager.state_dir to a folder that you may write."
            ) from error
        self._check_private(seen)

    def _check_private(self, seen: os.stat_result) -> None:
        if seen.st_uid != os.geteuid():
            raise StoreRefused(
                f"The state folder {self.path} belongs to user {seen.st_uid}, and this is user "
                f"{os.geteuid()}. Set c.ComputeSessionManager.state_dir to a folder of your own."
            )
        if stat.S_IMODE(seen.st_mode) & 0o077:
            raise StoreRefused(
                f"Others may look into the state folder {self.path}, which holds secrets. Make "
                f"it private: chmod 700 {self.path}"
            )
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise StoreRefused(
                f"The state folder {self.path} cannot be written. Make it writable: "
                f"chmod 700 {self.path}"
            )

    def acquire(self, note: str = "") -> None:
        """Become the leader; harmless when this object is.

        The system lets the lock go when this process ends, however it ends.

        Raises
        ------
        Standby
            when another server is.
        """
        if self._lock is not None:
            return
        with _in_words(self.path):
            # not inherited by other programs: an agent outlives the server and must not hold it
            lock = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            words = {
                "pid": os.getpid(),
                "note": note[:500],
                "since": time.time(),
                "release": __version__,
            }
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps(words).encode(), 0)
        except BlockingIOError:
            os.close(lock)
            raise Standby(
                f"The state folder {self.path} is in use by {self.holder()}. Stop that one, or "
                "give this one a folder of its own with c.ComputeSessionManager.state_dir."
            ) from None
        except OSError as error:
            os.close(lock)
            raise StoreError(_problem(self.path, error)) from error
        self._lock = lock

    def holder(self) -> LockHolder:
        """Say who holds the lock, or held it last; a pid of 0 means that it is not told."""
        try:
            with (self.path / LOCK_FILE).open("rb") as stream:
                words = json.loads(stream.read(_NOTE_LIMIT))
            pid, note, since = int(words["pid"]), str(words["note"]), float(words["since"])
            return LockHolder(pid, note, since, str(words.get("release", "")))
        except (OSError, ValueError, KeyError, TypeError):
            return LockHolder(0, "", 0.0)

    def check_release(self) -> None:
        """Refuse to follow a leader whose rows and agents another release understands.

        Raises
        ------
        Standby
            when the leader is of another release; says which, and the remedy.
        """
        holder = self.holder()
        if holder.release and holder.release != __version__:
            raise Standby(
                f"The state folder {self.path} is in use by {holder} of release {holder.release}, "
                f"and this server is of release {__version__}: it cannot follow, and offers no "
                "remote kernels until the other one ends. Start both with the same release."
            )

    def close(self) -> None:
        """Give the lock back. Harmless when it is not held."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def secrets(self) -> InstallationSecrets:
        """Read the installation's secret, or make one for a new installation.

        Raises
        ------
        StoreRefused
            when it is missing though the folder is in use, damaged, or others may read it.
        StoreError
            when the disk is full or fails.
        """
        master = self._master()
        install_id = hmac.new(master, b"install id", hashlib.sha256).hexdigest()[:10]
        self._check_install_id(install_id)
        return InstallationSecrets(master, install_id)

    def _master(self) -> bytes:
        path = self.path / MASTER_FILE
        with _in_words(self.path):
            if not path.exists():
                self._refuse_loss()
                _write_once(path, os.urandom(KEY_BYTES).hex() + "\n")
            seen = path.stat()
            text = path.read_text(encoding="ascii", errors="replace").strip()
        if seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) & 0o077:
            raise StoreRefused(
                f"Others could read the sessions' secret {path}. If nobody did, make it private: "
                f"chmod 600 {path}"
            )
        if re.fullmatch(f"[0-9a-f]{{{2 * KEY_BYTES}}}", text) is None:
            raise StoreRefused(f"The sessions' secret {path} is damaged. {self._start_over()}")
        return bytes.fromhex(text)

    def _check_install_id(self, install_id: str) -> None:
        """Keep the public name beside the secret it is made from, to notice a swapped one."""
        path = self.path / INSTALL_FILE
        with _in_words(self.path):
            _write_once(path, install_id + "\n")
            text = path.read_text(encoding="ascii", errors="replace").strip()
        if text != install_id:
            raise StoreRefused(
                f"{path} and {self.path / MASTER_FILE} do not belong together. {self._start_over()}"
            )

    def _refuse_loss(self) -> None:
        """Do not take a folder whose secret was lost for a new one: its sessions still run."""
        used = [*self.path.glob(INSTALL_FILE), *self.path.glob("*.sqlite"), *self.path.glob("*.db")]
        if used and not (self.path / MASTER_FILE).exists():  # another server may be faster
            raise StoreRefused(
                f"The sessions' secret {self.path / MASTER_FILE} is missing, and {used[0].name} "
                f"says that there was one. {self._start_over()}"
            )

    def _start_over(self) -> str:
        return (
            "Put it back from a copy; or move the folder away to start anew, and remove sessions "
            "that still run by hand."
        )


def filesystem_type(path: Path) -> str:
    """Return the type of the file system that holds `path`, or will; "" when it is not told.

    Only Linux tells; asking changes nothing elsewhere.
    """
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    return type_of_mount(mounts, str(path.resolve()))


def type_of_mount(mounts: str, path: str) -> str:
    """Find `path` in the text of a mountinfo file; the longest mount point, the latest of them."""
    best, kind = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > _POINT and after:
            point = _ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[_POINT])
            inside = path == point or path.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):
                best, kind = point, after.split(" ")[0]
    return kind


def is_network_type(kind: str) -> bool:
    """Tell whether several machines could see the same files on such a file system."""
    return kind in _NETWORK_TYPES or _NETWORK_FUSE.fullmatch(kind) is not None


def _write_once(path: Path, text: str) -> None:
    """Write a file that nobody has written yet, whole or not at all, and durably."""
    if path.exists():
        return
    descriptor, made = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):  # the first writer wins
            os.link(made, path)
    finally:
        Path(made).unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into words about the folder."""
    try:
        yield
    except OSError as error:
        raise StoreError(_problem(path, error)) from error


def _problem(path: Path, error: OSError) -> str:
    return (
        f"The state folder {path} cannot be used now ({error.strerror}). Look whether its disk is "
        "full or broken."
    )
