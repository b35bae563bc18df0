"""What is believed of a spare's kernel that is told whose it is."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading

import pytest

from jupyter_sessmgr.agent import kernelspecs, personal
from jupyter_sessmgr.agent.personal import Personal
from jupyter_sessmgr.agent.refusals import Refused


def _plain(_, wanted):
    return wanted["workdir"] or "/", ""


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Give what tells a kernel, and the kernel's end."""
    # it looks at files, as an agent may, but no loop of this process
    monkeypatch.setattr(personal.launch, "working_folder", _plain)
    made = Personal({"home": str(tmp_path), "environ": {}})
    number = made.begin({"spare": True, "environ": {"A": "1"}}, kernelspecs._plain_python())
    with socket.socket(fileno=number) as end:
        yield made, end
    made.end()


def test_only_the_kernel_of_a_spare_is_told(tmp_path):
    made = Personal({"home": str(tmp_path)})
    assert made.begin({"spare": False}, kernelspecs._plain_python()) is None
    assert made.is_settled()
    assert not made.able


def test_it_can_be_told_from_when_it_says_so_until_it_hangs_up(told):
    made, end = told
    assert not made.able
    assert not made.is_settled()
    end.send(b"ready\n")
    assert made.is_settled()
    assert made.able
    end.close()
    assert not made.able
    assert made.is_settled()


def test_one_that_says_nothing_is_not_waited_for_long(told, monkeypatch):
    made, _ = told
    monkeypatch.setattr(personal, "DEADLINE", 0)
    made.is_settled()
    assert made.is_settled()
    assert not made.able


def kernel(end, answer):
    """Play the kernel: be ready, read the order, answer; returns the thread, and where it reads to."""
    end.send(b"ready\n")
    orders = []

    def play():
        with end.makefile("rb") as lines:
            orders.append(lines.readline())
        end.send(answer) if answer else end.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=play)
    thread.start()
    return thread, orders


def test_it_is_told_its_whole_environment_and_folder_once(told, tmp_path):
    made, end = told
    thread, orders = kernel(end, b'{"problem": ""}\n')
    asyncio.run(made.tell({"B": "2"}, str(tmp_path / "new")))
    thread.join()
    order = json.loads(orders[0])
    assert order["folder"] == str(tmp_path / "new")
    assert (order["environ"]["A"], order["environ"]["B"]) == ("1", "2")
    assert order["environ"]["JPY_PARENT_PID"] == str(os.getpid())
    with pytest.raises(Refused, match="cannot be told"):
        asyncio.run(made.tell({"B": "2"}, ""))


LIES = {
    b'{"problem": "no wish"}\n': "no wish",
    b"x\n": "no sense",
    b"[]\n": "no sense",
    b"{}\n": "no sense",
    b"\xff\n": "no sense",
    b"[" * 4096: "no sense",
    b"": "used, or ended",
}


@pytest.mark.parametrize("answer", LIES)
def test_what_it_objects_is_told_and_nonsense_is_no_consent(told, answer):
    made, end = told
    thread, _ = kernel(end, answer)
    with pytest.raises(Refused, match=LIES[answer]):
        asyncio.run(made.tell({}, ""))
    thread.join()
    assert not made.able


def test_one_that_does_not_answer_is_given_up(told, monkeypatch):
    made, end = told
    end.send(b"ready\n")
    assert made.able
    monkeypatch.setattr(personal, "DEADLINE", 0.05)
    with pytest.raises(Refused, match="does not answer"):
        asyncio.run(made.tell({}, ""))
