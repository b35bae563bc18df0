"""The provisioner: Jupyter's kernel manager on one side, a compute session on the other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import weakref
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import Bool, Float

from jupyter_sessmgr.manager.wishes import KERNEL_DIED
from jupyter_sessmgr.model.errors import InvalidRequest, NotRunning, SessmgrError
from jupyter_sessmgr.provisioning.control import never_wait
from jupyter_sessmgr.provisioning.held import UNKNOWN_EXIT, Held
from jupyter_sessmgr.provisioning.launch import (
    KernelWish,
    Surroundings,
    kernel_connection,
    make_request,
    read_config,
)
from jupyter_sessmgr.provisioning.locate import registered
from jupyter_sessmgr.provisioning.private import private_home
from jupyter_sessmgr.provisioning.refused import KernelRefused
from jupyter_sessmgr.provisioning.taking import find_session, make_session, wait_until_settled

#: What jupyter_client's factory gives; the rest comes from the kernelspec's ``config``.
_GIVEN = ("kernel_id", "kernel_spec", "parent")
#: Seconds in which most kernels that were asked to end have ended, and how often that is looked at.
SOON, SOON_LOOKS = 0.2, 40


class SessionProvisioner(KernelProvisionerBase):
    """Gives a Jupyter kernel manager a compute session as its kernel's process.

    Made by jupyter_client for kernelspecs whose metadata name ``sessmgr-provisioner``. Errors are
    of the package's tree; JupyterLab shows their text as it is.
    """

    durable = Bool(
        True,
        config=True,
        help="""Whether a kernel that is picked in a Jupyter server goes on when that server stops
        or crashes, and is there again under its id when it starts. Turn it off where kernels are
        to end with their server, as local ones do. A kernelspec's own `durable` goes first.""",
    )
    launch_timeout = Float(
        60.0,
        config=True,
        help="""Seconds that a kernel may take from the wish to ready channels. Waiting in
        the queue or for an image that is pulled does not count. Raise it for slow engines or heavy
        images.""",
    )

    def __init__(self, **kwargs: Any) -> None:
        given = {name: kwargs.pop(name) for name in _GIVEN if name in kwargs}
        super().__init__(**given)
        # Not read here: the error belongs to the start, and a start that fails says it to people.
        self._config: Mapping[str, Any] = kwargs
        #: The session of this kernel; None before the start and after the end.
        self.held: Held | None = None
        self._exited = False

    @property
    def has_process(self) -> bool:
        """Whether there is a session whose kernel was not yet waited for."""
        return self.held is not None and not self._exited

    async def poll(self) -> int | None:
        """Say the kernel's exit code, from memory; None while it lives or nothing is known."""
        return UNKNOWN_EXIT if self.held is None else self.held.exit_code()

    async def wait(self) -> int | None:
        """Wait for the kernel's end; callers set the deadline."""
        while (code := await self.poll()) is None:  # noqa: ASYNC110 - see below
            await asyncio.sleep(0.1)  # the answer is in memory, perhaps of another thread
        self._exited = True
        return code

    async def send_signal(self, signum: int) -> None:
        """Signal the kernel's process group; SIGINT interrupts in the way the kernel knows.

        Raises
        ------
        SessmgrError
            when the signal did not arrive, unless the kernel is being shut down anyway: an error
            would then keep jupyter_client from calling `cleanup`, which ends all.
        """
        if self.held is None:
            raise NotRunning("The kernel has no session any more. Start it again.")
        if getattr(self.parent, "shutting_down", False):
            # jupyter_client interrupts before it asks the kernel to end: others hear it in time
            await self.held.expect_exit()
        try:
            if signum == signal.SIGINT:
                await self.held.interrupt(self.parent)
            else:
                await self.held.signal(signum)
        except SessmgrError as error:
            if not getattr(self.parent, "shutting_down", False):
                raise
            self.log.debug("Session %s: signal %d: %s", self.held.id, signum, error)

    async def shutdown_requested(self, restart: bool = False) -> None:
        """Note that the kernel was asked to end, so that its end is not told as a death.

        Then wait for it a moment: jupyter_client looks at once, and after that ten times a second.
        """
        _ = restart
        if self.held is not None and self.held.exit_code() is None:
            await self.held.expect_exit()
            await self.held.wake()
            for _ in range(SOON_LOOKS):
                if await self.poll() is not None:
                    return
                await asyncio.sleep(SOON / SOON_LOOKS)

    async def kill(self, restart: bool = False) -> None:
        """Kill the kernel; its session stays until `cleanup`."""
        _ = restart  # jupyter_client gives False here even when it restarts
        if self.held is not None:
            await self.held.signal_or_log(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """Ask the kernel to end; its session stays until `cleanup`."""
        _ = restart
        if self.held is not None:
            await self.held.signal_or_log(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        """End the session, unless the kernel starts again in it."""
        held = self.held
        if restart:
            return
        try:
            if held is not None:
                self.held = None
                await held.destroy()
        finally:
            drop_channels(self.parent)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Make or find the session, or wish for another kernel in the one that is there."""
        async with self._undone_on_failure():
            if kwargs.pop("extra_arguments", None):
                raise InvalidRequest(
                    "A remote kernel takes no extra arguments; set its options in the notebook, "
                    "or in IPython's configuration in the session's home folder."
                )
            wish = read_config(self._config)
            if self.held is None:
                self.held = await self._take_session(wish, kwargs)
                weakref.finalize(self, self.held.forgotten).atexit = False
            else:
                await self.held.restart(self.launch_timeout)
            kwargs.pop("env", None)
            return {**kwargs, "cmd": ["jupyter-sessmgr", self.held.id]}

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Wait for the session, and say how its kernel is reached."""
        _ = cmd, kwargs
        async with self._undone_on_failure():
            held = self.held
            if held is None:
                raise NotRunning("The kernel's session was not made. Start the kernel again.")
            await wait_until_settled(held, self.launch_timeout)
            info = kernel_connection(held.home.sessions.connection_info(held.id))
            if self.parent is not None and self.connection_info != info:
                await take_over(self.parent, info)
            self._exited = False
            self.connection_info = info
            return info

    async def post_launch(self, **kwargs: Any) -> None:
        """Ask Jupyter's restarter to say when it gives the kernel up; nobody tells us else."""
        _ = kwargs
        never_wait(self.parent)
        add = getattr(self.parent, "add_restart_callback", None)
        if self.held is not None and not self.held.watched and add is not None:
            self.held.watched = True
            add(self._on_dead, "dead")

    async def _take_session(self, wish: KernelWish, kwargs: Mapping[str, Any]) -> Held:
        home = registered(self.parent) or await private_home(self.config, self.log)
        kernel_id = self.kernel_id or ""
        await home.call(home.sessions.open)
        found = find_session(home, kernel_id)
        if found is not None:
            return found
        around = Surroundings(
            kernel_id=kernel_id,
            folder=await asyncio.to_thread(_folder, kwargs.get("cwd") or home.root),
            root=home.root,
            environ=kwargs.get("env") or {},
            encryption=getattr(self.parent, "transport_encryption", "disabled"),
            may_last=home.is_server,
            lasts=self.durable,
        )
        return await make_session(home, make_request(wish, self.kernel_spec.env, around))

    @contextlib.asynccontextmanager
    async def _undone_on_failure(self) -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            await self._give_up()
            if isinstance(error, SessmgrError) and registered(self.parent) is not None:
                raise KernelRefused(error) from error
            raise

    async def _give_up(self) -> None:
        """Undo a start that failed, and tell those who look at a kernel that did run."""
        held = self.held
        if held is None:
            return
        await held.abandon()
        restarter = getattr(self.parent, "_restarter", None)
        if self.connection_info and restarter is not None:
            # jupyter_client stopped it before the restart, and would leave everybody waiting.
            restarter._fire_callbacks("dead")  # noqa: SLF001 - there is no public way
        self.held = None

    def _on_dead(self) -> None:
        """End the session of a kernel that Jupyter no longer tries to start.

        It is held on to, so that whoever is told next can say why the kernel died.
        """
        drop_channels(self.parent)
        if self.held is not None:
            self.held.home.post(partial(self.held.abandon, KERNEL_DIED))


async def take_over(manager: Any, info: KernelConnectionInfo) -> None:
    """Make a kernel manager agree with the session on how the kernel is reached.

    A connection file that another run left under this name is removed: jupyter_client would take
    one that matches for its own, and then find that it disagrees with itself.
    """
    if manager.connection_file:
        await asyncio.to_thread(_remove, manager.connection_file)
    manager.curve_publickey = manager.curve_secretkey = None
    for name in ("shell", "iopub", "stdin", "hb", "control"):
        setattr(manager, f"{name}_port", 0)
    manager.load_connection_info(info)


def drop_channels(manager: Any) -> None:
    """Close what a server listens to an ending kernel with, itself or for a browser that left.

    jupyter_server does so when it begins to end a kernel. What it keeps for a browser that leaves
    later it keeps for ever, and all of it when it takes a kernel for dead.
    """
    kernels: Any = getattr(manager, "parent", None)
    kernel_id = getattr(manager, "kernel_id", "")
    if hasattr(kernels, "stop_buffering") and kernel_id in kernels:
        kernels.stop_watching_activity(kernel_id)
        kernels.stop_buffering(kernel_id)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()


def _folder(path: object) -> str:
    return os.path.realpath(str(path) if path else Path.cwd())
