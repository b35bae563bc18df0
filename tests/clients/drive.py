"""Drives a stock client through a session's life; prints what each step gave, as JSON.

Run by a client's own Python. Knows both of their interfaces: `Kernel` up to 19.9, and
`ComputeSession` after it.
"""

import asyncio
import json
import sys
from pathlib import Path

from ai.backend.client.exceptions import BackendAPIError
from ai.backend.client.session import AsyncSession, Session

IMAGE, NAME = sys.argv[1:]
steps = {}


def step(function):
    """Run a step now; an answer that the client takes for an error is a result, too."""
    try:
        result = function()
    except BackendAPIError as error:
        result = {"error": error.status, "data": error.data}
    except Exception as error:  # noqa: BLE001 - one broken step is to fail one test
        result = {"broken": repr(error)}
    steps[function.__name__] = result
    return function


def sessions(session):
    return session.Kernel if hasattr(session, "Kernel") else session.ComputeSession


def get_or_create(session, **kwargs):
    kwargs["client_token" if hasattr(session, "Kernel") else "name"] = NAME
    made = sessions(session).get_or_create(IMAGE, **kwargs)
    return made, {
        "created": made.created,
        "status": made.status,
        "ports": [port["name"] for port in made.service_ports],
    }


def run(mine, code):
    """Run code to its end, as the client's own command line does."""
    mode, run_id, console = "query", None, []
    while True:
        result = mine.execute(run_id, code, mode=mode)
        run_id = result["runId"]
        console += result["console"]
        if result["status"] == "finished":
            return {"console": console, "exitCode": result["exitCode"]}
        mode, code = ("input", "Ada") if result["status"] == "waiting-input" else ("continue", "")


async def stream(code):
    """Run code over a websocket."""
    console = []
    async with AsyncSession() as session:
        made = sessions(session)(NAME)
        async with made.stream_execute(code) as socket:
            async for message in socket:
                result = json.loads(message.data)
                console += result.get("console") or []
                if result["status"] == "waiting-input":
                    await socket.send_str("Bob")
                if result["status"] == "finished":
                    break
    return {"console": console, "exitCode": result["exitCode"]}


async def end_and_listen():
    """Destroy the session, hearing of it."""
    heard = []
    async with AsyncSession() as session:
        made = sessions(session)(NAME)
        async with made.stream_events() as stream:
            ending = asyncio.ensure_future(made.destroy())
            async for event in stream.fetch_events():
                heard.append(event["event"] if isinstance(event, dict) else event.event)
                if heard[-1] == "session_terminated":
                    break
            stats = await ending
    return {**stats, "heard": heard}


with Session() as session:
    mine = None

    @step
    def create():
        global mine
        mine, told = get_or_create(session)
        return told

    @step
    def reuse():
        return get_or_create(session)[1]

    @step
    def conflict():
        return get_or_create(session, no_reuse=True)[1]

    @step
    def info():
        return mine.get_info()

    @step
    def execute():
        return run(
            mine, "import os, sys\nx = 41\nprint('out')\nprint('err', file=sys.stderr)\nx + 1"
        )

    @step
    def execute_input():
        return run(mine, "print('hello', input('who? '))")

    @step
    def execute_error():
        return run(mine, "1 / 0")

    @step
    def execute_stream():
        return asyncio.run(stream("print('again', x, input())"))

    @step
    def complete():
        for _ in range(5):
            reply = mine.complete("prin")
            if reply["result"]["status"] != "busy":  # it loads what it needs for the first one
                break
        return reply

    @step
    def upload():
        Path("deep/er").mkdir(parents=True)
        Path("deep/er/one.txt").write_text("first")
        Path("two.bin").write_bytes(bytes(range(256)) * 1000)
        return mine.upload(["deep/er/one.txt", "two.bin"]).status

    @step
    def list_files():
        return mine.list_files(".")

    @step
    def seen_inside():
        return run(mine, "print(open('deep/er/one.txt').read(), len(open('two.bin','rb').read()))")

    @step
    def download():
        Path("back").mkdir()
        mine.download(["deep/er/one.txt", "two.bin"], dest="back")
        return sorted(
            [path.name, path.stat().st_size] for path in Path("back").rglob("*") if path.is_file()
        )

    @step
    def restart():
        return mine.restart()

    @step
    def execute_after_restart():
        return run(mine, "print('x' in globals(), open('deep/er/one.txt').read())")

    @step
    def logs():
        return mine.get_logs()

    @step
    def listed():
        query = "query { compute_session_list(limit: 10, offset: 0) { items { %s } total_count } }"
        fields = "sess_id status image" if hasattr(session, "Kernel") else "name status image"
        return session.Admin.query(query % fields)

    @step
    def destroy():
        return asyncio.run(end_and_listen())

    @step
    def destroy_again():
        return mine.destroy()


print(json.dumps(steps))
