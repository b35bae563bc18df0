"""Two Jupyter servers on one state folder: both use the same sessions; one takes over."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest
from websockets.sync.client import connect

from tests.plugins.server import DATABASE, Servers

#: Seconds in which a server has to see what the other one did, on a busy machine.
SOON = 30
LIMITS = {
    "IdleCuller": {"idle_timeout": 4.0, "check_interval": 0.2, "warning_before": 0.0},
    "AdmissionControl": {"group_limits": {"default": {}, "narrow": {"max_sessions": 3}}},
}


def soon(condition, timeout=SOON):
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < deadline, condition.__defaults__
        time.sleep(0.02)
    return answer


def start_two(servers, engine="process", config=None):
    """Start a server that leads, and one that follows it."""
    first = servers.start(engine, config=config)
    second = servers.start(engine, config=config, state_dir=first.state_dir)
    assert (first.is_leader, second.is_leader) == (True, False)
    return first, second


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Give two servers to all tests that end neither."""
    servers = Servers(tmp_path_factory.mktemp("servers"))
    try:
        yield start_two(servers, config=LIMITS)
    finally:
        servers.clean()


@pytest.fixture
def clean(two):
    """Leave no session behind."""
    yield two
    two[0].destroy_sessions()


def kernels(server):
    return {one["id"]: one["execution_state"] for one in server.ask("GET", "api/kernels").json()}


def generation(server, kernel):
    """Say which kernel of a session it is, as the leader wrote it down."""
    with closing(sqlite3.connect(server.state_dir / DATABASE)) as connection:
        query = "SELECT generation, observed_generation FROM sessions WHERE id = ?"
        wished, reached = connection.execute(query, (kernel,)).fetchone()
    return reached if wished == reached else None


def notes(server):
    return " ".join(server.ask("GET", "sessmgr/api/health").json()["notes"])


def test_both_make_list_use_and_end_the_same_sessions(clean):
    first, second = clean
    assert str(first.pid) in second.ask("GET", "sessmgr/api/health").json()["follows"]
    soon(lambda: str(second.pid) in notes(first))
    both = {server.create(name=f"of-{server.pid}")["sessionId"] for server in clean}
    for server in clean:
        soon(lambda one=server: {s["sessionId"] for s in one.sessions()} == both)
        again = server.create(name=f"of-{first.pid}")
        assert (again["created"], again["sessionId"] in both) == (False, True)
        specs = server.ask("GET", "api/kernelspecs").json()["kernelspecs"]
        assert [name for name in specs if name.startswith("sessmgr-")]
    for kernel in both:
        assert first.execute(kernel, "x = 41") == ""
        assert second.execute(kernel, "x + 1") == "42"
        assert second.ask("GET", f"sessmgr/session/{kernel}/logs").status_code == 200
        assert first.ask("PATCH", f"sessmgr/session/{kernel}").status_code == 204
        assert second.ask("PATCH", f"sessmgr/session/{kernel}").status_code == 204
        soon(lambda one=kernel: generation(first, one) == 3)
    assert second.ask("DELETE", f"sessmgr/session/of-{first.pid}").status_code == 204
    assert first.ask("DELETE", f"sessmgr/session/of-{second.pid}").status_code == 204
    for server in clean:
        soon(lambda one=server: one.sessions() == [] and not both & set(kernels(one)))


def test_the_kernel_of_one_is_interrupted_and_restarted_by_the_other(clean):
    first, second = clean
    kernel = first.create(name="kernel")["sessionId"]
    deaths = [server.log().count("died") for server in clean]
    with first.tab(kernel) as there, second.tab(kernel) as here, ThreadPoolExecutor() as pool:
        long = pool.submit(there.run, "x = 1\nimport time\ntime.sleep(600)")
        soon(lambda: kernels(second)[kernel] == "busy")
        assert second.ask("POST", f"api/kernels/{kernel}/interrupt").status_code == 204
        assert "KeyboardInterrupt" in long.result(SOON)
        assert here.run("x") == "1"
        for number, server in enumerate((second, first), start=2):
            reply = server.ask("POST", f"api/kernels/{kernel}/restart")
            assert reply.status_code == 200, reply.text
            assert here.run("'x' in dir()") == "False"
            assert there.run("x = 1") == ""
            # One restart is one kernel, and nobody's death.
            assert generation(first, kernel) == number
    assert [server.log().count("died") for server in clean] == deaths


def test_a_kernel_that_dies_is_started_again_once_and_told_by_both(clean):
    first, second = clean
    for server in clean:
        kernel = server.create(name=f"of-{server.pid}")["sessionId"]
        for one in clean:
            one.until_listed(kernel)
        with hearing(first) as there, hearing(second) as here:
            second.tell(kernel, "import os; os._exit(3)")
            for each in (there, here):
                each.until("kernel_died", kernel)
        soon(lambda kernel=kernel: generation(first, kernel) == 2)
        for one in clean:
            assert one.execute(kernel, "40 + 2") == "42"
        assert generation(first, kernel) == 2


def test_shut_down_by_the_one_that_follows_is_no_death(clean):
    first, second = clean
    kernel = first.create(name="shut-down")["sessionId"]
    for one in clean:
        one.until_listed(kernel)
    with hearing(first) as there, hearing(second) as here:
        assert second.ask("DELETE", f"api/kernels/{kernel}").status_code == 204
        for each in (there, here):
            assert "kernel_died" not in each.until("TERMINATED", kernel)
    soon(lambda: kernel not in kernels(first))
    assert first.info(kernel)["status"] == "TERMINATED"


def test_a_session_is_heard_from_its_start_to_its_end_by_both(clean):
    first, second = clean
    with hearing(first) as there, hearing(second) as here:
        made = [server.create(name=f"of-{server.pid}")["sessionId"] for server in clean]
        for server, session in zip((second, first), made, strict=True):
            assert server.ask("DELETE", f"sessmgr/session/{session}").status_code == 204
        for each in (there, here):
            for session in made:
                told = [one for one in each.until("TERMINATED", session) if one.isupper()]
                assert told == ["PENDING", "CREATING", "RUNNING", "TERMINATING", "TERMINATED"]


def test_T8_at_a_limit_exactly_one_of_two_servers_lets_one_in(clean):
    first, second = clean
    for number in range(2):
        first.create(name=f"there-{number}", group="narrow")
    with ThreadPoolExecutor(20) as pool:
        asked = [
            pool.submit(
                server.ask,
                "POST",
                "sessmgr/session",
                json={"name": f"from-{server.pid}-{number}", "group": "narrow"},
            )
            for number in range(10)
            for server in clean
        ]
        codes = [one.result().status_code for one in asked]
    assert sum(code in {200, 201} for code in codes) == 1, codes
    assert len(second.sessions()) == 3


def test_what_is_in_use_on_either_is_not_culled(clean):
    first, second = clean
    used = first.create(name="used-here", durable=False)["sessionId"]
    with second.tab(used) as here:
        assert here.run("1") == "1"
        idle = first.create(name="unused", durable=False)["sessionId"]
        assert first.execute(idle, "1") == "1"
        first.until(idle, "TERMINATED", timeout=SOON)
        assert first.info(used)["status"] == "RUNNING"
        assert here.run("2") == "2"


@pytest.mark.parametrize(
    ("engine", "signum"),
    [
        ("process", signal.SIGKILL),
        pytest.param("docker", signal.SIGTERM, marks=pytest.mark.docker),
    ],
)
def test_takes_over_and_nothing_is_lost_or_closed(servers, request, engine, signum):
    if engine == "docker":
        request.getfixturevalue("reference_image")
    first, second = start_two(servers, engine)
    kernel = first.create(name="kept-one")["sessionId"]
    passing = second.create(name="passing", durable=False)["sessionId"]
    notebook = {"path": "a.ipynb", "name": "a", "type": "notebook", "kernel": {"id": kernel}}
    with second.tab(kernel) as here:
        assert second.ask("POST", "api/sessions", json=notebook).status_code == 201
        assert here.run("x = 'kept'; import os; pid = os.getpid()") == ""
        first.process.send_signal(signum)
        first.process.wait(SOON)
        assert here.run("x, pid == os.getpid()") == "('kept', True)"
        soon(lambda: second.is_leader)
        assert here.run("x, pid == os.getpid()") == "('kept', True)"
        assert [one["kernel"]["id"] for one in second.ask("GET", "api/sessions").json()] == [kernel]
        for session in (kernel, passing):
            assert second.info(session)["status"] == "RUNNING"
        new = second.create(name="new-one")["sessionId"]
        assert second.execute(new, "1 + 1") == "2"
        assert second.ask("POST", f"api/kernels/{kernel}/restart").status_code == 200
        assert here.run("'x' in dir()") == "False"
    assert second.ask("DELETE", f"api/kernels/{kernel}").status_code == 204


def test_of_two_that_follow_one_takes_over_and_finishes_what_was_begun(servers):
    first, second = start_two(servers)
    third = servers.start(state_dir=first.state_dir)
    kernel = first.create(name="kernel")["sessionId"]
    with second.tab(kernel) as here, ThreadPoolExecutor() as pool:
        first.process.send_signal(signal.SIGSTOP)
        try:
            asked = [
                pool.submit(server.create, name=f"half-{server.pid}") for server in (second, third)
            ]
            assert here.run("1 + 1") == "2"
            soon(lambda: "kill -CONT" in notes(second))
            soon(lambda: len(third.sessions()) == 3)
            assert not any(one.done() for one in asked)
        finally:
            first.kill()
        soon(lambda: [second.is_leader, third.is_leader].count(True) == 1)
        made = [one.result(60)["sessionId"] for one in asked]
        for server in (second, third):
            assert [server.execute(one, "6 * 7") for one in made] == ["42", "42"]
        assert here.run("2 + 2") == "4"


@contextmanager
def hearing(server):
    """Listen to a server as its pages do."""
    url = f"ws{server.url.removeprefix('http')}api/events/subscribe"
    with connect(url, additional_headers={"Authorization": f"token {server.token}"}) as socket:
        yield Hearing(socket)


class Hearing:
    """Hears what a server tells browsers, as (status or kind of event, session)."""

    def __init__(self, socket):
        self._socket = socket
        self.heard = []

    def until(self, word, session):
        """Listen until this was said of a session."""
        deadline = time.monotonic() + SOON
        while (word, session) not in self.heard:
            event = json.loads(self._socket.recv(deadline - time.monotonic()))
            if "jupyter_sessmgr" in event["schema_id"]:
                kind = event["schema_id"].split("/")[-2]
                self.heard.append((event.get("status", kind), event.get("session_id")))
        return [one for one, whose in self.heard if whose == session]
