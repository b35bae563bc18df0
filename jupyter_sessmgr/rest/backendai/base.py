"""What every handler of the Backend.AI dialect is."""

from __future__ import annotations

import time

from jupyter_sessmgr.model.errors import InvalidRequest, NotAllowed, SessionNotFound
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.rest.backendai import wire
from jupyter_sessmgr.rest.backendai.known import as_of_now, known_of
from jupyter_sessmgr.rest.backendai.types import SessionReply
from jupyter_sessmgr.rest.base import SessionsHandler
from jupyter_sessmgr.rest.errors import Problem, problem_of
from jupyter_sessmgr.rest.operations import Parameter

#: On every route: an admin may speak of another owner's sessions.
OWNER_KEY = "owner_access_key"
OWNER_PARAMETER = Parameter(
    OWNER_KEY, str, "Access key of another owner, whose session it is; for admins."
)

_TRUE, _FALSE = frozenset({"true", "1", "yes"}), frozenset({"false", "0", "no", ""})


def absent(reference: str) -> SessionNotFound:
    """Say what the manager says of a session that never was."""
    return SessionNotFound(f"There is no session {reference!r:.80}.")


class BackendAIHandler(SessionsHandler):
    """Base of the dialect: its status codes, its query strings, whose session is meant."""

    def problem(self, error: BaseException | None, status: int) -> Problem:
        """Look an error up in the table, with the codes that the document names."""
        return problem_of(error, status, self.rest.statuses)

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler
        """Look which key pairs there are, before one of them says whose sessions are meant."""
        await super().prepare()
        if self.current_user is not None and self.get_query_argument(OWNER_KEY, ""):
            await self.sessions.keypairs.refresh()

    @property
    def owner(self) -> str:
        """Whose sessions this request is about: the caller's, unless an admin says otherwise."""
        return self.owner_of(self.get_query_argument(OWNER_KEY, ""))

    def owner_of(self, access_key: str) -> str:
        """Say who owns a key pair, from memory; "" means: the caller.

        Raises
        ------
        NotAllowed
            when that is somebody else, and the caller is no admin; the same for keys that there
            are not, so nobody can find out which there are.
        """
        own = super().owner
        if not access_key:
            return own
        pair = self.sessions.keypairs.find(access_key)
        if pair is not None and (pair.owner == own or self.is_admin):
            return pair.owner
        raise NotAllowed(
            f"{OWNER_KEY}: only an admin can speak for another owner, by an access key that "
            "there is.",
            field=OWNER_KEY,
        )

    def find(self, reference: str) -> ComputeSession:
        """Find a session, live or ended."""
        return self.sessions.find(reference, self.owner)

    def find_live(self, reference: str) -> ComputeSession:
        """Find a session; one that ended can be read, and not be changed any more."""
        session = self.find(reference)
        if session.status.is_final:
            raise absent(reference)
        return session

    def describe(self, session: ComputeSession) -> SessionReply:
        """Write all that is known of a session now."""
        session = as_of_now(self.sessions, session)
        known = known_of(self.sessions, session)
        return wire.render_session(session, time.time(), base_url=self.base_url, known=known)

    def touch(self, session: ComputeSession) -> None:
        """Note that a session was used: its idle time begins anew."""
        self.sessions.activity.touch(session.id)

    def flag(self, name: str) -> bool:
        """Read ``?name=true``."""
        text = self.get_query_argument(name, "").lower()
        if text not in _TRUE | _FALSE:
            raise InvalidRequest(f"{name}: write true or false.", field=name)
        return text in _TRUE

    def number(self, name: str, default: int | None, highest: int) -> int | None:
        """Read ``?name=7``."""
        text = self.get_query_argument(name, "")
        if not text:
            return default
        short = text.isascii() and text.isdigit() and len(text) <= len(str(highest))
        if not short or int(text) > highest:
            raise InvalidRequest(f"{name}: not a number up to {highest}.", field=name)
        return int(text)
