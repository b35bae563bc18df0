"""What can be asked of the journal: answers of the recorder, passed on."""

from __future__ import annotations

import asyncio
import json

from .frames import Sink
from .refusals import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, Mapping

    from .frames import Frames
    from .premises import Premises
    from .recorder import Recorder

_MOST_ID = 256
_MOST_PATH = 4096
_MOST_PROMPT = 1000
#: Notes that are taken at once.
_MOST_NOTES = 64
#: Bytes of a page at most, a longer message aside.
_MOST_PAGE = 16 * 2**20
#: Bytes of a short answer, and the seconds it may take.
_MOST_ANSWER, _DEADLINE = 512 * 1024, 8.0
_PIECE = 64 * 1024
#: Milliseconds to wait: ten minutes.
_MOST_WAIT = 600_000


async def do(verb: str, args: Mapping[str, Any], recorder: Recorder) -> dict[str, Any]:
    """Do what needs no more than a short answer."""
    if verb == "journal_notes":
        recorder.note([_note(one) for one in _notes(args)])
        return {}
    question = {"ask": verb[len("journal_") :]}
    if verb == "journal_position":
        question["id"] = _word(args, "id", _MOST_ID)
    answer = await asyncio.wait_for(_read(recorder.ask(question)), _DEADLINE)
    told: dict[str, Any] = json.loads(answer.decode())
    return told


async def _read(peer: socket.socket) -> bytes:
    loop, answer = asyncio.get_running_loop(), bytearray()
    try:
        while len(answer) <= _MOST_ANSWER:
            data = await loop.sock_recv(peer, _PIECE)
            if not data:
                break
            answer += data
    finally:
        peer.close()
    return bytes(answer)


async def serve_read(args: Mapping[str, Any], frames: Frames, premises: Premises) -> None:
    """Send a page, as soon as there is something, or the time is over."""
    question = {
        "ask": "read",
        "since": _count(args, "since", 2**53),
        "most": _count(args, "most", _MOST_PAGE),
        "wait": _count(args, "wait", _MOST_WAIT) / 1000,
    }
    await _pass(premises.recorder.ask(question), frames)


async def serve_execution(args: Mapping[str, Any], frames: Frames, premises: Premises) -> None:
    """Send what there is of one request."""
    question = {
        "ask": "execution",
        "since": _count(args, "since", 2**53),
        "most": _count(args, "most", _MOST_PAGE),
        "id": _word(args, "id", _MOST_ID),
    }
    await _pass(premises.recorder.ask(question), frames)


class _Client(Sink):
    """Holds the recorder back while the client does not keep up."""

    def __init__(self) -> None:
        self.may_send = asyncio.Event()
        self.may_send.set()

    def pause(self) -> None:
        self.may_send.clear()

    def resume(self) -> None:
        self.may_send.set()

    def lost(self) -> None:
        self.may_send.set()


async def _pass(peer: socket.socket, frames: Frames) -> None:
    """Pass an answer on; one whose client left is not waited for."""
    client = _Client()
    frames.open(client)
    passing = asyncio.ensure_future(_pass_all(peer, frames, client))
    try:
        await asyncio.wait({passing, frames.gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        passing.cancel()
        await asyncio.gather(passing, return_exceptions=True)
        peer.close()


async def _pass_all(peer: socket.socket, frames: Frames, client: _Client) -> None:
    loop = asyncio.get_running_loop()
    while True:
        data = await loop.sock_recv(peer, _PIECE)
        if not data:
            break
        await client.may_send.wait()
        frames.send(data)
    frames.end()


def _notes(args: Mapping[str, Any]) -> list[Any]:
    notes = args.get("notes")
    if not isinstance(notes, list) or len(notes) > _MOST_NOTES:
        raise Invalid("notes: no list, or too long")
    return notes


def _note(one: Any) -> tuple[Any, ...]:
    """Check what is to be noted of a request; returns of which kind that is, and what."""
    if not isinstance(one, dict) or one.get("kind") not in ("note", "asks"):
        raise Invalid("notes: not a note")
    kind, request = one["kind"], _word(one, "id", _MOST_ID)
    if kind == "asks":
        return kind, request, _question(one.get("asks"))
    cell = _word(one, "cell", _MOST_ID) if one.get("cell") is not None else None
    path = _word(one, "path", _MOST_PATH) if one.get("path") is not None else None
    return kind, request, cell, path


def _question(asks: Any) -> dict[str, Any] | None:
    if asks is None:
        return None
    if not isinstance(asks, dict) or not isinstance(asks.get("prompt"), str):
        raise Invalid("asks: not a question")
    return {"prompt": asks["prompt"][:_MOST_PROMPT], "password": asks.get("password") is True}


def _count(args: Mapping[str, Any], name: str, highest: int) -> int:
    value = args.get(name)
    if type(value) is not int or value < 0:
        raise Invalid("%s: not a number, or negative" % name)
    return min(value, highest)


def _word(args: Mapping[str, Any], name: str, longest: int) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise Invalid("%s: missing, or too long" % name)
    return value
