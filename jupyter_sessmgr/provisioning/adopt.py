"""Keeps Jupyter's list of kernels and the list of sessions in step."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from jupyter_sessmgr.model.errors import Standby
from jupyter_sessmgr.model.events import Event, SessionMoved, StatusChanged
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.provisioning.channels import (
    hold_requests,
    release_requests,
    tell_dead,
    tell_restarted,
)
from jupyter_sessmgr.provisioning.culling import CullGuard
from jupyter_sessmgr.provisioning.farewell import what_goes_on
from jupyter_sessmgr.provisioning.held import held_of
from jupyter_sessmgr.provisioning.kernelspecs import kernel_name_for
from jupyter_sessmgr.provisioning.learning import learn_state
from jupyter_sessmgr.provisioning.locate import Home, registered
from jupyter_sessmgr.provisioning.moving import follow

#: Seconds that a stopping server gives the kernels which end with it.
SHUTDOWN_TIMEOUT = 12.0
#: Seconds that a door waits for a kernel to be listed; it is listed later all the same.
ADOPT_TIMEOUT = 10.0

#: What Jupyter lists. A suspended session resumes when somebody opens its kernel.
_LISTED = frozenset({SessionStatus.RUNNING, SessionStatus.SUSPENDED})

_adopters: dict[int, KernelAdopter] = {}


class KernelAdopter:
    """Lists the kernel of every running session of the server's owner in its kernel manager.

    A session that was made by REST can so be opened from the kernel picker, under its own id.
    When a session ends by another door, its kernel leaves the kernel manager.

    Parameters
    ----------
    kernels : jupyter_server.services.kernels.kernelmanager.MappingKernelManager
        The server's kernels.
    home : Home
        The server's sessions.
    """

    def __init__(self, kernels: Any, home: Home) -> None:
        self._kernels = kernels
        self._home = home
        self._log = home.sessions.log
        self._due: asyncio.Queue[str] = asyncio.Queue()
        #: Held while one session is looked at.
        self._looking = asyncio.Lock()
        #: Kernels that are being listed for somebody, or asked for their state.
        self._tasks: set[asyncio.Task[None]] = set()
        self._guard = CullGuard(kernels, self._cull)
        self._unsubscribe = home.sessions.subscribe(self._on_event)
        self._worker = home.loop.create_task(self._work(), name="sessmgr-adopt")

    async def list_all(self) -> None:
        """List what runs, from its rows alone; called when the manager is open.

        Returns when that is done: the server may listen then. Sessions that have to get somewhere
        first are listed as they come.
        """
        later = []
        for session in reversed(self._home.sessions.list(self._home.owner)):
            if session.status in _LISTED and session.observed_generation >= session.generation:
                await self._look_safely(session.id)
            else:
                later.append(session.id)
        for session_id in later:
            self._due.put_nowait(session_id)

    async def listed(self, session: ComputeSession) -> bool:
        """See to it that Jupyter lists a kernel while it can be used; say whether it does.

        Called by doors before they say that a session can be used, and that it is gone: a notebook
        that is opened at once must not be given the kernel that was. Never fails: a kernel that
        cannot be listed is told in the log, and its session can be used by other doors.
        """
        is_due = (session.status in _LISTED) != (session.id in self._kernels)
        if session.owner == self._home.owner and is_due:
            task = self._start(self._look_safely(session.id), f"sessmgr-adopt-{session.id}")
            # Whoever leaves meanwhile, or waits too long, leaves no kernel half listed.
            await asyncio.wait({task}, timeout=ADOPT_TIMEOUT)
        return session.id in self._kernels

    async def close(self) -> None:
        """Stop; let durable sessions go on without Jupyter, and end the other kernels of ours.

        Says which sessions go on.
        """
        self._unsubscribe()
        self._guard.close()
        # A kernel that is left half shut down keeps jupyter_server from ending.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_TIMEOUT), self._looking:
                self._worker.cancel()
        tasks = [self._worker, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        ending = [
            asyncio.ensure_future(self._kernels.shutdown_kernel(kernel_id))
            for kernel_id in _ours(self._kernels)
            if not self._let_go(kernel_id)
        ]
        if ending:
            _, late = await asyncio.wait(ending, timeout=SHUTDOWN_TIMEOUT)
            for task in late:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
        await self._home.settle(SHUTDOWN_TIMEOUT)
        with contextlib.suppress(Standby):  # whoever closed the manager first has said it
            words = what_goes_on(self._home.sessions.list(self._home.owner))
            if words:
                self._log.warning("%s", words)

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, StatusChanged | SessionMoved):
            return
        session = event.session
        if session.owner != self._home.owner:
            return
        if isinstance(event, SessionMoved):
            self._follow(session)
            return
        if session.id in self._kernels:
            self._note_restart(event.before, session)
            _restart_no_more(self._kernels.get_kernel(session.id), session)
        self._due.put_nowait(session.id)

    def _follow(self, session: ComputeSession) -> None:
        """Reach a listed kernel where it is now."""
        listed = session.id in self._kernels
        if listed and held_of(self._kernels.get_kernel(session.id)) is not None:
            work = follow(self._kernels, self._home, session)
            self._start(work, f"sessmgr-move-{session.id}")

    def _note_restart(self, before: SessionStatus | None, session: ComputeSession) -> None:
        """Follow a listed kernel's restart, whoever wished for it."""
        manager = self._kernels.get_kernel(session.id)
        held = held_of(manager)
        if held is None:
            return
        if session.status is SessionStatus.RESTARTING:
            # What is known is of the kernel before: without this, one that ended in a cell is
            # busy until a cell is run, since Jupyter may listen too late for the first words.
            manager.execution_state = "starting"
            hold_requests(session.id)
            if not held.restarting:
                tell_restarted(session.id)  # another door's wish: Jupyter does not know
        elif before is SessionStatus.RESTARTING and session.status is SessionStatus.RUNNING:
            learning = learn_state(self._home, manager, session.id, "starting")
            self._start(learning, f"sessmgr-probe-{session.id}")
            release_requests(session.id)

    async def _work(self) -> None:
        while True:
            await self._look_safely(await self._due.get())

    async def _look_safely(self, session_id: str) -> None:
        try:
            async with self._looking:
                if self._worker.cancelling():
                    return  # whoever waited for its turn is too late: the server stops
                await self._look(self._home.find(session_id))
        except Exception as error:  # noqa: BLE001 - one session must not stop the others
            self._log.warning("Session %s is not listed as a kernel: %s", session_id, error)

    async def _look(self, session: ComputeSession) -> None:
        listed = session.id in self._kernels
        if session.status in _LISTED and session.spec.kernel and not listed:
            if session.id not in self._home.managed:
                await self._adopt(session)
        elif session.status.is_final and listed:
            await self._remove(session.id)

    async def _adopt(self, session: ComputeSession) -> None:
        spec = session.spec
        specs = self._kernels.kernel_spec_manager
        name = kernel_name_for(specs, spec.image, spec.preset, spec.kernel)
        await self._kernels.start_kernel(kernel_id=session.id, kernel_name=name)
        manager = self._kernels.get_kernel(session.id)
        # Until more is known it may be in the middle of a cell: one that is not known to be busy
        # would be culled, and websockets would wait for it.
        suspended = session.status is SessionStatus.SUSPENDED
        manager.execution_state = "idle" if suspended else "busy"
        learning = learn_state(self._home, manager, session.id, manager.execution_state)
        self._start(learning, f"sessmgr-probe-{session.id}")
        self._log.info("Session %s is listed as kernel %s.", session.name, session.id)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something beside the rest; it ends with the adopter."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _remove(self, kernel_id: str) -> None:
        manager = self._kernels.get_kernel(kernel_id)
        if manager.shutting_down or held_of(manager) is None:
            return
        tell_dead(kernel_id)
        if kernel_id in self._kernels:
            await self._kernels.shutdown_kernel(kernel_id, now=True)

    def _let_go(self, kernel_id: str) -> bool:
        """Take a durable session's kernel out of Jupyter's hands while it lives."""
        manager = self._kernels.get_kernel(kernel_id)
        held = held_of(manager)
        session = held.find() if held is not None else None
        if held is None or session is None:
            return False
        if not session.spec.durable and session.server_id == self._home.sessions.server_id:
            return False  # it ends with this run of this server, and with no other
        manager.stop_restarter()
        self._kernels.stop_watching_activity(kernel_id)
        self._kernels.stop_buffering(kernel_id)
        self._kernels.remove_kernel(kernel_id)
        manager.provisioner.held = None
        held.give_back()
        return True

    def _cull(self, kernel_id: str) -> bool:
        """Let go of a durable session's kernel in place of culling it."""
        let_go = self._let_go(kernel_id)
        if let_go:
            self._log.info("Session %s goes on without a kernel in Jupyter's list.", kernel_id)
        return let_go


async def adopt_kernels(server: Any) -> None:
    """List the kernels of sessions that run, and go on doing so.

    Called by the extension once the manager is open, before the server listens.
    """
    home = registered(server)
    if home is not None and id(server) not in _adopters:
        adopter = _adopters[id(server)] = KernelAdopter(server.kernel_manager, home)
        await adopter.list_all()


async def listed(server: Any, session: ComputeSession) -> bool:
    """Bring Jupyter's list in step with a session of the server's owner; say whether it is listed.

    Called by the other doors, through the extension.
    """
    adopter = _adopters.get(id(server))
    return adopter is not None and await adopter.listed(session)


async def detach_kernels(server: Any) -> None:
    """Stop listing, and let go of the kernels. Called by the extension when the server stops.

    Comes before the server ends its kernels and before the manager closes.
    """
    adopter = _adopters.pop(id(server), None)
    if adopter is not None:
        await adopter.close()


def _restart_no_more(manager: Any, session: ComputeSession) -> None:
    """Keep Jupyter from starting a kernel again whose session ends, until it is taken off its list.

    It would fail, and what Jupyter then forgets of the kernel it does not close.
    """
    ends = session.status is SessionStatus.TERMINATING or session.status.is_final
    if ends and held_of(manager) is not None:
        manager.stop_restarter()


def _ours(kernels: Any) -> list[str]:
    ids: list[str] = kernels.list_kernel_ids()
    return [one for one in ids if held_of(kernels.get_kernel(one)) is not None]
