"""P2: killed at random moments under load, again and again: nothing is lost, nothing left over."""

from __future__ import annotations

import asyncio

import pytest

from tests.plugins.storm import kill_at_random


@pytest.mark.parametrize(
    ("engine", "rounds", "longest"),
    [("process", 20, 1.0), pytest.param("docker", 3, 2.0, marks=pytest.mark.docker)],
)
async def test_P2_I1_I2_I3_I4_I6_I8_I9_killed_under_load(
    tmp_path, engine, rounds, longest, request
):
    if engine == "docker":
        request.getfixturevalue("reference_image")
    created, destroyed = await asyncio.to_thread(
        kill_at_random, tmp_path / "s", engine, rounds, longest=longest
    )
    assert created >= rounds, "there was no load"
    assert destroyed > 0
