"""Journals of running agents and sessions, as tests read them."""

from __future__ import annotations

import asyncio
import json

from jupyter_client.asynchronous import AsyncKernelClient

from tests.plugins.agents import a_client, alive, descendants, is_recorder

BOUNDS = {"max_bytes": 32 * 2**20, "max_age": 0}


def kept(max_bytes=BOUNDS["max_bytes"], folder="journal"):
    """Order a journal for an agent: to be given as its ``journal``."""
    return lambda base: dict(BOUNDS, folder=str(base / folder), max_bytes=max_bytes)


async def read(link, since=0, *, wait=0.0, most=16 * 2**20, **more):
    """Read a page of an agent's journal: its foot and messages."""
    kind = "execution" if "id" in more else "journal"
    if kind == "journal":
        more["wait"] = int(wait * 1000)
    stream = await link.open_stream(kind, since=since, most=most, **more)
    try:
        text = await stream.reader.read(-1)
        stream.check_whole()
    finally:
        stream.transport.abort()
    *lines, foot = text.splitlines()
    return json.loads(foot), [json.loads(line) for line in lines]


async def until_said(link, text, since=0, *, timeout=30):
    """Read on from `since` until something was said; return all the text that was read."""
    said = ""
    async with asyncio.timeout(timeout):
        while text not in said:
            head, messages = await read(link, since, wait=5)
            said += "".join(one["message"]["content"].get("text", "") for one in messages)
            since = head["next"]
    return said


def recorder(agent):
    """Find the recorder below an agent; None when there is none."""
    found = descendants(agent.process.pid)
    return next((one for one in found if is_recorder(one) and alive(one)), None)


async def at_once(client: AsyncKernelClient):
    """Wait for nothing before the first execution."""


def hasty(agent, kernel=None):
    """Connect to a kernel without asking whether it is there."""
    return a_client(agent, kernel, ready=at_once)
