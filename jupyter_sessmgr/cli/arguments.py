"""The words of the command line. Each command says which function runs it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any

#: Seconds that `create` waits, unless told otherwise.
CREATE_TIMEOUT = 120.0
_EPILOG = """\
exit codes: 0 done; 1 not done, the message says why; 2 wrong usage; 3 no such session;
4 nobody could be asked, try again later; 5 still starting after --timeout; 130 Ctrl-C.
Traits of the configuration can be given as --Class.trait=value where no server runs.
"""


def make_parser(version: str) -> argparse.ArgumentParser:
    """Make the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="jupyter sessmgr",
        description="Compute sessions: remote kernels in containers or local processes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = _Adder(commands)
    _add_sessions(add)
    _add_tools(add)
    return parser


class _Adder:
    """Adds commands, each with the options that all have."""

    def __init__(self, commands: Any) -> None:
        self._commands = commands

    def __call__(
        self, name: str, help_: str, target: str, *, asks: bool = True
    ) -> argparse.ArgumentParser:
        """Add a command; `asks`: it talks to a server or opens the state folder."""
        command: argparse.ArgumentParser = self._commands.add_parser(
            name, help=help_, description=help_, allow_abbrev=False
        )
        command.set_defaults(run=_later(target), no_server=False, server=None)
        command.add_argument("--json", action="store_true", help="answer with one JSON document")
        if asks:
            group = command.add_mutually_exclusive_group()
            group.add_argument(
                "--server",
                metavar="URL",
                help="talk to this Jupyter server (token in the URL is taken)",
            )
            group.add_argument(
                "--no-server", action="store_true", help="open the state folder; ask no server"
            )
        return command

    def group(self, name: str, help_: str) -> _Adder:
        """Add a command that has commands of its own."""
        parser = self._commands.add_parser(name, help=help_, description=help_)
        return _Adder(parser.add_subparsers(title="commands", metavar="COMMAND", required=True))


def _later(target: str) -> Callable[[argparse.Namespace], Any]:
    """Import a command when it runs: `--help` must not wait for a Docker client."""

    def run(options: argparse.Namespace) -> Any:
        module, _, function = target.partition(":")
        return getattr(import_module(f"jupyter_sessmgr.cli.{module}"), function)(options)

    return run


def _add_sessions(add: _Adder) -> None:
    command = add("list", "Show sessions.", "sessions:list_sessions")
    command.add_argument("--all", action="store_true", help="those that have ended, too")

    _add_create(add("create", "Start a session and print its name.", "sessions:create"))

    command = add("stop", "End sessions; what they have in memory is lost.", "sessions:stop")
    command.add_argument("session", nargs="*", help="name, UUID or number")
    command.add_argument("--all", action="store_true", help="every session of yours")
    command.add_argument("--yes", "-y", action="store_true", help="do not ask, with --all")
    command.add_argument("--forced", action="store_true", help="without a grace period")

    command = add("logs", "Show the last lines a session wrote.", "sessions:logs")
    command.add_argument("session", help="name, UUID or number")
    command.add_argument("--follow", "-f", action="store_true", help="go on until it ends")

    command = add("attach", "Open a terminal console on a session's kernel.", "console:attach")
    command.add_argument("session", help="name, UUID or number")


def _add_create(command: argparse.ArgumentParser) -> None:
    command.add_argument("--image", default="", help="default: the preset's")
    command.add_argument("--preset", default="", help="default: the server's default_preset")
    command.add_argument("--name", default="", help="4-64 letters, digits and inner hyphens")
    command.add_argument("--cpu", default="", metavar="N", help="processors, such as 2 or 0.5")
    command.add_argument("--mem", default="", metavar="SIZE", help="memory, such as 512m or 4g")
    command.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="repeatable"
    )
    command.add_argument(
        "--mount",
        action="append",
        default=[],
        metavar="NAME",
        help="of the admin's table; repeatable",
    )
    _add_contents(command)
    command.add_argument(
        "--durable",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="outlives the server that made it (default) or ends with it",
    )
    command.add_argument(
        "--wait",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="return when it runs (default) or at once",
    )
    command.add_argument(
        "--timeout", type=float, default=CREATE_TIMEOUT, metavar="SECONDS", help="how long to wait"
    )


def _add_contents(command: argparse.ArgumentParser) -> None:
    command.add_argument("--group", default="", help="project that the session is of")
    command.add_argument("--tag", default="", help="words of yours, to find it by")
    command.add_argument(
        "--batch", default="", metavar="COMMAND", help="run this instead of a kernel, then end"
    )
    command.add_argument(
        "--bootstrap", default="", metavar="FILE", help="a shell script to run before all else"
    )
    command.add_argument(
        "--port",
        action="append",
        default=[],
        type=int,
        metavar="N",
        help="of a program that you will start inside; repeatable",
    )


def _add_tools(add: _Adder) -> None:
    command = add("check", "Say what is missing, and what to do about it.", "check.run:check")
    command.add_argument("--no-smoke", action="store_true", help="start no session to try it")

    _add_purge(add)
    _add_keypairs(add.group("keypair", "Key pairs, for programs that sign their requests."))

    kernelspecs = add.group("kernelspec", "Kernelspecs for tools without a server.")
    command = kernelspecs(
        "install",
        "Write a kernelspec for each preset, for nbclient, papermill or jupyter console.",
        "kernelspec:install",
        asks=False,
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument("--user", action="store_true", help="for this user (default: all users)")
    where.add_argument("--sys-prefix", action="store_true", help="into this Python environment")
    where.add_argument("--prefix", default="", metavar="PATH", help="into PREFIX/share/jupyter")

    images = add.group("image", "Images that sessions run.")
    command = images("build", "Build an image of this package.", "imagecmd:build", asks=False)
    command.add_argument(
        "recipe",
        nargs="?",
        default="python",
        help="name of a recipe, or a folder with a Dockerfile",
    )
    command.add_argument("--tag", default="", help="default: jupyter-sessmgr/RECIPE")
    command.add_argument("--base", default="", metavar="IMAGE", help="build on this image instead")
    command.add_argument("--again", action="store_true", help="build although it is up to date")


def _add_purge(add: _Adder) -> None:
    command = add(
        "purge",
        "Say what this installation has made here; with --yes remove all of it.",
        "purge:purge",
        asks=False,
    )
    command.add_argument("--yes", "-y", action="store_true", help="remove it, for ever")
    command.add_argument(
        "--images", action="store_true", help="the images that were built here, too"
    )
    command.add_argument(
        "--forced",
        action="store_true",
        help="although a server runs, or an engine that has sessions does not answer",
    )


def _add_keypairs(add: _Adder) -> None:
    command = add("add", "Make a key pair and print it, this once.", "keypair:add", asks=False)
    command.add_argument("--owner", default="", metavar="NAME", help="default: the server's owner")
    command.add_argument("--admin", action="store_true", help="may do what only admins may")

    add("list", "Show the key pairs, without secrets.", "keypair:show", asks=False)

    command = add("remove", "Remove a key pair for ever.", "keypair:remove", asks=False)
    command.add_argument("key", help="its access key")
