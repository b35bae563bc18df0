"""The websocket between a browser and a kernel: quick, and honest about why a kernel died."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import AsyncIterator, Iterable
from typing import Any

import zmq
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.websocket import WebSocketClosedError

from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.provisioning.channels import kernelinfo
from jupyter_sessmgr.provisioning.channels.frames import V1, Asked, read_asked
from jupyter_sessmgr.provisioning.channels.gate import RestartGate
from jupyter_sessmgr.provisioning.channels.greeting import Greeting, connect_anew, is_any
from jupyter_sessmgr.provisioning.channels.past import Past
from jupyter_sessmgr.provisioning.channels.position import read_position
from jupyter_sessmgr.provisioning.channels.telling import gates_of, tell_state
from jupyter_sessmgr.provisioning.channels.told import Told
from jupyter_sessmgr.provisioning.channels.use import Use, kept_awake
from jupyter_sessmgr.provisioning.channels.writer import Writer
from jupyter_sessmgr.provisioning.held import Held, held_of
from jupyter_sessmgr.provisioning.refused import KernelRefused

#: Requests that are remembered until they are answered.
MOST_PENDING = 1000
#: What reading a message can lead to that is none.
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error)


def session_channels(base: type[ZMQChannelsWebsocketConnection]) -> type:
    """Extend a websocket class, once."""
    if issubclass(base, _SessionChannels):
        return base

    class SessionChannels(_SessionChannels, base):  # type: ignore[valid-type,misc]
        """A kernel's websocket; see `_SessionChannels`."""

    return SessionChannels


class _SessionChannels:
    """What is added to a `ZMQChannelsWebsocketConnection`.

    Small messages leave at once: with Nagle's algorithm a short execution takes 48 ms instead
    of 6-10. When a session's kernel dies, the cell that was running says why. A browser that says
    what it has gets what it missed, from the journal.
    """

    #: Whether messages pass however many there are.
    _unlimited = False
    #: Whether it was told that the kernel says what makes no sense.
    _told_nonsense = False
    #: By what it knows that it hears the kernel of a session.
    _greeting: Greeting | None = None

    async def prepare(self) -> None:
        """See to it that the kernel can answer. Called before the websocket opens."""
        held = held_of(self.kernel_manager)  # type: ignore[attr-defined]
        try:
            said = self.websocket_handler.get_query_arguments("replay")  # type: ignore[attr-defined]
            self._position = read_position(said) if held is not None else None
            if held is not None:
                await held.home.sessions.resume_for_use(held.id)
        except SessmgrError as error:
            raise KernelRefused(error) from error
        async with _prepared(self.kernel_manager, held):  # type: ignore[attr-defined]
            await super().prepare()  # type: ignore[misc]

    def connect(self) -> Any:
        """Begin to pass messages. Called by jupyter_server when the websocket is open."""
        held = held_of(self.kernel_manager)  # type: ignore[attr-defined]
        self._pending: dict[str, dict[str, Any]] = {}
        self._writer = Writer(self)
        self._held = held
        self._use = Use(held)
        self._past = past = (
            Past(self, held, self._position, self._writer) if held is not None else None
        )
        #: Shut while the kernel is restarted, by whomever.
        self.gate = RestartGate(
            self._pass_in,
            lambda: connect_anew(list(self.channels.values())),  # type: ignore[attr-defined]
            lambda: gates_of(self.kernel_id),  # type: ignore[attr-defined]
        )
        if self._position is not None:
            _leave_to_journal(self)
        self.websocket_handler.set_nodelay(True)  # type: ignore[attr-defined]
        connected = super().connect()  # type: ignore[misc]
        self._use.connecting(connected)
        if connected is not None and past is not None:
            connected.add_done_callback(lambda _done: past.begin())
        return connected

    def nudge(self) -> asyncio.Future[None]:
        """Find out whether the kernel is heard. Called by jupyter_server before messages pass.

        Jupyter asks the kernel twice what it is, by connections that are made for that; one that
        greets need not be asked.
        """
        nudge = super().nudge  # type: ignore[misc]  # jupyter_server's
        stream = self.channels["iopub"]  # type: ignore[attr-defined]
        if self._held is not None:
            self._greeting = Greeting(stream)
        idle = self.kernel_manager.execution_state != "busy"  # type: ignore[attr-defined]

        async def be_greeted(greeting: Greeting) -> None:
            said = await greeting.heard()
            if said is None and not stream.closed():
                await nudge()
            if said is not None:
                self._writer.follow(greeting.parts)
                tell_state(self.kernel_manager, self._writer)  # type: ignore[attr-defined]
            for parts in said or ():
                self.handle_outgoing_message(stream, parts)

        if self._greeting is None or self._held is None or not (self._held.greets and idle):
            nudged: asyncio.Future[None] = nudge()
            return nudged
        return asyncio.ensure_future(be_greeted(self._greeting))

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        """Pass a message on to the kernel, noting which executions are asked for."""
        asked = read_asked(incoming_msg, v1=self.subprotocol == V1)  # type: ignore[attr-defined]
        self._use.message(executes=asked is not None and asked.executes)
        if asked is not None and self._is_answered(asked):
            return
        if asked is None and self._past is not None:
            self._past.questions.answer(incoming_msg)
        if not self.gate.take(incoming_msg):
            self._pass_in(incoming_msg)

    def disconnect(self) -> None:
        """End with the websocket, which may never have opened."""
        if not hasattr(self, "_use"):
            self._end_unopened()
            return
        for name in ("_use", "_past", "gate"):
            part = getattr(self, name, None)
            if part is not None:
                part.end()
        _send_all(self.channels.values())  # type: ignore[attr-defined]
        super().disconnect()  # type: ignore[misc]

    def _end_unopened(self) -> None:
        """Have jupyter_server count no connection less, and take this one for the last of none."""
        kernels, kernel_id = self.multi_kernel_manager, self.kernel_id  # type: ignore[attr-defined]
        kernels.notify_connect(kernel_id)
        kernels.notify_connect(kernel_id)
        super().disconnect()  # type: ignore[misc]
        kernels.notify_disconnect(kernel_id)

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Pass a message on to the browser, noting which executions were answered."""
        channel = getattr(stream, "channel", stream)
        if self._pending and channel == "shell":
            told = Told(self.session, outgoing_msg)  # type: ignore[attr-defined]
            self._pending.pop(told.parent, None)
        if channel == "iopub" and is_any(outgoing_msg):
            if self._greeting is not None and self._greeting.is_in(outgoing_msg):
                self.gate.greeted()
            return
        if self._past is None or not self._past.take(stream, outgoing_msg):
            self._pass_out(stream, outgoing_msg)

    def pass_on(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Pass on a message that was held back; a rate is not judged by what came at once."""
        self._unlimited = True
        try:
            self._pass_out(stream, outgoing_msg)
        finally:
            self._unlimited = False

    def on_kernel_restarted(self) -> None:
        """Say why the kernel died. Called when Jupyter is about to start it again."""
        self._say_why("It is started again; its variables are lost.")
        super().on_kernel_restarted()  # type: ignore[misc]

    def on_restart_failed(self) -> None:
        """Say why the kernel died. Called when Jupyter gives it up."""
        self._say_why("It is not started again.")
        super().on_restart_failed()  # type: ignore[misc]

    def _pass_in(self, incoming_msg: Any) -> None:
        super().handle_incoming_message(incoming_msg)  # type: ignore[misc]

    def _pass_out(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Have Jupyter pass a message on; what it cannot read is dropped (THREATS F10)."""
        self._writer.follow(outgoing_msg)
        try:
            if self._past is not None and self._past.browser.restate(outgoing_msg):
                return
            super().handle_outgoing_message(stream, outgoing_msg)  # type: ignore[misc]
        except _UNREADABLE as error:
            log: logging.Logger = self.log  # type: ignore[attr-defined]
            level = logging.DEBUG if self._told_nonsense else logging.WARNING
            self._told_nonsense = True
            log.log(
                level,
                "Kernel %s: messages that make no sense are not passed on: %r",
                self.kernel_id,  # type: ignore[attr-defined]
                error,
            )

    def _limit_rate(self, channel: Any, msg: Any, msg_list: Any) -> bool:
        limited = super()._limit_rate  # type: ignore[misc]  # jupyter_server's, by its traits
        return not self._unlimited and bool(limited(channel, msg, msg_list))

    def _is_answered(self, asked: Asked) -> bool:
        """Note what is asked of the kernel; answer what is not for it, and say so."""
        if asked.reattaches and self._past is not None:
            self._past.reattach(asked)
            return True
        if asked.executes:
            if self._held is not None:  # without a cell, too: it is known to be asked for
                cell, path = (None, None) if asked.forgets else (asked.cell, asked.path)
                journal = self._held.home.sessions.journal
                journal.note(self._held.id, asked.msg_id, cell=cell, path=path)
                if asked.forgets and self._past is not None:
                    self._past.browser.end(asked, {"status": "aborted"})
                    return True
            if len(self._pending) < MOST_PENDING:
                self._pending[asked.msg_id] = asked.header
            return False
        manager = self.kernel_manager  # type: ignore[attr-defined]
        info = kernelinfo.has_said(manager)
        if self._held is None or not info or manager.execution_state != "busy":
            return False
        kernelinfo.answer(self._writer, asked, info)
        return True

    def _say_why(self, what_next: str) -> None:
        reason = kernel_end(self.kernel_manager)  # type: ignore[attr-defined]
        if not reason:
            return
        log: logging.Logger = self.log  # type: ignore[attr-defined]
        log.warning("Kernel %s: %s", self.kernel_id, reason)  # type: ignore[attr-defined]
        parent = next(iter(self._pending.values()), None)
        self._pending.clear()
        if parent is None:
            return
        try:
            text = f"{reason} {what_next}\n"
            self._writer.say("stream", {"name": "stderr", "text": text}, parent)
        except WebSocketClosedError:
            log.debug("The browser left before it heard why the kernel died.")


def kernel_end(manager: Any) -> str:
    """Say for people why the kernel of a session ended; "" when it is not ours or unknown."""
    held = held_of(manager)
    return held.why_ended() if held is not None else ""


@contextlib.asynccontextmanager
async def _prepared(manager: Any, held: Held | None) -> AsyncIterator[None]:
    """See to it that Jupyter's question what a kernel is has an answer, also from a busy one."""
    if held is None:
        yield
        return
    with kept_awake(held):
        async with kernelinfo.learning(manager, held.home.sessions, held.id):
            yield


def _send_all(streams: Iterable[Any]) -> None:
    """Hand ZeroMQ what is still to be sent: streams that are closed forget it."""
    for stream in streams:
        if stream is not None and not stream.closed():
            stream.flush(zmq.POLLOUT)


def _leave_to_journal(connection: Any) -> None:
    """Let go of output that Jupyter kept for this browser while it was away: the journal has it.

    Answers stay, since the kernel's own have more than the journal's.
    """
    kept = connection.multi_kernel_manager._kernel_buffers.get(connection.kernel_id)  # noqa: SLF001
    if kept and kept["session_key"] == connection.session_key:
        kept["buffer"] = [one for one in kept["buffer"] if one[0] != "iopub"]
