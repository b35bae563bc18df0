"""F10: whatever a session says in its agent's name, the server neither breaks nor believes it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import tempfile
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_sessmgr.manager.agents import words as agentwords
from jupyter_sessmgr.manager.agents.link import AgentLink, KernelState
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.model.errors import AgentError, AgentUnavailable
from jupyter_sessmgr.model.usage import Usage
from tests.plugins.agents import a_liar

SECRETS = InstallationSecrets(bytes(32), "0123456789")
PLACE = "0123456789abcdef0123"
KERNEL = {
    "generation": 1,
    "name": "python3",
    "state": "exited",
    "pid": None,
    "encrypted": True,
    "language": "python",
    "interrupt_mode": "signal",
    "exit": {"code": -9, "oom": True, "reason": "It ended.", "tail": "last\n"},
    "error": "",
    "warning": "",
}
SPEC = {"display_name": "P", "language": "p", "argv": ["p"], "metadata": {}, "interrupt_mode": "s"}
HELLO = {
    "protocol": 1,
    "instance": "00",
    "place_id": PLACE,
    "claim": "c",
    "python": "3.11.2",
    "pid": 1,
    "kernel": KERNEL,
    "kernelspecs": {"python3": SPEC},
}
USAGE = {field.name: 1 for field in fields(Usage)}

texts = st.text(max_size=20) | st.sampled_from(["\0", "\ud800", "x" * 70_000, "\N{BOM}"])
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | texts
    | st.sampled_from([2**63, -1, 1e400, 10**4000])
)
values = st.recursive(
    scalars,
    lambda deeper: st.lists(deeper, max_size=4) | st.dictionaries(texts, deeper, max_size=4),
    max_leaves=8,
)


def paths(value, before=()):
    """List where something stands in a message."""
    yield before
    for key in value if isinstance(value, dict) else ():
        yield from paths(value[key], (*before, key))


@st.composite
def spoiled(draw, message):
    """Change or remove one part of a message that makes sense."""
    spot = draw(st.sampled_from(list(paths(message))))
    if not spot:
        return draw(values)
    copy = json.loads(json.dumps(message))
    inner = copy
    for key in spot[:-1]:
        inner = inner[key]
    if draw(st.booleans()):
        inner[spot[-1]] = draw(values)
    else:
        del inner[spot[-1]]
    return copy


def as_line(value):
    return json.dumps(value).encode() + b"\n"


PUSH = {"event": "kernel", "kernel": KERNEL}
ANSWERS = [
    {"id": 1, "result": USAGE},
    {"id": 1, "result": {"kernel": KERNEL}},
    {"id": 1, "result": {"text": "x"}},
    {"id": 1, "error": {"kind": "failed", "message": "no"}},
]
junk_lines = (
    st.binary(max_size=200).map(lambda data: data + b"\n")
    | values.map(as_line)
    | spoiled(PUSH).map(as_line)
    | st.sampled_from([PUSH, *ANSWERS]).map(as_line)
    | st.sampled_from(ANSWERS).flatmap(spoiled).map(as_line)
    | st.sampled_from(
        [b"[" * 100_000 + b"\n", b"9" * 10_000 + b"\n", b"x" * (agentwords.MAX_LINE + 10), b"\n"]
    )
)
FUZZ = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow], database=None
)


@contextlib.contextmanager
def no_complaints():
    """Fail when anything is logged as a warning or worse, or an exception is nobody's."""
    records = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
    assert [record.getMessage() for record in records] == []


def converse(speak, attempt):
    """Let a liar `speak(reader, writer)` while `attempt(endpoint)` is made; return what came of it."""

    async def lies(reader, writer):
        await speak(reader, writer)
        await writer.drain()
        while await reader.read(65536):
            pass

    async def conversation():
        unexpected = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: unexpected.append(context))
        with tempfile.TemporaryDirectory(prefix="sm-") as folder:
            async with asyncio.timeout(20), a_liar(Path(folder), SECRETS, PLACE, lies) as endpoint:
                outcome = await attempt(endpoint)
        assert unexpected == []
        return outcome

    with no_complaints():
        return asyncio.run(conversation())


def talk(lines, ask):
    """Let a liar say `lines` to a link, and do `ask(link)` meanwhile; return what came of it."""

    async def speak(reader, writer):
        await reader.readuntil(b"\n")
        for line in lines:
            writer.write(line)

    # who greets as it should is waited for, also on a slow machine
    patience = 10 if lines[:1] == [GOOD] else 0.3
    return converse(speak, lambda endpoint: attempt(endpoint, ask, patience))


async def attempt(endpoint, ask, timeout):
    try:
        link = await AgentLink.connect(endpoint, place_id=PLACE, secrets=SECRETS, timeout=timeout)
    except AgentUnavailable as error:
        return error
    heard = []
    link.on_kernel(heard.append)
    try:
        outcome = await ask(link)
    except AgentError as error:
        outcome = error
    finally:
        await link.close()
    for kernel in (link.kernel, *heard):
        believable(kernel)
    return outcome


def believable(kernel):
    """Check that a kernel's state is of the types and within the ranges that are promised."""
    assert isinstance(kernel, KernelState)
    assert 0 <= kernel.generation < 2**63
    assert kernel.state in {"none", "starting", "bound", "exited", "failed"}
    ended = kernel.exit
    words = [kernel.name, kernel.language, kernel.error, kernel.warning]
    if ended is not None:
        assert ended.code is None or -256 < ended.code < 256
        words += [ended.reason, ended.tail]
        assert len(ended.tail) <= 4096
    for word in words:
        assert "\0" not in word
        assert len(word.encode()) < 64 * 1024, "a lone surrogate would not be encoded at all"


@given(spoiled({"ok": True, "hello": HELLO}).map(as_line) | junk_lines)
@FUZZ
def test_F10_a_spoiled_greeting(line):
    async def ask(link):
        return link.hello

    talk([line], ask)


@given(st.lists(junk_lines, min_size=1, max_size=6))
@FUZZ
def test_F10_junk_after_the_greeting(lines):
    async def ask(link):
        answers = [
            await asyncio.gather(
                link.usage(timeout=0.2), link.logs(timeout=0.2), return_exceptions=True
            )
        ]
        for answer in answers[0]:
            assert isinstance(answer, Usage | str | AgentError), answer
        return answers

    talk([as_line({"ok": True, "hello": HELLO}), *lines], ask)


@given(st.sampled_from([KERNEL, HELLO, USAGE]).flatmap(spoiled))
@settings(max_examples=500, deadline=None)
def test_F10_every_reader_refuses_or_believes_and_nothing_else(value):
    for read in (agentwords.read_kernel, agentwords.read_usage, agentwords.read_error):
        with contextlib.suppress(agentwords.Junk):
            read(value)


@given(st.binary(max_size=300) | values.map(as_line))
def test_F10_a_line_is_an_object_or_refused(line):
    with contextlib.suppress(agentwords.Junk):
        assert isinstance(agentwords.read_line(line), dict)


GOOD = as_line({"ok": True, "hello": HELLO})


def test_F10_what_makes_sense_is_believed():
    async def ask(link):
        return await link.usage()

    assert talk([GOOD, as_line(ANSWERS[0])], ask) == Usage(**USAGE)


@pytest.mark.parametrize(
    "line",
    [
        b"{\n",
        as_line({"id": 2, "result": {}}),
        as_line({"id": True, "result": {}}),
        as_line({"result": {}}),
        as_line({**PUSH, "kernel": {**KERNEL, "generation": -1}}),
        as_line({"id": 1, "result": {**USAGE, "pids": 2**63}}),
        as_line({"id": 1, "result": {**USAGE, "cpu_ms": 1.5}}),
        as_line({"id": 1, "error": "no"}),
        b"x" * (agentwords.MAX_LINE + 10) + b"\n",
    ],
    ids=lambda line: line[:40].decode(),
)
def test_F10_nonsense_closes_the_link(line):
    async def ask(link):
        with pytest.raises(AgentError, match="makes no sense") as caught:
            await link.usage(timeout=5)
        assert not isinstance(caught.value, AgentUnavailable)
        await asyncio.wait_for(link.closed.wait(), 5)
        with pytest.raises(AgentError, match="makes no sense"):
            await link.ping()
        return "asked"

    assert talk([GOOD, line], ask) == "asked"


@pytest.mark.parametrize("change", [{"place_id": "another"}, {"protocol": 2}])
def test_F10_another_places_greeting_is_refused(change):
    async def ask(link):
        raise AssertionError("not to be asked")

    outcome = talk([as_line({"ok": True, "hello": {**HELLO, **change}})], ask)
    assert "not this session's agent" in outcome.message


def test_F10_an_agent_that_never_answers_is_left_in_time():
    async def ask(link):
        await link.ping(timeout=0.2)

    assert "did not answer within 0.2 s" in talk([GOOD], ask).message
    assert "takes too long" in talk([], ask).message


def test_F10_a_flood_of_news_does_not_hold_the_loop():
    """Ten thousand changes are taken one by one, with everybody else in between."""
    news = [
        as_line({**PUSH, "kernel": {**KERNEL, "generation": number}}) for number in range(1, 10_000)
    ]

    async def ask(link):
        turns = 0
        async with asyncio.timeout(15):
            while link.kernel.generation < len(news):
                turns += 1
                await asyncio.sleep(0)
        return turns

    assert talk([GOOD, b"".join(news)], ask) > 1000
