"""Tells listeners what happens to their sessions, as server-sent events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_server.auth.decorator import authorized
from tornado.iostream import StreamClosedError
from tornado.web import authenticated

from jupyter_sessmgr.model.errors import InvalidRequest, NotAllowed
from jupyter_sessmgr.rest.backendai.base import OWNER_PARAMETER, BackendAIHandler
from jupyter_sessmgr.rest.backendai.event_types import EventData
from jupyter_sessmgr.rest.backendai.event_wire import render_message
from jupyter_sessmgr.rest.feeds import Feed, Message
from jupyter_sessmgr.rest.operations import Parameter, Reply, operation

#: Seconds of silence after which a comment is sent, so that nobody in between hangs up.
KEEP_ALIVE = 15.0
#: All sessions, all groups, all events.
ALL = "*"
_LAST = "Last-Event-ID"
_SCOPES = (ALL, "session", "kernel")
_MOST_DIGITS = 18


class SessionEventsHandler(BackendAIHandler):
    """``{root}/events/session``, and ``{root}/stream/session/_/events`` for older clients."""

    _feed: Feed | None = None

    @authenticated
    @authorized
    @operation(
        parameters=(
            Parameter("sessionName", str, "One session's name, id or number; `*` (default): all."),
            Parameter("name", str, "The same."),
            Parameter("sessionId", str, "The same."),
            Parameter("group", str, "One group's sessions; `*` (default): all."),
            Parameter("groupName", str, "The same."),
            Parameter("scope", str, "Events that begin with `session`, `kernel`, or `*`: all."),
            Parameter(_LAST, int, "Number of the last event that was heard.", where="header"),
            OWNER_PARAMETER,
            Parameter("ownerAccessKey", str, "The same."),
        ),
        replies={
            200: Reply(
                "Server-sent events without an end: a name, a number, and this as data.",
                EventData,
                "text/event-stream",
            )
        },
        errors=(InvalidRequest, NotAllowed),
    )
    async def get(self) -> None:
        """Tell what happens to the caller's sessions from now on.

        With `Last-Event-ID`, what happened since that event comes first, as far as it is kept.
        A listener that does not keep up is disconnected.
        """
        wants, after = self._wishes(), self._after()
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")
        with self.rest.feeds.open(wants, self._drop, after) as self._feed:
            try:
                await self._tell(self._feed)
            except StreamClosedError:
                self.log.debug("A listener to events is gone.")
                return
        self.finish(set_content_type="text/event-stream")

    async def _tell(self, feed: Feed) -> None:
        self.write(": listening\n\n")
        await self.flush()
        while (messages := await feed.messages(KEEP_ALIVE)) is not None:
            self.write("".join(map(render_message, messages)) or ": still here\n\n")
            await self.flush()

    def on_connection_close(self) -> None:
        """Listen no longer."""
        if self._feed is not None:
            self._feed.end()
        super().on_connection_close()

    def _drop(self) -> None:
        """Hang up on a client that does not read."""
        connection: Any = self.request.connection
        self.log.warning("A listener to events does not keep up; it is disconnected.")
        connection.stream.close()

    def _wishes(self) -> Callable[[Message], bool]:
        owner = self.owner_of(self._argument("ownerAccessKey", "owner_access_key", default=""))
        session = self._argument("sessionId", "session_id", "sessionName", "session_name", "name")
        group = self._argument("group", "groupName", "group_name")
        scope = self._argument("scope")
        if scope not in _SCOPES:
            raise InvalidRequest(f"scope: not one of {', '.join(_SCOPES)}.", field="scope")
        start = "" if scope == ALL else f"{scope}_"

        def wants(message: Message) -> bool:
            return (
                message.owner == owner
                and session in {ALL, message.session_name, message.session_id}
                and group in {ALL, message.group}
                and message.name.startswith(start)
            )

        return wants

    def _argument(self, *names: str, default: str = ALL) -> str:
        """Return the first of several spellings that has a value."""
        values = (self.get_query_argument(name, "") for name in names)
        return next((value for value in values if value), default)

    def _after(self) -> int | None:
        text = self.request.headers.get(_LAST, "")
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
            raise InvalidRequest(f"{_LAST}: not a number of an event.", field=_LAST)
        return int(text)
