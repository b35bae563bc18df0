"""The tests' own tools can fail."""

from __future__ import annotations

import pytest

from tests.plugins.waiting import eventually


async def test_eventually_fails_in_the_end():
    with pytest.raises(AssertionError, match="never true"):
        await eventually(lambda: False, timeout=0.05, what="never true")


async def test_async_tests_really_run():
    assert await eventually(lambda: True)
