"""Key pairs: names with a secret, for programs that sign their requests.

Which pairs there are stands in a file of the state folder; a secret is derived from the
installation's own and stands nowhere. The file is looked at whenever a pair is asked for, so a
running server knows at once what ``jupyter sessmgr keypair`` did.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import json
import logging
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.manager.installation.statefolder import StateFolder
from jupyter_sessmgr.model.errors import InvalidRequest, SessmgrError, StoreError, StoreRefused
from jupyter_sessmgr.model.naming import is_text

#: Both in the state folder; the lock is its own file, since the other one is replaced.
FILE, LOCK_FILE = "key-pairs.json", "key-pairs.lock"
#: Longest name of an owner.
MAX_OWNER = 255
#: An access key is this long: 100 random bits.
KEY_LENGTH = 20

#: Tells one state of the file from another; None: there is no file.
_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """Who may sign, and what that allows."""

    access_key: str
    #: Whose sessions the pair's requests make and see.
    owner: str
    #: May do what only admins may.
    admin: bool = False
    #: Seconds since the epoch.
    created_at: float = 0.0


class KeyPairs:
    """The key pairs of an installation.

    `read`, `add` and `remove` work on files: call them in a thread.

    Parameters
    ----------
    folder : Path
        The state folder.
    log : logging.Logger
        Gets one line when the file cannot be used.
    """

    def __init__(
        self, folder: Path, log: logging.Logger | logging.LoggerAdapter[logging.Logger]
    ) -> None:
        self._folder = folder
        self._log = log
        self._known: Mapping[str, KeyPair] = MappingProxyType({})
        self._stamp: _Stamp = None
        self._trouble = ""
        self._secrets: InstallationSecrets | None = None

    @property
    def are_used(self) -> bool:
        """Whether there is any pair that works."""
        return bool(self._known)

    async def refresh(self) -> None:
        """Look whether pairs came or went. Called before what follows from memory is used.

        While the file is damaged there are no pairs, and the log says why.
        """
        await asyncio.to_thread(self._refresh)

    def find(self, access_key: str) -> KeyPair | None:
        """Return the pair with this access key, from memory; None when there is none."""
        return self._known.get(access_key)

    def secret(self, access_key: str) -> str:
        """Return what this access key signs with, whether or not there is such a pair.

        The same for both, so that nobody learns from the time it takes which pairs there are.

        Raises
        ------
        RuntimeError
            when there never was one: ask `are_used` first.
        """
        if self._secrets is None:
            raise RuntimeError("there are no key pairs")
        return self._secrets.derive("key pair", access_key).hex()

    def read(self) -> Sequence[KeyPair]:
        """Return all pairs, oldest first.

        Raises
        ------
        StoreRefused
            when the file is damaged, or others could have written it.
        StoreError
            when it cannot be read.
        """
        with _in_words(self._path):
            if not self._path.exists():
                return ()
            seen = self._path.stat()
            if seen.st_uid != os.geteuid() or stat.S_IMODE(seen.st_mode) & 0o077:
                raise StoreRefused(
                    f"The list of key pairs {self._path} is not private. If nobody changed it, "
                    f"make it so: chmod 600 {self._path}"
                )
            text = self._path.read_bytes()
        try:
            return [_pair(one) for one in json.loads(text)["pairs"]]
        except (ValueError, TypeError, KeyError) as error:
            raise StoreRefused(
                f"The list of key pairs {self._path} is damaged, so no key pair works. Put it "
                "back from a copy; or remove it, and add the pairs anew."
            ) from error

    def add(self, owner: str, *, admin: bool = False) -> tuple[KeyPair, str]:
        """Make a pair; returns it and its secret.

        Raises
        ------
        InvalidRequest
            when `owner` cannot be a user name.
        StoreRefused, StoreError
            as `read`; also when the state folder must not be used as it is.
        """
        if not 0 < len(owner) <= MAX_OWNER or not owner.isprintable() or not is_text(owner):
            raise InvalidRequest(
                f"owner: not a user name of at most {MAX_OWNER} printable characters.",
                field="owner",
            )
        StateFolder(self._folder).prepare()
        secrets = StateFolder(self._folder).secrets()
        key = base64.b32encode(os.urandom(KEY_LENGTH)).decode()[:KEY_LENGTH]
        pair = KeyPair(access_key=key, owner=owner, admin=admin, created_at=time.time())
        with self._changing():
            self._write([*self.read(), pair])
        return pair, secrets.derive("key pair", key).hex()

    def remove(self, access_key: str) -> bool:
        """Remove a pair for ever; tells whether there was one.

        Raises
        ------
        StoreRefused, StoreError
            as `read`.
        """
        if not self._path.exists():
            return False
        with self._changing():
            pairs = self.read()
            left = [pair for pair in pairs if pair.access_key != access_key]
            if len(left) == len(pairs):
                return False
            self._write(left)
        return True

    @property
    def _path(self) -> Path:
        return self._folder / FILE

    def _refresh(self) -> None:
        stamp = self._look()
        if stamp == self._stamp:
            return
        try:
            pairs, trouble = self.read(), ""
            if pairs and self._secrets is None:
                self._secrets = StateFolder(self._folder).secrets()
        except SessmgrError as error:
            # Tried again next time: the file may be in order, and the disk not.
            pairs, trouble, stamp = (), error.message, None
        self._known = MappingProxyType({pair.access_key: pair for pair in pairs})
        self._stamp = stamp
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                self._log.error("No key pair works: %s", trouble)

    def _look(self) -> _Stamp:
        try:
            seen = self._path.stat()
        except OSError:
            return None
        # A change of owner or mode changes the last of the three only.
        return seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Be the only one who changes the file; two commands may run at once."""
        with _in_words(self._folder):
            lock = os.open(self._folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)  # lets the lock go

    def _write(self, pairs: Sequence[KeyPair]) -> None:
        """Replace the file, whole or not at all, and durably."""
        text = json.dumps({"pairs": [asdict(pair) for pair in pairs]}, indent=1)
        descriptor, made = tempfile.mkstemp(prefix=f".{FILE}.", dir=self._folder)  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            Path(made).replace(self._path)
        except BaseException:
            Path(made).unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _pair(source: object) -> KeyPair:
    """Read one entry of the file.

    Raises
    ------
    ValueError, TypeError, KeyError
        unless it is what `add` writes.
    """
    if not isinstance(source, dict):
        raise TypeError("not an object")
    kinds = {"access_key": str, "owner": str, "admin": bool, "created_at": float}
    for name, kind in kinds.items():
        if type(source[name]) is not kind or source[name] == "":
            raise TypeError(name)
    return KeyPair(**{name: source[name] for name in kinds})


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into words about it."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} cannot be used now ({error.strerror}). Look whether its disk is full or "
            "broken."
        ) from error
