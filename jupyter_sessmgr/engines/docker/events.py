"""The engine's stream of events, read in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import urllib3
from docker.types.daemon import CancellableStream

from jupyter_sessmgr.engines.docker.client import TROUBLE, Api, patient

#: Changes of a container that may concern its session.
ACTIONS = ("die", "oom", "destroy", "pause", "unpause", "start")
#: Seconds of silence after which the stream is opened anew: a dead connection is silent, too.
SILENCE = 30.0
#: Seconds that the thread may take to end when told to.
_END = 2.0


class Events:
    """Hints about containers with a label. Owned by the engine, one stream at a time.

    Parameters
    ----------
    label : str
        ``name=value``; only such containers' events are heard.
    name_label : str
        The label whose value is the hint.
    """

    def __init__(self, label: str, name_label: str) -> None:
        self._filters = {"type": ["container"], "label": [label], "event": list(ACTIONS)}
        self._name_label = name_label
        self._subscription: _Subscription | None = None
        #: The engine's clock at the last event, so that the next stream begins there.
        self._since: int | None = None

    async def hints(self, api: Api) -> AsyncIterator[str]:
        """Yield names of what changed, until the stream ends: then anything may have been missed.

        The SDK's stream ends without an exception when the connection does (FAULTS D9), and so
        does this.
        """
        loop = asyncio.get_running_loop()
        pending: dict[str, None] = {}
        wake = asyncio.Event()

        def note(hint: str) -> None:
            pending[hint] = None
            wake.set()

        def tell(hint: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop ended before its engine was closed
                loop.call_soon_threadsafe(note, hint)

        self.close()
        subscription = _Subscription(self, api, tell)
        self._subscription = subscription
        try:
            while True:
                await wake.wait()
                wake.clear()
                hints = list(pending)
                pending.clear()
                for hint in hints:
                    if hint == _ENDED:
                        return
                    yield hint
        finally:
            subscription.close()
            await asyncio.to_thread(subscription.join, _END)

    def close(self) -> None:
        """End the stream that runs; its reader sees the end."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def open(self, api: Api) -> CancellableStream[dict[str, Any]]:
        """Ask the engine for events, from the last one on. Called in the stream's thread."""
        self._since = self._since or int(time.time())
        return api.events(since=self._since, filters=self._filters, decode=True)

    def read(self, event: Mapping[str, Any]) -> str:
        """Note when an event happened, and say whom it concerns."""
        when = event.get("time")
        if isinstance(when, int):
            self._since = when
        return str(event.get("Actor", {}).get("Attributes", {}).get(self._name_label, ""))


#: No place is named like this.
_ENDED = "\0"


class _Subscription:
    """One thread that reads until the connection breaks or somebody closes it."""

    def __init__(self, events: Events, api: Api, tell: Callable[[str], None]) -> None:
        self._events = events
        self._api = api
        self._tell = tell
        self._closing = threading.Event()
        self._stream: CancellableStream[dict[str, Any]] | None = None
        self._thread = threading.Thread(target=self._run, name="sessmgr-docker-events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tell the thread to end, and wake it."""
        self._closing.set()
        stream = self._stream
        if stream is not None:
            # AttributeError: the SDK looks into a reply that has ended by itself meanwhile.
            with contextlib.suppress(OSError, AttributeError):
                stream.close()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            with patient(SILENCE):
                while not self._closing.is_set():
                    if not self._read_until_silent():
                        return
        except TROUBLE:
            return
        finally:
            self._tell(_ENDED)

    def _read_until_silent(self) -> bool:
        """Read one stream; False when its end was not mere silence."""
        self._stream = self._events.open(self._api)
        if self._closing.is_set():
            self.close()
        try:
            for event in self._stream:
                self._tell(self._events.read(event))
        except urllib3.exceptions.ReadTimeoutError:
            return True
        finally:
            self.close_stream()
        return False

    def close_stream(self) -> None:
        """Let go of a stream that was read to its end."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(OSError, AttributeError):
                stream.close()
