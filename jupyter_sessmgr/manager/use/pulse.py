"""Listens to the kernels of all running sessions, whoever uses them, for whether they are busy."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import zmq
import zmq.asyncio

from jupyter_sessmgr.manager.agents.bootconfig import connection_info
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.use.activity import Activity
from jupyter_sessmgr.manager.use.kernelnews import KernelNews
from jupyter_sessmgr.model.events import Event, SessionMoved, StatusChanged
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus

#: A longer message ends the connection, which begins anew; statuses have some 600 bytes.
_MAX_MESSAGE = 2**20
#: Messages of one kernel that may wait here; more wait at the kernel.
_MAX_WAITING = 100
#: What a kernel said is read once in a moment, in seconds, and no more in a row than so many
#: messages (a long one counts as several): a session that floods its channel must not hold the
#: server up, and one that executes must not share its time with whoever listens.
_IN_A_ROW, _MOMENT, _LONG = 20, 0.02, 4096
#: Seconds without a word from a kernel that is not known to be idle, until it is asked anew: its
#: word, or the question, may have been lost.
_SILENCE = 600.0
#: Seconds between questions to a kernel, until it was heard to say how it is.
_ASK_AGAIN = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
#: Seconds before a kernel that could not be listened to is tried again.
_TRY_AGAIN = 30.0
#: Two sockets a kernel at first, then one.
_MAX_SOCKETS = 65536


class Pulse:
    """Feeds the board with what kernels say of themselves on their iopub channels.

    Jupyter's kernel manager knows only the kernels of the server's own owner that it was given;
    this hears all. One socket a session, which after the first answer is subscribed to nothing
    but status messages.
    """

    def __init__(self, parts: Parts, activity: Activity) -> None:
        self._parts = parts
        self._activity = activity
        self._context = zmq.asyncio.Context()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to listen, to those that run already and to all that will."""
        self._context.set(zmq.MAX_SOCKETS, _MAX_SOCKETS)
        self._unsubscribe = self._parts.bus.subscribe(self._on_event)
        for session in self._parts.store.sessions():
            self._look(session)

    async def stop(self) -> None:
        """Stop listening."""
        self._unsubscribe()
        for session_id in tuple(self._tasks):
            self._leave(session_id)
        await asyncio.gather(*self._ending, return_exceptions=True)
        await asyncio.to_thread(self._context.term)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, StatusChanged | SessionMoved):
            self._look(event.session)

    def _look(self, session: ComputeSession) -> None:
        """Listen to a kernel that runs; each time it came back, as to a new one."""
        if not session.spec.kernel:
            return
        self._leave(session.id)
        if session.status is SessionStatus.RUNNING:
            self._tasks[session.id] = asyncio.create_task(
                self._follow(session), name=f"sessmgr-pulse-{session.id}"
            )

    def _leave(self, session_id: str) -> None:
        task = self._tasks.pop(session_id, None)
        if task is not None:
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            self._activity.set_busy(session_id, None)

    async def _follow(self, session: ComputeSession) -> None:
        info = connection_info(session, self._parts.secrets)
        while True:
            try:
                with (
                    self._socket(zmq.SUB, info, "iopub") as iopub,
                    self._socket(zmq.DEALER, info, "shell") as shell,
                ):
                    iopub.subscribe(b"")
                    news = KernelNews(info["key"])
                    asking = asyncio.create_task(self._ask(session.id, news, shell))
                    try:
                        await self._hear(session.id, news, iopub)
                    finally:
                        asking.cancel()
                        await asyncio.gather(asking, return_exceptions=True)
            except zmq.ZMQError as error:  # out of file descriptors, for one (FAULTS T10)
                self._activity.set_busy(session.id, None)
                self._parts.log.warning(
                    "Session %s is not listened to: %s. It counts as in use until it is.",
                    session.name,
                    error,
                )
                await asyncio.sleep(_TRY_AGAIN)

    async def _hear(self, session_id: str, news: KernelNews, iopub: zmq.asyncio.Socket) -> None:
        """Note what a kernel says, until it is to be asked anew."""
        narrow = False
        while True:
            try:
                async with asyncio.timeout(_SILENCE):
                    frames = await iopub.recv_multipart()
            except TimeoutError:
                if news.busy is not False:
                    return
                continue
            await self._take(session_id, news, iopub, frames)
            if news.topic and not narrow:
                narrow = True
                iopub.subscribe(news.topic)
                iopub.unsubscribe(b"")
            await asyncio.sleep(_MOMENT)

    async def _take(
        self, session_id: str, news: KernelNews, iopub: zmq.asyncio.Socket, frames: list[bytes]
    ) -> None:
        """Note a message of a kernel, and what else of it is here already."""
        used, heard = False, 0
        while True:
            used |= news.take(frames)
            heard += 1 + sum(map(len, frames)) // _LONG
            if heard >= _IN_A_ROW:
                break
            try:
                frames = await iopub.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
        self._activity.set_busy(session_id, news.busy)
        if used:
            self._activity.touch(session_id)

    async def _ask(
        self,
        session_id: str,
        news: KernelNews,
        shell: zmq.asyncio.Socket,
    ) -> None:
        """Ask a kernel how it is. One in the middle of a cell answers after that.

        Asked again until its status was heard on iopub: the first may come before the
        subscription is known there. Has no deadline of its own: a cell may take days, and whoever
        hears the kernel meanwhile ends this where no answer can come any more, as on a socket that
        a broken handshake left without a peer.
        """
        for pause in _ASK_AGAIN:
            await shell.send_multipart(news.question())
            await shell.recv_multipart()
            if not news.topic:
                news.answered()
                self._activity.set_busy(session_id, news.busy)
            await asyncio.sleep(pause)
            if news.topic:
                break
        shell.close(linger=0)

    @contextlib.contextmanager
    def _socket(self, kind: int, info: dict[str, Any], channel: str) -> Iterator[Any]:
        """Connect to a kernel's channel, as Jupyter's own clients do."""
        socket = self._context.socket(kind)
        try:
            socket.linger = 0
            socket.rcvhwm = _MAX_WAITING
            socket.maxmsgsize = _MAX_MESSAGE
            if "curve_publickey" in info:
                socket.curve_secretkey = info["curve_secretkey"]
                socket.curve_publickey = socket.curve_serverkey = info["curve_publickey"]
            separator = "-" if info["transport"] == "ipc" else ":"
            port = info[f"{channel}_port"]
            socket.connect(f"{info['transport']}://{info['ip']}{separator}{port}")
            yield socket
        finally:
            socket.close(linger=0)
