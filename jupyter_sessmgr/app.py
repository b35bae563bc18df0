"""The server extension: puts the parts together, and says in which order they start and stop.

Parts and URLs, all under the server's base URL::

    sessmgr                      version probe (open)
    sessmgr/session…             the Backend.AI dialect; also as sessmgr/kernel… and session…
    sessmgr/api/…                ours: health, offers, OpenAPI document
    WindowsHpc/…                 the HPC Pack dialect: attach to a session
    api/kernelspecs, api/kernels Jupyter's own, where our kernelspecs and kernels appear

Start: link (kernelspecs) → settings (manager, websockets, events; the manager opens) → handlers.
Stop: end runs and listeners → let go of kernels → close the manager. Sessions go on.
"""

from __future__ import annotations

import asyncio
import gc
import json
from functools import cache, cached_property, partial
from types import MappingProxyType

from jupyter_events import EventLogger
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from tornado.routing import PathMatches, Rule
from traitlets import Bool, Enum, Float, List, Set, Unicode, default
from traitlets.config import Config

from jupyter_sessmgr.manager.admission import AdmissionControl
from jupyter_sessmgr.manager.inside.files import SessionFiles
from jupyter_sessmgr.manager.inside.services import SessionServices
from jupyter_sessmgr.manager.installation.opener import Opener
from jupyter_sessmgr.manager.loop.reconciler import SessionReconciler
from jupyter_sessmgr.manager.owners import server_owner
from jupyter_sessmgr.manager.pool import WarmPool
from jupyter_sessmgr.manager.queue import StartQueue
from jupyter_sessmgr.manager.recording.journal import OutputJournal
from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.manager.use.idle import IdleCuller
from jupyter_sessmgr.manager.use.meter import UsageMeter
from jupyter_sessmgr.model.errors import InvalidRequest, NameTaken
from jupyter_sessmgr.provisioning.adopt import adopt_kernels, detach_kernels, listed
from jupyter_sessmgr.provisioning.channels import channels_class
from jupyter_sessmgr.provisioning.gateways import kernelspec_manager_class
from jupyter_sessmgr.provisioning.kernelspecs import remote_kernelspecs
from jupyter_sessmgr.provisioning.locate import register, unregister
from jupyter_sessmgr.provisioning.notebooks import keep_notebook_sessions
from jupyter_sessmgr.provisioning.stopping import end_workers_at_exit, stop_in_turn
from jupyter_sessmgr.proxy.bounds import hurry
from jupyter_sessmgr.proxy.choosing import Chooser
from jupyter_sessmgr.proxy.hosts import AnyServiceHost
from jupyter_sessmgr.proxy.loopback import hold_loopback
from jupyter_sessmgr.proxy.own_host import HostHandler
from jupyter_sessmgr.proxy.passing import SETTINGS_KEY as PROXY
from jupyter_sessmgr.proxy.passing import Proxy
from jupyter_sessmgr.proxy.routes import proxy_routes
from jupyter_sessmgr.proxy.settings import ServiceProxy
from jupyter_sessmgr.proxy.target import Starts
from jupyter_sessmgr.proxy.upstream import Upstream
from jupyter_sessmgr.rest.backendai.event_wire import render_event
from jupyter_sessmgr.rest.backendai.unsupported import unknown_routes
from jupyter_sessmgr.rest.backlog import accept_bursts
from jupyter_sessmgr.rest.base import SETTINGS_KEY, Rest
from jupyter_sessmgr.rest.endings import Endings
from jupyter_sessmgr.rest.errors import problem_of
from jupyter_sessmgr.rest.events import EventBridge
from jupyter_sessmgr.rest.execution.executions import Executions
from jupyter_sessmgr.rest.feeds import Feeds
from jupyter_sessmgr.rest.hpcpack.settings import SETTINGS_KEY as ATTACH_API
from jupyter_sessmgr.rest.hpcpack.settings import AttachApi
from jupyter_sessmgr.rest.identity import SignedIdentity
from jupyter_sessmgr.rest.metrics import SessionMetrics
from jupyter_sessmgr.rest.openapi.document import make_document
from jupyter_sessmgr.rest.owners import Owners
from jupyter_sessmgr.rest.routes import ROOT, routes
from jupyter_sessmgr.store.notebooks import NotebookFile


class SessMgrApp(ExtensionApp):
    """Compute sessions for Jupyter. Configured in ``jupyter_sessmgr_config.py``."""

    name = "sessmgr"
    description = "Compute sessions for Jupyter: remote kernels in containers or local processes"
    load_other_extensions = True
    classes = [  # noqa: RUF012 - a trait's base
        ComputeSessionManager,
        AdmissionControl,
        StartQueue,
        WarmPool,
        IdleCuller,
        SessionFiles,
        OutputJournal,
        SessionServices,
        UsageMeter,
        SessionReconciler,
        AttachApi,
    ]

    document_routes = Bool(
        True,
        config=True,
        help="""Also serve the session management API at `{base_url}session`, as its document
        spells it. Turn it off when another extension needs that path.""",
    )
    owner = Unicode(
        config=True,
        help="""Who owns the sessions of this server where its identity provider knows no people,
        as with Jupyter's token, and all its kernels. Default: JUPYTERHUB_USER, or the user of the
        operating system. Set it when servers of several people run as one user.""",
    )
    admin_users = Set(
        Unicode(),
        config=True,
        help="""User names that may do what only admins may, such as exempt a session from its
        limits, where the identity provider tells people apart. Key pairs say it of themselves;
        whoever holds the token of a server of one person is its admin.""",
    )
    accepted_hosts = List(
        Unicode(),
        config=True,
        help="""Host names, with the port where clients give one, that requests may be signed for
        (with key pairs), besides the one that arrives. Set it to the public name when a proxy
        changes the Host header. Forwarded headers are never believed.""",
    )
    invalid_parameters_status = Enum(
        (401, 400),
        401,
        config=True,
        help="""HTTP status for invalid parameters of the session management API. Its document
        says 401; choose 400 when something between client and server takes a 401 for a missing
        login.""",
    )
    name_taken_status = Enum(
        (409, 400),
        409,
        config=True,
        help="""HTTP status for "session already exists". Choose 400 for clients that were written
        against an upstream server.""",
    )
    open_deadline = Float(
        12.0,
        config=True,
        help="""Seconds that the server's start waits for an engine that does not answer. After
        that the server starts, and kernels are listed when the engine answers, or is given up;
        open browser tabs may have dropped theirs by then. Lower it only where nothing lasts.""",
    )

    #: Where this server keeps its notebook sessions, if we chose that.
    notebooks: NotebookFile | None = None
    _is_made = False

    @default("owner")
    def _default_owner(self) -> str:
        return server_owner()

    @cached_property
    def sessions(self) -> ComputeSessionManager:
        """The manager. Settings that make no sense raise `TraitError` when it is made."""
        return ComputeSessionManager(parent=self)

    def _link_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Make our kernelspecs appear, and notebook sessions last.

        Called after configuration, before the server's own managers exist.
        """
        super()._link_jupyter_server_extension(serverapp)
        base = kernelspec_manager_class(serverapp)
        if base is not None:
            chosen = {"kernel_spec_manager_class": remote_kernelspecs(base)}
            serverapp.update_config(Config({"ServerApp": chosen}))
            self.notebooks = keep_notebook_sessions(serverapp, self.sessions.state_dir)

    def initialize_settings(self) -> None:
        """Put the manager where the doors find it, and open it."""
        server = self._server()
        self.metrics = SessionMetrics(self.sessions)
        self.feeds = Feeds(render_event)
        self.runs = Executions(self.sessions, self.log)
        loop: asyncio.AbstractEventLoop = server.io_loop.asyncio_loop  # type: ignore[attr-defined]
        self.opener = Opener(self.sessions, loop, self._opened, self.log)
        register(server, self.sessions, owner=self.owner)
        self.settings["sessmgr_sessions"] = self.sessions
        proxy_settings = ServiceProxy(parent=self)
        chooser = Chooser(proxy_settings, self.sessions, self.log)
        self.settings[SETTINGS_KEY] = rest = self._rest(server, chooser)
        several = rest.owners.several
        self.bridge = EventBridge(server.event_logger or EventLogger(), several=several)
        self.settings[ATTACH_API] = AttachApi(parent=self)
        self.settings["kernel_websocket_connection_class"] = channels_class(server)
        self.sessions.services.base_url = server.base_url
        self.proxy = self.settings[PROXY] = Proxy(
            sessions=self.sessions,
            settings=proxy_settings,
            chooser=chooser,
            upstream=Upstream(self.sessions.services.open_stream),
            starts=Starts(self.sessions),
            owner_of=self.settings[SETTINGS_KEY].owners.of,
            ready=self.opener.ready,
            problem_of=problem_of,
        )
        self._is_made = True
        self._open_soon(loop)

    def initialize_handlers(self) -> None:
        """Add the routes."""
        table = routes(document_routes=self.document_routes)
        self.handlers.extend((route.pattern, route.handler) for route in table)
        self.handlers.extend(proxy_routes(ROOT))
        rest = unknown_routes(ROOT, document_routes=self.document_routes)
        self.handlers.extend((route.pattern, route.handler) for route in rest)
        # First of all rules: added as others are, extensions loaded earlier would answer there.
        router = self._server().web_app.default_router
        base_url = self._server().base_url
        router.rules[:0] = [
            Rule(AnyServiceHost(), HostHandler),
            # A page asks for hundreds of files: not each after a hundred patterns of Jupyter's.
            *(Rule(PathMatches(base_url + path), one) for path, one in proxy_routes(ROOT)),
        ]

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Go on opening, when the engine did not answer before the server listened."""
        if not self._is_made:
            return
        http_server = getattr(serverapp, "http_server", None)
        self.proxy.chooser.loopback_trouble = hold_loopback(http_server)
        accept_bursts(http_server)
        stop_in_turn(serverapp)
        end_workers_at_exit()
        hurry(http_server, self.proxy.settings.head_timeout)
        self.opener.begin()
        self.proxy.upstream.prepare()
        # What a server is made of stays until its end. Looking through it for garbage would hold
        # up everybody for some 50 ms, every thousand requests.
        gc.freeze()
        # Python waits with a full collection until a quarter is new, and counts what is frozen
        # until the next one: a hundred closed websockets would lie around first.
        gc.collect()

    async def stop_extension(self) -> None:
        """Let go of kernels before the server ends them, then close the manager."""
        if not self._is_made:
            return  # else the server could not be stopped
        server = self._server()
        self.feeds.close()
        await self.runs.close()
        await self.proxy.close()
        await detach_kernels(server)
        await self.opener.close()
        self.metrics.close()
        unregister(server)
        if self.notebooks is not None:
            self.notebooks.close()

    def _rest(self, server: ServerApp, chooser: Chooser) -> Rest:
        statuses = MappingProxyType(
            {
                InvalidRequest: self.invalid_parameters_status,
                NameTaken: self.name_taken_status,
            }
        )

        @cache
        def openapi() -> bytes:
            table = routes(document_routes=self.document_routes)
            return json.dumps(
                make_document(table, base_url=server.base_url, statuses=statuses)
            ).encode()

        return Rest(
            sessions=self.sessions,
            owners=Owners(self.owner, server.identity_provider, self.admin_users),
            signed=SignedIdentity(self.sessions.keypairs, self.accepted_hosts, parent=self),
            ready=self.opener.ready,
            trouble=self.opener.trouble,
            endings=Endings(),
            runs=self.runs,
            feeds=self.feeds,
            listed=partial(listed, server),
            statuses=statuses,
            shown=chooser.explain,
            openapi=openapi,
        )

    async def _opened(self) -> None:
        """Tell browsers what happens from now on, and list the kernels that run already."""
        self.sessions.subscribe(self.bridge)
        self.sessions.subscribe(self.metrics)
        self.sessions.subscribe(self.feeds)
        await adopt_kernels(self._server())

    def _open_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open the manager before the server listens, if the engine answers in time.

        Then all kernels that run are listed before it listens, too: a browser whose kernel is not
        there for some seconds gives it up, and Jupyter deletes its notebook's session.
        Where a loop runs already (in tests, or embedded), opening goes on beside the rest.
        """
        attempt = self.opener.begin()
        if _in_a_loop():
            return
        loop.run_until_complete(asyncio.wait({attempt}, timeout=self.open_deadline))
        if self.opener.is_open:
            loop.run_until_complete(attempt)

    def _server(self) -> ServerApp:
        if self.serverapp is None:
            raise RuntimeError("the extension is not linked to a server")
        return self.serverapp


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
