"""Busy and idle, as kernels tell them; and nonsense, as code in a session may."""

from __future__ import annotations

import pytest
from jupyter_client.session import Session

from jupyter_sessmgr.manager.use.kernelnews import KernelNews

KEY = b"k" * 32
TOPIC = b"kernel.1234.status"


@pytest.fixture
def news():
    return KernelNews(KEY)


def said(state, kind="execute_request", msg_id="m", session="theirs", topic=TOPIC):
    wire = Session(key=KEY)
    parent = {"msg_id": msg_id, "msg_type": kind, "session": session}
    message = wire.msg("status", {"execution_state": state}, parent={"header": parent})
    message["parent_header"] = parent
    return [topic, *wire.serialize(message)]


def own(news, state):
    return said(state, "kernel_info_request", "own", news._own)


def test_the_question_is_one_that_jupyter_understands(news):
    wire = Session(key=KEY)
    _, frames = wire.feed_identities(news.question())
    message = wire.deserialize(frames)
    assert message["msg_type"] == "kernel_info_request"
    assert message["header"]["session"] == news._own


def test_an_execution_is_use_and_makes_it_busy(news):
    assert news.busy is None
    assert news.take(said("busy"))
    assert news.busy is True
    assert news.take(said("idle"))
    assert news.busy is False


def test_our_own_question_is_no_use_but_tells_state_and_topic(news):
    assert not news.take(own(news, "busy"))
    assert not news.take(own(news, "idle"))
    assert news.busy is False
    assert news.topic == TOPIC


def test_the_end_of_what_began_before_does_not_say_that_nothing_else_runs(news):
    assert news.take(said("idle"))
    assert news.busy is None


def test_an_answer_on_the_control_channel_does_not_say_that_no_cell_runs(news):
    news.take(said("busy", "usage_request"))
    news.take(said("idle", "usage_request"))
    assert news.busy is None  # a cell may have begun before it was listened to
    news.take(own(news, "busy"))
    news.take(own(news, "idle"))
    assert news.busy is False


def test_two_executions_at_once_are_busy_until_both_ended(news):
    for word in (said("busy", msg_id="a"), said("busy", msg_id="b"), said("idle", msg_id="b")):
        news.take(word)
    assert news.busy is True
    news.take(said("idle", msg_id="a"))
    assert news.busy is False


def test_an_answer_on_shell_says_idle_even_when_an_idle_was_lost(news):
    news.take(said("busy"))
    news.answered()
    assert news.busy is False


def test_a_kernel_that_says_busy_for_ever_takes_no_memory(news):
    for number in range(5000):
        news.take(said("busy", msg_id=f"m{number}"))
    assert len(news._parents) <= 256


def test_asking_what_a_kernel_is_is_no_use(news):
    assert not news.take(said("busy", "kernel_info_request"))


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"<IDS|MSG>"],
        [b"t", b"<IDS|MSG>", b"s", b'"status"', b"{}", b"{}", b"{}"],
        [b"t", b"<IDS|MSG>", b"s", b'{"msg_type":"status"}', b"[]", b"{}", b"{}"],
        [b"t", b"<IDS|MSG>", b"s", b'{"msg_type":"status"}', b"[" * 100000, b"{}", b"{}"],
        [b"t", b"<IDS|MSG>", b"s", b'{"msg_type":"stream"}', b"{}", b"{}", b'{"a":"status"}'],
        [*said("busy"), b"x" * 2**16],
        [b"t", b"<IDS|MSG>", b"s", b'{"msg_type":"status"}\xff', b"{}", b"{}", b"{}"],
    ],
)
def test_F10_nonsense_changes_nothing(news, frames):
    assert not news.take(frames)
    assert news.busy is None
