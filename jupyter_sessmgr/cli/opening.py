"""Decide who answers a command: a running server, or the state folder itself."""

from __future__ import annotations

import argparse

from jupyter_sessmgr.cli.backend import Sessions
from jupyter_sessmgr.cli.config import load_config
from jupyter_sessmgr.cli.failures import CommandFailed, Exit


def open_sessions(options: argparse.Namespace) -> Sessions:
    """Find a running server, else open the state folder as its leader.

    Raises
    ------
    CommandFailed
        when the named server does not answer, several could be meant, or the state folder is
        held by a server that cannot be talked to.
    """
    # Both are heavy to import, and a command needs only one of them.
    if not options.no_server:
        from jupyter_sessmgr.cli.local import holder_of  # noqa: PLC0415
        from jupyter_sessmgr.cli.remote import ServerSessions  # noqa: PLC0415
        from jupyter_sessmgr.cli.servers import find_server  # noqa: PLC0415

        server = find_server(options.server, holder_of(load_config(options.traits)))
        if server is not None:
            _refuse_traits(options, server.url)
            return ServerSessions(server)
    from jupyter_sessmgr.cli.local import FolderSessions  # noqa: PLC0415

    return FolderSessions(load_config(options.traits))


def _refuse_traits(options: argparse.Namespace, url: str) -> None:
    if options.traits:
        raise CommandFailed(
            f"{options.traits[0]} says how to open the state folder, but the server at {url} has "
            "its own configuration. Leave it out, or add --no-server.",
            Exit.USAGE,
        )
