"""Handlers of the HPC Pack dialect: read, ask the manager, write.

Paths come in two generations, with and without a cluster's name; the session comes last.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from jupyter_server.auth.decorator import authorized
from msgspec import Meta
from tornado.web import authenticated

from jupyter_sessmgr.model.errors import (
    EngineUnavailable,
    ImageNotFound,
    InvalidRequest,
    LimitExceeded,
    NameTaken,
    SessmgrError,
    StartFailed,
    StoreError,
)
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import Goal, SessionStatus
from jupyter_sessmgr.rest.attaching import attach
from jupyter_sessmgr.rest.hpcpack import wire
from jupyter_sessmgr.rest.hpcpack.base import VERSION_NAME, AttachApiHandler
from jupyter_sessmgr.rest.hpcpack.faults import (
    CANCELLED,
    FINISHED,
    IS_DURABLE,
    IS_INTERACTIVE,
    NOT_READY,
    Fault,
    Refused,
)
from jupyter_sessmgr.rest.hpcpack.request import (
    VERSIONS,
    broker_node,
    parse_expand,
    parse_start,
)
from jupyter_sessmgr.rest.hpcpack.types import Cluster, SessionInfo, StartInfo
from jupyter_sessmgr.rest.operations import Parameter, Reply, operation
from jupyter_sessmgr.rest.waits import started

#: Seconds that Create waits for a start; what takes longer goes on, and Attach says when it runs.
CREATE_WAIT = 60.0
_MAX_MESSAGE = 10 * 2**20

_S = SessionStatus
_VERSION = Parameter(
    VERSION_NAME,
    Annotated[str, Meta(extra_json_schema={"enum": [*VERSIONS]})],
    "Version of the API; required, here or as a header, which wins.",
    example=VERSIONS[0],
)
_DURABLE = Parameter(
    "durable",
    bool,
    "Whether the session outlives its server, as was said when it was made.",
    required=True,
    example=True,
)
_OTHER = ("application/xml",)
_DURABLE_DISAGREES: dict[int, str] = {
    HTTPStatus.CONFLICT: "The session is of the other kind: durable, or interactive."
}


def check_attachable(session: ComputeSession, *, durable: bool) -> None:
    """Refuse a session that is of the other kind, or has ended.

    Raises
    ------
    Refused
        with the fault that says so.
    """
    name = session.name
    check_kind(session, durable=durable)
    if session.status is _S.CANCELLED:
        raise _ended(CANCELLED, session, f"Session {name} was cancelled before it ran")
    if session.status.is_final or session.status is _S.TERMINATING or session.goal is Goal.STOP:
        raise _ended(FINISHED, session, f"Session {name} has finished")


def check_kind(session: ComputeSession, *, durable: bool) -> None:
    """Refuse a session that is durable where an interactive one is meant, or the other way."""
    if session.spec.durable and not durable:
        raise Refused(IS_DURABLE, f"Session {session.name} is durable: ask with durable=true.")
    if durable and not session.spec.durable:
        raise Refused(
            IS_INTERACTIVE, f"Session {session.name} is interactive: ask with durable=false."
        )


def check_usable(session: ComputeSession) -> None:
    """Refuse a session that does not run yet; it is worth asking again."""
    if session.status is not _S.RUNNING:
        raise Refused(
            NOT_READY, f"Session {session.name} is {session.status}: ask again in a few seconds."
        )


def _ended(fault: Fault, session: ComputeSession, words: str) -> Refused:
    why = session.failure or session.stop_reason
    return Refused(fault, f"{words}: {why}" if why else f"{words}.", session=session.name)


class ClustersHandler(AttachApiHandler):
    """``WindowsHpc/Clusters``."""

    @authenticated
    @authorized
    @operation(
        parameters=(_VERSION,),
        replies={200: Reply("The clusters, of which there is one.", list[Cluster], others=_OTHER)},
    )
    async def get(self) -> None:
        """Name this server's one cluster, which older clients put into their paths."""
        self.check_version(required=False)
        clusters = wire.render_clusters(self.attach_api.cluster)
        await self.answer(json=clusters, xml=wire.clusters_xml(clusters))

    head = get


class SessionInfoHandler(AttachApiHandler):
    """Base of those that answer with a session."""

    async def answer_session(
        self, session: ComputeSession, *, listed: bool, expand: bool, status: int = HTTPStatus.OK
    ) -> None:
        """Write a session, and where clients of Jupyter go on; `listed`: it knows the kernel."""
        info = wire.render_info(
            session,
            broker_node=broker_node(
                self.attach_api.broker_node, self.request.host, self.request.protocol
            ),
            max_message=self.settings.get("websocket_max_message_size", _MAX_MESSAGE),
            timeout=self.attach_api.operation_timeout,
        )
        if expand:
            info["Jupyter"] = wire.render_jupyter(
                session,
                base_url=self.base_url,
                kernel_name=self._kernel_name(session, listed=listed),
                listed=listed,
                replay_from=await self._replay_from(session),
            )
        for link in wire.links(session, base_url=self.base_url, listed=listed):
            self.add_header("Link", link)
        await self.answer(json=info, xml=wire.info_xml(info), status=status)

    def expand(self) -> bool:
        """Read ``?expand=jupyter``."""
        return parse_expand(self.get_query_arguments("expand"))

    async def _replay_from(self, session: ComputeSession) -> int | None:
        """Say where what is kept of a session's output begins; None when nothing is recorded."""
        try:
            page = await self.sessions.journal.read(session.id, most_bytes=0)
        except SessmgrError:
            return None
        return page.first - 1 if page.lost.messages else 0

    def _kernel_name(self, session: ComputeSession, *, listed: bool) -> str:
        if not listed:
            return session.spec.kernel
        name: Any = self.kernel_manager.get_kernel(session.id).kernel_name
        return str(name)


class AttachHandler(SessionInfoHandler):
    """``WindowsHpc/Session/:id/Attach``."""

    @authenticated
    @authorized
    @operation(
        parameters=(
            _DURABLE,
            _VERSION,
            Parameter("expand", str, "`jupyter`: tell clients of Jupyter more.", example="jupyter"),
        ),
        replies={200: Reply("The session.", SessionInfo, others=_OTHER)},
        errors=(EngineUnavailable, StoreError),
        statuses={
            **_DURABLE_DISAGREES,
            HTTPStatus.GONE: "The session has ended.",
            HTTPStatus.SERVICE_UNAVAILABLE: "The session does not run yet.",
        },
    )
    async def get(self, *path: str) -> None:
        """Make a running session usable from this server.

        Has its kernel listed under the session's own id, resumes it when it is suspended, and
        resets its idle clock. Never makes a session.
        """
        self.check_version()
        durable, expand = self.durable(), self.expand()
        await self.rest.ready()
        session = self.find(path[-1])
        check_attachable(session, durable=durable)
        listed = session.id in self.kernel_manager
        if await self.may_act():
            session, listed = await attach(self.rest, session)
        check_attachable(session, durable=durable)
        check_usable(session)
        await self.answer_session(session, listed=listed, expand=expand)

    head = get


class CreateHandler(SessionInfoHandler):
    """``WindowsHpc/Sessions/Create``."""

    @authenticated
    @authorized
    @operation(
        parameters=(_DURABLE, _VERSION),
        body=StartInfo,
        examples={"defaults": {}},
        replies={
            200: Reply("The session that had this name.", SessionInfo, others=_OTHER),
            201: Reply("The session.", SessionInfo, others=_OTHER),
        },
        errors=(
            EngineUnavailable,
            ImageNotFound,
            InvalidRequest,
            LimitExceeded,
            NameTaken,
            StartFailed,
            StoreError,
        ),
        statuses=_DURABLE_DISAGREES,
    )
    async def post(self, *_path: str) -> None:
        """Create a session, or find the one to reuse; the answer comes when it runs."""
        self.check_version()
        durable = self.durable()
        request = parse_start(await self.read_body(), durable=durable)
        await self.rest.ready()
        session, fresh = await self.sessions.create(request, self.owner)
        check_kind(session, durable=durable)
        session = await started(self.sessions, session, CREATE_WAIT) or session
        if session.status.is_final:
            raise StartFailed(session.failure or f"Session {session.name} has ended.")
        listed = session.status is _S.RUNNING and await self.rest.listed(session)
        status = HTTPStatus.CREATED if fresh else HTTPStatus.OK
        await self.answer_session(session, listed=listed, expand=False, status=status)


class CloseHandler(AttachApiHandler):
    """``WindowsHpc/Session/:id/Close``."""

    takes_bare_post = True

    @authenticated
    @authorized
    @operation(
        parameters=(_VERSION,),
        replies={200: Reply("Nothing is left of it.")},
        errors=(EngineUnavailable, StoreError),
        statuses={HTTPStatus.GONE: "The session had ended before."},
    )
    async def post(self, *path: str) -> None:
        """Destroy a session; the answer comes after its removal."""
        self.check_version()
        await self.rest.ready()
        session = self.find(path[-1])
        check_attachable(session, durable=session.spec.durable)
        await self.rest.listed(await self.sessions.destroy(session.id))
        self.finish(set_content_type="text/plain")
