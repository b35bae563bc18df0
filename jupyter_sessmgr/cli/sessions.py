"""The commands that are about sessions: list, create, stop, logs."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from jupyter_sessmgr.cli.backend import Row, Sessions, Wanted, read_variables
from jupyter_sessmgr.cli.failures import CommandFailed, Exit
from jupyter_sessmgr.cli.opening import open_sessions
from jupyter_sessmgr.cli.output import (
    Progress,
    age,
    confirm,
    print_json,
    print_line,
    print_note,
    print_table,
)
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.model.status import SessionStatus

#: Seconds between looks, with ``logs --follow``.
FOLLOW_INTERVAL = 1.0


def list_sessions(options: argparse.Namespace) -> Exit:
    """Show the sessions."""
    with open_sessions(options) as sessions:
        rows = sessions.list(ended=options.all)
    if options.json:
        print_json([row.as_json() for row in rows])
    elif rows:
        header = ("NUMBER", "NAME", "STATUS", "AGE", "IMAGE", "INFO")
        print_table(header, [_cells(row) for row in rows])
    else:
        print_note(f"No sessions ({sessions.where}).")
    return Exit.OK


def _cells(row: Row) -> tuple[str, ...]:
    return (str(row.number), row.name, row.status, age(row.age), row.image, row.info)


def create(options: argparse.Namespace) -> Exit:
    """Start a session, and wait for it unless told not to."""
    wanted = _wanted(options)
    with open_sessions(options) as sessions:
        if not options.wait and sessions.ends_with_command:
            raise CommandFailed(
                "No server runs, so nobody would start the session after this command has ended; "
                "leave --no-wait out.",
                Exit.USAGE,
            )
        row, fresh = sessions.create(wanted)
        if options.wait:
            row = _wait(sessions, row, options.timeout, batch=bool(wanted.command))
    if options.json:
        print_json({**row.as_json(), "created": fresh})
    else:
        print_line(row.name)
        print_note(f"{row.name} {'is' if fresh else 'was already'} {row.status} ({sessions.where})")
    return Exit.FAILED if row.is_final and row.status != SessionStatus.TERMINATED else Exit.OK


def _wanted(options: argparse.Namespace) -> Wanted:
    resources = {"cpu": options.cpu, "mem": options.mem}
    try:
        environ = read_variables(options.env)
        bootstrap = Path(options.bootstrap).read_text("utf-8") if options.bootstrap else ""
    except OSError as error:
        words = f"--bootstrap {options.bootstrap}: {error.strerror}."
        raise CommandFailed(words, Exit.USAGE) from error
    except ValueError as error:
        raise CommandFailed(str(error), Exit.USAGE) from error
    return Wanted(
        image=options.image,
        preset=options.preset,
        name=options.name,
        resources={slot: value for slot, value in resources.items() if value},
        environ=environ,
        mounts=tuple(options.mount),
        durable=options.durable,
        group=options.group,
        tag=options.tag,
        command=options.batch,
        bootstrap=bootstrap,
        ports=tuple(options.port),
    )


def _wait(sessions: Sessions, row: Row, timeout: float, *, batch: bool) -> Row:
    """Wait until a session runs; a batch session may have done its work by then."""
    try:
        with Progress(f"Starting {row.name}") as progress:
            row = sessions.settled(row, timeout, progress.say)
    except TimeoutError:
        raise CommandFailed(
            f"{row.name} does not run after {timeout:g} s; it goes on starting. Look at it with "
            f"`jupyter sessmgr list`, or end it with `jupyter sessmgr stop {row.name}`.",
            Exit.TIMEOUT,
        ) from None
    except KeyboardInterrupt:
        print_note(f"{row.name} goes on starting; `jupyter sessmgr stop {row.name}` ends it.")
        raise
    if row.is_final and not (batch and row.status == SessionStatus.TERMINATED):
        raise CommandFailed(row.info or f"{row.name} ended as {row.status} before it ran.")
    return row


def stop(options: argparse.Namespace) -> Exit:
    """End sessions; all are tried, even when one fails."""
    if bool(options.session) == options.all:
        raise CommandFailed("Name the sessions to stop, or say --all.", Exit.USAGE)
    with open_sessions(options) as sessions:
        if options.all:
            rows = [row for row in sessions.list(ended=False) if not row.is_final]
            if rows and not options.yes:
                confirm(f"Stop {len(rows)} session(s)? What they have in memory is lost.")
        else:
            rows = [sessions.get(reference) for reference in options.session]
        failed = _stop_each(sessions, rows, forced=options.forced)
    stopped = [row.name for row in rows if row.name not in failed]
    if options.json:
        print_json({"stopped": stopped, "failed": failed})
    else:
        for name in stopped:
            print_line(name)
    for name, reason in failed.items():
        print_note(f"{name}: {reason}")
    return Exit.FAILED if failed else Exit.OK


def _stop_each(sessions: Sessions, rows: list[Row], *, forced: bool) -> dict[str, str]:
    failed: dict[str, str] = {}
    with Progress("Stopping", total=len(rows)) as progress:
        for row in rows:
            progress.say(row.name)
            try:
                sessions.stop(row, forced=forced)
            except (SessmgrError, CommandFailed) as error:
                failed[row.name] = error.message
            progress.step()
    return failed


def logs(options: argparse.Namespace) -> Exit:
    """Show what a session wrote, and go on showing with ``--follow``."""
    with open_sessions(options) as sessions:
        row = sessions.get(options.session)
        text = sessions.logs(row)
        if options.json:
            print_json({"id": row.id, "name": row.name, "logs": text})
            return Exit.OK
        _write(text)
        while options.follow:
            time.sleep(FOLLOW_INTERVAL)
            row, before = sessions.get(row.id), text
            text = sessions.logs(row)
            _write(news(before, text))
            if row.is_final:
                print_note(f"{row.name} is {row.status}. {row.info}".rstrip())
                break
    return Exit.OK


def news(before: str, now: str) -> str:
    """Tell what `now` has that `before` had not; both are ends of one growing text.

    The longest end of `before` that is a beginning of `now` is old. Nothing in common: all new.
    """
    if now.startswith(before):
        return now[len(before) :]
    # Knuth, Morris and Pratt: `borders` of `now`, then `before` is read along them.
    borders = [0] * len(now)
    length = 0
    for place in range(1, len(now)):
        length = _extend(now, borders, length, now[place])
        borders[place] = length
    length = 0
    for char in before:
        length = _extend(now, borders, length if length < len(now) else borders[-1], char)
    return now[length:]


def _extend(text: str, borders: list[int], length: int, char: str) -> int:
    while length and text[length] != char:
        length = borders[length - 1]
    return length + 1 if text[length : length + 1] == char else 0


def _write(text: str) -> None:
    if text:
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding))
        sys.stdout.flush()
