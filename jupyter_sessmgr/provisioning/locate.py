"""Finds the manager for a kernel: the server's, or a private one where there is no server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import NotAllowed, SessionNotFound
from jupyter_sessmgr.model.session import ComputeSession

T = TypeVar("T")


class Home:
    """A manager, the event loop it lives on, and whose sessions are made there.

    jupyter_client's loops run only while one of its functions is called, and differ from call to
    call; everything a provisioner asks of the manager therefore goes through `call` or `post`.

    Parameters
    ----------
    sessions : ComputeSessionManager
        Where sessions are made.
    loop : asyncio.AbstractEventLoop
        Where the manager lives.
    owner : str
        Whose sessions these are.
    root : str
        The server's root folder, absolute; "" outside a server.
    is_server : bool
        Whether the loop is a Jupyter server's.
    """

    def __init__(
        self,
        sessions: ComputeSessionManager,
        loop: asyncio.AbstractEventLoop,
        *,
        owner: str,
        root: str = "",
        is_server: bool = False,
    ) -> None:
        self.sessions = sessions
        self.loop = loop
        self.owner = owner
        self.root = root
        self.is_server = is_server
        #: Sessions whose kernels somebody in this process manages or is about to.
        self.managed: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def find(self, session_id: str) -> ComputeSession:
        """Find the session of a kernel: by UUID alone, since any text may be another's name.

        Raises
        ------
        SessionNotFound
            when the owner has none.
        """
        session = self.sessions.find(session_id, self.owner, name_last=True)
        if session.id != session_id:
            raise SessionNotFound(f"There is no session {session_id!r:.80}.")
        return session

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` where the manager lives, and wait for it; cancelling cancels it there."""
        if asyncio.get_running_loop() is self.loop:
            return await work()
        if self.is_server:
            raise NotAllowed(
                "Remote kernels need a kernel manager that does not block the server's event "
                "loop. Set ServerApp.kernel_manager_class to jupyter_server's "
                "AsyncMappingKernelManager, which is the default."
            )
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_run(work), self.loop))

    async def finish(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` as `call` does, but to its end: cancelling cancels only the wait."""

        async def keep() -> T:
            task = asyncio.get_running_loop().create_task(_run(work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return await asyncio.shield(task)

        return await self.call(keep)

    def post(self, work: Callable[[], Awaitable[object]]) -> None:
        """Have `work` run where the manager lives; errors are logged. Never waits."""

        async def keep() -> None:
            try:
                await work()
            except Exception:
                self.sessions.log.exception("Work that was left to the manager failed")

        def start() -> None:
            task = self.loop.create_task(keep())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self.loop.call_soon_threadsafe(start)

    def tell(self, word: Callable[[], object]) -> None:
        """Have `word` called where the manager lives: now, when that is here."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self.loop:
            word()
        else:
            self.loop.call_soon_threadsafe(word)

    async def settle(self, timeout: float) -> None:
        """Wait until all that was posted is done, at most `timeout` seconds."""
        await asyncio.sleep(0)
        mine = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not mine]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


_homes: WeakKeyDictionary[Any, Home] = WeakKeyDictionary()


def register(serverapp: Any, sessions: ComputeSessionManager, *, owner: str) -> Home:
    """Say that a Jupyter server's kernels are made by `sessions`; called by the extension.

    Parameters
    ----------
    serverapp : jupyter_server.serverapp.ServerApp
        The server; kernel managers below it find it by climbing `parent`.
    sessions : ComputeSessionManager
        It lives on the server's event loop.
    owner : str
        The server's own owner, whose kernels these are.
    """
    home = Home(
        sessions,
        serverapp.io_loop.asyncio_loop,
        owner=owner,
        root=os.path.realpath(serverapp.root_dir),
        is_server=True,
    )
    _homes[serverapp] = home
    return home


def unregister(serverapp: Any) -> None:
    """Take `register` back; called when the extension stops."""
    _homes.pop(serverapp, None)


def registered(start: Any) -> Home | None:
    """Climb from a configurable to the server that `register` was called for."""
    node, seen = start, 0
    while node is not None and seen < 64:  # noqa: PLR2004 - a bound against circles
        home = _homes.get(node)
        if home is not None:
            return home
        node, seen = getattr(node, "parent", None), seen + 1
    return None
