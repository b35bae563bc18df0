"""Runs in the kernel's own interpreter, before `stem` does: what a kernel's start depends on.

Only what every kernel imports, and only ASCII, as `stem`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterable, Mapping

#: What is done ahead of each kernel's first cell, as `rehearsal` says.
REHEARSALS: tuple[Callable[[], None], ...] = globals().get("REHEARSALS", ())
#: What every kernel imports until its first reply, beside what comes with these.
_NEEDED = (
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "psutil",
    "sqlite3",
    "tornado.locks",
    "tornado.platform.asyncio",
    "tornado.queues",
    "encodings.idna",
)
#: Variables that are read where Python cannot see it: by its start, by the C library and others.
_READ_AT_START = (
    *("PYTHON", "LD_", "LC_", "LANG", "TZ", "HOME"),
    *("GLIBC_", "MALLOC_", "OPENSSL_", "SSL_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "NUMEXPR_"),
)
#: Without it pydevd warns on standard error, which other kernels have turned to their clients when
#: they import it.
_QUIET = "PYDEVD_DISABLE_FILE_VALIDATION"


class Needs:
    """What the imports depended on, so that a fork is refused when a fresh start would differ."""

    def __init__(self) -> None:
        #: The environment before the imports, and what they changed in it.
        self.before = dict(os.environ)
        self.changed: dict[str, str | None] = {}
        #: Variables that were looked up.
        self.asked: set[str] = set()
        #: Names that could not be imported: somebody may install them.
        self._missing: set[str] = set()
        self._plain: Any = os.environ.__class__
        #: Files of modules, and names that matter in folders, side by side.
        self._modules = self._related = ""
        #: Files and folders that were seen, and which names in these matter.
        self._paths: list[str] = []
        self._names: set[str] = set()
        self._stamps: dict[str, Any] = {}
        self._listed: dict[str, Any] = {}

    def find_spec(self, name: str, *_: Any) -> None:
        """Note a module that nobody found."""
        self._missing.add(name.partition(".")[0])

    def watch(self) -> None:
        """Begin to note which variables are looked up."""
        environ: Any = os.environ
        asked = self.asked

        class Watched(self._plain):  # type: ignore[misc, name-defined]
            def __getitem__(self, name: str) -> str:
                asked.add(name)
                return str(super().__getitem__(name))

        environ.__class__ = Watched

    def unwatch(self) -> None:
        """End what `watch` began."""
        environ: Any = os.environ
        environ.__class__ = self._plain

    def watch_imports(self) -> None:
        """Import everything; note what it looks at."""
        environ, finders = os.environ, sys.meta_path
        self.watch()
        finders.append(self)
        environ.setdefault(_QUIET, "1")
        try:
            for name in _NEEDED:
                _try(lambda name=name: __import__(name))  # type: ignore[misc]
            for rehearse in REHEARSALS:
                _try(rehearse)
        finally:
            finders.remove(self)
            self.unwatch()
            if _QUIET not in self.before:
                del environ[_QUIET]
        for name in set(self.before) | set(environ):
            if self.before.get(name) != environ.get(name):
                self.changed[name] = environ.get(name)
        self._note_modules()

    def _note_modules(self) -> None:
        """Note what was imported, and from where, in words of its own.

        Who looks at each module, and at its words, writes to the memory that they are in, and no
        longer shares it. So that is done while all of it is one process's.
        """
        files = [getattr(one, "__file__", None) for one in list(sys.modules.values())]
        self._modules = "\0".join(one for one in files if isinstance(one, str))
        names = {name.partition(".")[0] for name in sys.modules} | self._missing
        self._related = "\0".join(names | {"sitecustomize", "usercustomize"})

    def look(self) -> None:
        """Look at the files that were imported, and at what may come before or beside them."""
        searched = (*sys.path, getattr(sys.modules.get("site"), "USER_SITE", None))
        paths = (sys.executable, os.path.join(sys.prefix, "pyvenv.cfg"))
        self._paths = [path for path in (*paths, *self._modules.split("\0")) if path]
        self._paths += [folder + os.sep for folder in searched if folder]
        self._names = set(self._related.split("\0"))
        self._stamps = {path: _stamp(path) for path in self._paths}
        folders = [path for path in self._paths if path.endswith(os.sep)]
        self._listed = {path: _related(path, self._names) for path in folders}

    def are_met(self, environ: Mapping[str, str]) -> bool:
        """Tell whether a fresh start in this environment would make the same as a fork."""
        for name in set(self.before) | set(environ):
            matters = name in self.asked or name.startswith(_READ_AT_START)
            if matters and self.before.get(name) != environ.get(name):
                return False
        return all(self._is_as_it_was(path) for path in self._paths)

    def _is_as_it_was(self, path: str) -> bool:
        same = bool(_stamp(path) == self._stamps[path])
        if path not in self._listed:
            return same
        listed = self._listed[path]
        if same:  # in it no name came or went
            return listed is None or bool(_stamps(path, listed[1]) == listed[1])
        return bool(_related(path, self._names) == listed)


def _try(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:  # noqa: BLE001 - the kernel itself will say it, or do without
        return


def _stamp(path: str) -> Any:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _stamps(folder: str, names: Iterable[str]) -> dict[str, Any]:
    return {name: _stamp(folder + name) for name in names}


def _related(folder: str, names: set[str]) -> Any:
    """List what lies in a folder of sys.path and has to do with what was imported."""
    try:
        entries = os.listdir(folder)
    except OSError:
        return None
    paths = {one for one in entries if one.partition(".")[0] in names}
    return paths, _stamps(folder, [one for one in entries if one[-4:] == ".pth"])
