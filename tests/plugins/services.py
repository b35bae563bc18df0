"""Services for tests, defined by an admin or begun by hand, and who talks to them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from tests.plugins.managers import managed, run_code

#: Notes that it was started, says what it was given, and answers whoever comes with its name.
APP = r"""
import os, socket, sys, time
open("starts", "a").write("x")
print("arguments:", sys.argv[2:], flush=True)
print("environment:", open("/proc/self/environ").read().split("\0"), flush=True)
time.sleep(float(os.environ.get("SLOW", "0")))
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
while True:
    peer, _ = listener.accept()
    with peer:
        if peer.recv(3) == b"die":
            sys.exit("I was told to die")
        peer.sendall(b"app")
"""
WRITTEN = [{"action": "write_tempfile", "args": {"body": [APP]}, "ref": "program"}]
DEFINITIONS = {
    "app": {
        "prestart": WRITTEN,
        "command": ["{runtime_path}", "{program}", "{ports[0]}"],
        "allowed_arguments": ["--colour"],
        "allowed_envs": ["SLOW"],
        "timeout": 20,
    },
    "broken": {"command": ["{runtime_path}", "-c", "import sys; sys.exit('no <b>data</b> here')"]},
}


@asynccontextmanager
async def a_manager(state_dir, engine, **traits):
    async with managed(state_dir, engine, **traits) as manager:
        manager.services.definitions = DEFINITIONS
        yield manager


async def say(manager, session, port, words=b"hey"):
    """Say something to who listens inside; return the answer."""
    reader, writer = await manager.services.open_stream(session.id, port)
    try:
        writer.write(words)
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def listen_inside(manager, session, host, port, answer):
    """Have the kernel answer on a port, and go on."""
    code = f"""
import socket, threading
listener = socket.create_server(({host!r}, {port}), family=socket.{"AF_INET6" if ":" in host else "AF_INET"})
def serve(listener=listener):
    while True:
        peer, _ = listener.accept()
        with peer:
            peer.recv(3)
            peer.sendall({answer!r})
threading.Thread(target=serve, daemon=True).start()
"""
    reply, _ = await run_code(manager.connection_info(session.id), code)
    assert reply["status"] == "ok", reply
