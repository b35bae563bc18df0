"""Waiting for a condition with a deadline, instead of sleeping to hope."""

from __future__ import annotations

import asyncio
import inspect
import time


async def eventually(condition, timeout=10.0, interval=0.02, what=""):
    """Return the first truthy answer of `condition` (may be async); fail after `timeout` seconds.

    `what` is what was waited for, in words, or says it when it did not come.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            words = what() if callable(what) else what or inspect.getsource(condition)
            raise AssertionError(f"not within {timeout} s: {words}")
        await asyncio.sleep(interval)
