"""Finds, and removes, all that an installation has made: what `jupyter sessmgr purge` does.

No manager runs meanwhile: engines are asked what carries the installation's signature, whatever the
database says. What is not provably the installation's is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_sessmgr.engines.base import Engine, Found
from jupyter_sessmgr.engines.choose import ENGINES
from jupyter_sessmgr.manager.installation.belongings import recognise
from jupyter_sessmgr.manager.installation.leftovers import MARKS, MakeEngine, identity
from jupyter_sessmgr.manager.installation.marks import Mark, marks_in
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.manager.installation.statefolder import StateFolder
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable, StoreError
from jupyter_sessmgr.model.session import Place
from jupyter_sessmgr.store.base import Store

#: Seconds that one engine may take to tell everything of one identity.
DEADLINE = 120.0
#: Seconds that the removal of one session may take, and how many are removed at once.
PLACE_DEADLINE = 60.0
_AT_ONCE = 8
#: Seconds that a session gets to end by itself.
_GRACE = 2.0


@dataclass(slots=True)
class Remains:
    """What an installation has, or had before it was removed."""

    #: Names of containers and local sessions.
    places: list[str] = field(default_factory=list)
    #: Ids of all sessions that the database knows; their kernels have the same.
    sessions: list[str] = field(default_factory=list)
    #: Why more may be left, a sentence each.
    troubles: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Purge:
    """One look at an installation, or its removal.

    Parameters
    ----------
    folder : StateFolder
        Held by the caller, unless a server is to be ignored.
    store : Store
        Not open; says which engines the installation had sessions on.
    make_engine : callable
        As for `Leftovers`.
    configured : str
        The engine that the configuration names.
    """

    folder: StateFolder
    store: Store
    make_engine: MakeEngine
    configured: str

    async def run(self, *, remove: bool) -> Remains:
        """Look at all engines for all identities; with `remove`, end and remove what is found.

        Raises
        ------
        StoreRefused
            when the folder is not this user's, or its secret is lost or damaged.
        """
        remains = Remains()
        secrets = await asyncio.to_thread(recognise, self.folder)
        if secrets is None:
            return remains  # nothing was ever made
        seen = set()
        for name in self._engines():
            seen.add(await self._clear(name, secrets, remains, remove=remove))
        await self._clear_tools(secrets, remains, remove=remove)
        await self._compare(secrets, seen, remains)
        return remains

    def _engines(self) -> Iterable[str]:
        return dict.fromkeys([*ENGINES, self.configured] if self.configured != "auto" else ENGINES)

    async def _clear(
        self, name: str, secrets: InstallationSecrets, remains: Remains, *, remove: bool
    ) -> str:
        """Look at one engine, for one identity; return the engine's id, or "" without one."""
        engine: Engine | None = None
        try:
            async with asyncio.timeout(DEADLINE):
                engine = await self.make_engine(name, secrets)
                if not engine.engine_id:
                    await engine.open(secrets, self.folder.path)
                found = await engine.survey()
            ours = [one for one in found if one.signed and one.install_id == secrets.install_id]
            remains.places += [one.name for one in ours]
            if remove:
                remains.troubles += await _end_all(engine, ours)
        except EngineUnavailable:
            return ""  # whether that matters, the database says
        except TimeoutError:
            remains.troubles.append(f"The engine {name!r} did not answer within {DEADLINE:g} s.")
        except EngineError as error:
            remains.troubles.append(error.message)
        finally:
            if engine is not None:
                with contextlib.suppress(EngineError):
                    await engine.close()  # its networks go, too, once nothing uses them
        return engine.engine_id if engine is not None else ""

    async def _clear_tools(
        self, secrets: InstallationSecrets, remains: Remains, *, remove: bool
    ) -> None:
        """Do the same for tools without a server (nbclient and others) that were killed."""
        for path, mark in await asyncio.to_thread(_marks, self.folder.path):
            if mark is None:
                remains.troubles.append(
                    f"A tool that runs has sessions of its own ({path.name}); end it first."
                )
                continue
            done = False
            try:
                cleared = await self._clear_tool(mark, secrets, remains, remove=remove)
                done = cleared and remove
            finally:
                await asyncio.to_thread(mark.remove if done else mark.release)

    async def _clear_tool(
        self, mark: Mark, secrets: InstallationSecrets, remains: Remains, *, remove: bool
    ) -> bool:
        """Do the same for one tool; tell whether all was seen, and removed if it was to be."""
        name = await asyncio.to_thread(mark.read)  # its engine; nothing when it came to none
        if not name:
            return True
        before = len(remains.troubles)
        engine_id = await self._clear(name, identity(mark, secrets), remains, remove=remove)
        if len(remains.troubles) > before:
            return False
        if not engine_id:
            remains.troubles.append(
                f"A tool that was killed ({MARKS}/{mark.path.name}) may have left sessions on an "
                f"engine that does not answer ({name:.100}). Start it, or set DOCKER_HOST as it "
                "was."
            )
        return bool(engine_id)

    async def _compare(
        self, secrets: InstallationSecrets, seen: Iterable[str], remains: Remains
    ) -> None:
        """Notice sessions on engines that could not be asked."""
        try:
            await self.store.open(self.folder.path, secrets, leads=False)
            places = self.store.places()
            remains.sessions = [session.id for session in self.store.sessions(live=False)]
        except StoreError as error:
            remains.troubles.append(f"The database cannot be read: {error.message}")
            return
        finally:
            await self.store.close()
        asked = {*seen, ""}
        for engine_id in sorted({place.engine_id for place in places} - asked):
            count = sum(place.engine_id == engine_id for place in places)
            remains.troubles.append(
                f"{count} session(s) may be left on an engine that does not answer "
                f"({engine_id:.40}). Start it, or set DOCKER_HOST as it was."
            )


async def _end_all(engine: Engine, places: Iterable[Found]) -> list[str]:
    """End and remove places; return what stays, a sentence each."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def end(found: Found) -> str:
        place = Place(id=found.place_id, engine_id=engine.engine_id, key=found.key)
        try:
            async with slots, asyncio.timeout(PLACE_DEADLINE):
                await engine.stop(place, _GRACE)
        except TimeoutError:
            return f"Session {found.name} did not end within {PLACE_DEADLINE:g} s."
        except EngineError as error:
            return f"Session {found.name} stays: {error.message}"
        except OSError as error:
            return f"Session {found.name} stays ({error.strerror})."
        return ""

    return [said for said in await asyncio.gather(*map(end, places)) if said]


def _marks(folder: Path) -> Sequence[tuple[Path, Mark | None]]:
    return list(marks_in(folder / MARKS))
