"""Rows D4, D5 and P7 of FAULTS: a real server whose engine answers late, or never."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.plugins.faultproxy import FaultProxy

pytestmark = pytest.mark.docker
#: How often a second a session is asked for, and for how long.
RATE, SECONDS = 50, 2.0
#: Seconds after which a start that hangs is given up.
START_TIMEOUT = 3.0


@pytest.fixture(scope="module")
def proxy(docker_host):
    if not docker_host.startswith("unix://"):
        pytest.skip("the proxy stands before unix sockets only")
    made = FaultProxy(docker_host.removeprefix("unix://"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(proxy, module_servers, reference_image):
    """Give a server behind the proxy, and a session that runs already."""
    config = {
        "DockerEngine": {
            "docker_host": proxy.host,
            "create_timeout": 1.0,
            "start_timeout": START_TIMEOUT,
            "inspect_timeout": 3.0,
        },
        "SessionReconciler": {"sweep_interval": 1.0},
    }
    server = module_servers.start("docker", config=config)
    return server, server.create(name="calm")["sessionId"]


@contextmanager
def trouble(proxy, verb, mode):
    """Inject a fault; at the end nothing of it is left."""
    proxy.inject(verb, mode)
    try:
        yield
    finally:
        proxy.clear()
        proxy.cut()


def ends_well(server, name):
    """Wait until a session runs, in one container; then end it."""
    info = server.until(name, "RUNNING", "ERROR")
    assert info["status"] == "RUNNING", info
    kernel = info["sessionId"]
    assert server.execute(kernel, "print(6 * 7)") == "42\n"
    assert server.ask("DELETE", f"sessmgr/session/{name}").status_code == 204


def test_D4_of_a_slow_engine_the_post_waits_as_long_as_it_was_told(shared, proxy):
    server, calm = shared
    with trouble(proxy, "start", "hang"):
        started = proxy.count("start")
        made = server.create(name="slow", maxWaitSeconds=1)
        assert (made["status"], made["created"]) == ("TIMEOUT", True)
        until(lambda: proxy.count("start") > started)  # it is being started meanwhile
        assert server.info("slow")["status"] == "CREATING"
        assert server.execute(calm, "print(1)") == "1\n", "others are not affected"
        again = server.create(name="slow", maxWaitSeconds=1)
        assert (again["status"], again["created"]) == ("TIMEOUT", False)
        assert again["sessionId"] == made["sessionId"]
    ends_well(server, "slow")


def test_D4_an_engine_that_is_slow_in_everything_is_waited_for(shared, proxy):
    server, _ = shared
    with trouble(proxy, "*", "delay:0.5"):
        assert server.create(name="slow", maxWaitSeconds=30)["status"] == "RUNNING"
    ends_well(server, "slow")


def test_D4_a_post_waits_no_longer_for_an_engine_that_hangs_in_everything(shared, proxy):
    server, calm = shared
    with trouble(proxy, "*", "hang"):
        asked = proxy.count("image")
        reply = server.ask("POST", "sessmgr/session", json={"name": "none", "maxWaitSeconds": 1})
        assert (reply.status_code, reply.json()["retryable"]) == (503, True)
        assert "within 1 s, so nothing was made" in reply.json()["msg"]
        assert proxy.count("image") == asked + 1
        assert server.ask("GET", "sessmgr/session/none").status_code == 404
        assert server.info(calm)["status"] == "RUNNING"
        assert server.execute(calm, "print(1)") == "1\n"
        unavailable(server)
        reply = server.ask("POST", "sessmgr/session", json={"name": "none"})
        assert int(reply.headers["Retry-After"]) > 0
        assert "No session can be made now" in reply.json()["msg"]
    until(lambda: server.ask("POST", "sessmgr/session", json={"name": "none"}).status_code == 201)
    ends_well(server, "none")


@pytest.mark.parametrize("verb", ["create", "start"])
def test_D5_an_engine_that_hangs_costs_nothing_but_time(shared, proxy, verb):
    server, calm = shared
    with trouble(proxy, verb, "hang"):
        asked = proxy.count(verb)
        assert server.create(name="stuck", maxWaitSeconds=1)["status"] == "TIMEOUT"
        until(lambda: "took too long" in server.info("stuck")["statusInfo"])
        assert server.info("stuck")["status"] == "CREATING"
        assert proxy.count(verb) <= asked + 2, (
            "a call has its deadline, and is not made at once again"
        )
        assert server.info(calm)["status"] == "RUNNING"
        assert server.execute(calm, "print(1)") == "1\n"
    ends_well(server, "stuck")


def until(condition, timeout=30):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def unavailable(server):
    until(lambda: not server.ask("GET", "sessmgr/api/health").json()["available"])


def gets(server, session_id):
    """Ask for a session, so many times a second; return how long each took, the longest last."""
    took, next_one = [], time.perf_counter()
    for _ in range(int(RATE * SECONDS)):
        began = time.perf_counter()
        assert server.info(session_id)["status"] == "RUNNING"
        took.append(time.perf_counter() - began)
        next_one += 1 / RATE
        time.sleep(max(0.0, next_one - time.perf_counter()))
    return sorted(took)


def test_P7_the_api_does_not_wait_for_the_engine(shared, proxy):
    server, calm = shared
    alone = gets(server, calm)
    with ThreadPoolExecutor(2) as pool, trouble(proxy, "start", "hang"):
        before = proxy.count("start")
        started = [pool.submit(server.create, name=f"late-{n}") for n in range(2)]
        while proxy.count("start") < before + 2:
            time.sleep(0.02)
        during = gets(server, calm)
        assert not any(one.done() for one in started), "the engine had not answered all the while"
        # The 99th of 100; and a call that hung on the loop would hold one up until its deadline.
        assert during[-2] < max(10 * alone[-2], SECONDS / 2)
        assert during[-1] < 0.8 * START_TIMEOUT
    for n in range(2):
        made = started[n].result()
        assert made["status"] == "RUNNING", server.info(made["sessionId"])["statusInfo"]
        ends_well(server, f"late-{n}")
