"""``jupyter sessmgr attach``: a terminal console on a session's kernel."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_runtime_dir

from jupyter_sessmgr.cli.failures import CommandFailed, Exit
from jupyter_sessmgr.cli.opening import open_sessions
from jupyter_sessmgr.cli.output import print_json, print_note


def attach(options: argparse.Namespace) -> Exit:
    """Connect a console to the kernel of a session; the kernel goes on when it ends."""
    with open_sessions(options) as sessions:
        row = sessions.get(options.session)
        info = sessions.connection_info(row)
        where = sessions.where
    # The state folder is free again: a server may start while the console is open.
    if options.json:
        print_json({"id": row.id, "name": row.name, "connection": _public(info)})
        return Exit.OK
    with connection_file(row.id, info) as path:
        run_console(path, f"Attached to {row.name} ({where}); Ctrl-D leaves it running.")
    return Exit.OK


def _public(info: Mapping[str, Any]) -> dict[str, Any]:
    """Leave the keys out: output of commands ends in logs."""
    secret = {"key", "curve_secretkey"}
    return {name: _text(value) for name, value in info.items() if name not in secret}


def _text(value: Any) -> Any:
    return value.decode("ascii") if isinstance(value, bytes) else value


@contextmanager
def connection_file(session_id: str, info: Mapping[str, Any]) -> Iterator[Path]:
    """Have a connection file, readable by this person alone, for as long as the console runs."""
    folder = Path(jupyter_runtime_dir())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"sessmgr-attach-{session_id}-{os.getpid()}.json"
    text = json.dumps({name: _text(value) for name, value in info.items()})
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        yield path
    finally:
        path.unlink(missing_ok=True)


def run_console(path: Path, greeting: str) -> None:
    """Run ``jupyter console --existing`` in this process.

    Upstream's console does not take the CurveZMQ keys over from the file and cannot interrupt a
    kernel that it did not start; this one does both.

    Raises
    ------
    CommandFailed
        when jupyter_console is not installed.
    """
    try:
        from jupyter_console.app import (  # type: ignore[import-untyped] # noqa: PLC0415 - optional
            ZMQTerminalIPythonApp,
        )
    except ImportError as error:
        raise CommandFailed(
            "attach needs jupyter_console; install it with `pip install jupyter_console`."
        ) from error

    class SessionConsole(ZMQTerminalIPythonApp):  # type: ignore[misc] # it has no types
        """A console that speaks to an encrypted kernel, and can interrupt it."""

        name = "jupyter-sessmgr-attach"

        def init_kernel_client(self) -> None:
            """Take everything from the connection file, keys included."""
            self.kernel_client = self.kernel_client_class(
                parent=self, session=self.session, connection_file=self.connection_file
            )
            self.kernel_client.load_connection_file()
            self.kernel_client.start_channels()

        def handle_sigint(self, *_args: object) -> None:
            """Interrupt what runs; at the prompt, clear the line."""
            if not self.shell._executing:  # noqa: SLF001 - upstream's own handler asks this
                raise KeyboardInterrupt
            message = self.kernel_client.session.msg("interrupt_request", {})
            self.kernel_client.control_channel.send(message)

    print_note(greeting)
    SessionConsole.launch_instance(["--existing", str(path)])
