"""A server that is asked to stop hears it, whatever it does at that moment."""

import asyncio
import io
import signal
import subprocess
import sys

import pytest

from jupyter_sessmgr.provisioning.stopping import stop_in_turn


class Terminal(io.RawIOBase):
    """Where the log goes; its server is asked to stop while the first line is being written."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def writable(self):
        return True

    def write(self, line):
        self.lines.append(bytes(line))
        if len(self.lines) == 1:
            signal.raise_signal(signal.SIGTERM)
        return len(line)


class Server:
    """Stops as jupyter_server does: it says so in its log first."""

    def __init__(self):
        self.terminal = Terminal()
        self.log = io.BufferedWriter(self.terminal)
        self.stopped = asyncio.Event()

    def say(self, line):
        self.log.write(line)
        self.log.flush()

    def _signal_stop(self, signum, _frame):
        self.say(b"received signal %d" % signum)
        self.stopped.set()


@pytest.fixture
def before():
    """Put back what handles SIGTERM."""
    handler = signal.getsignal(signal.SIGTERM)
    yield handler
    signal.signal(signal.SIGTERM, handler)


async def test_a_server_that_is_asked_to_stop_while_it_writes_its_log_stops(before):
    server = Server()
    signal.signal(signal.SIGTERM, server._signal_stop)
    stop_in_turn(server)
    server.say(b"a line")
    await asyncio.wait_for(server.stopped.wait(), 10)
    assert server.terminal.lines == [b"a line", b"received signal 15"]


async def test_what_others_do_at_a_signal_stays(before):
    stop_in_turn(Server())
    stop_in_turn(None)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_request_that_was_not_answered_whole_keeps_no_process():
    script = """
import asyncio
from anyio.to_thread import run_sync
from jupyter_sessmgr.provisioning.stopping import end_workers_at_exit

async def answer():
    await run_sync(int)
    loop.stop()
    await asyncio.Event().wait()

end_workers_at_exit()
loop = asyncio.new_event_loop()
task = loop.create_task(answer())
loop.run_forever()
print("stopped", flush=True)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, timeout=30
    )
    assert ended.stdout == b"stopped\n"
