"""The system's lists of listening sockets: asked for, and read where nobody answers."""

import contextlib
import os
import socket

import pytest

from jupyter_sessmgr.agent import listeners


@pytest.fixture
def listening():
    """Yield sockets that listen, by family and address, beside one that does not."""
    with contextlib.ExitStack() as stack:
        made = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))),
            stack.enter_context(socket.create_server(("", 0))),
        ]
        if socket.has_dualstack_ipv6():
            v6 = {"family": socket.AF_INET6}
            made.append(stack.enter_context(socket.create_server(("::1", 0), **v6)))
            made.append(stack.enter_context(socket.create_server(("::", 0), **v6)))
        client = stack.enter_context(socket.create_connection(made[0].getsockname()))
        yield made, client


def ports_of(made):
    return {one.getsockname()[1] for one in made}


def inode(one):
    return str(os.fstat(one.fileno()).st_ino)


def test_who_is_asked_says_what_the_lists_have(listening, monkeypatch):
    made, client = listening
    wanted = ports_of([*made, client])
    asked = listeners.tcp_listeners(wanted)
    monkeypatch.setattr(listeners, "_ask", refuse)
    assert listeners.tcp_listeners(wanted) == asked
    assert {number: port for number, (_, port) in asked.items()} == {
        inode(one): one.getsockname()[1] for one in made
    }
    assert asked[inode(made[0])][0] == listeners_of("127.0.0.1")


def listeners_of(host):
    from jupyter_sessmgr.agent.listening import _spelled

    return _spelled(host)


def refuse(_family):
    raise OSError("no such protocol")


def test_ports_that_nobody_asked_for_are_left_out(listening):
    made, _ = listening
    port = made[0].getsockname()[1]
    assert list(listeners.tcp_listeners({port})) == [inode(made[0])]
    made[0].close()
    assert listeners.tcp_listeners({port}) == {}


def said(*messages):
    """Make a socket that says these things when it is asked."""

    class Said:
        def __init__(self, *_):
            self.left = list(messages)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def settimeout(self, _seconds):
            return None

        def sendto(self, _words, _where):
            return None

        def recv(self, _most):
            return self.left.pop(0)

    return Said


@pytest.mark.parametrize(
    "words",
    [
        b"",
        listeners._HEAD.pack(16, listeners._NLMSG_ERROR, 0, 1, 0),
        listeners._HEAD.pack(3, 99, 0, 1, 0),
    ],
    ids=["nothing", "an error", "a size that cannot be"],
)
def test_a_system_that_does_not_answer_is_read(listening, monkeypatch, words):
    made, _ = listening
    wanted = ports_of(made)
    known = listeners.tcp_listeners(wanted)
    plain = socket.socket
    refuses = said(words, words)
    monkeypatch.setattr(
        listeners.socket,
        "socket",
        lambda family, *rest: refuses() if family == socket.AF_NETLINK else plain(family, *rest),
    )
    assert listeners.tcp_listeners(wanted) == known
