"""P2: killed at random moments under load, again and again: nothing is lost, nothing left over."""

from __future__ import annotations

import asyncio

import pytest

from tests.plugins.storm import kill_at_random


async def test_P2_I1_I2_I3_I4_I6_I8_I9_killed_under_load(tmp_path):
    await survive(tmp_path, "process", rounds=20, longest=1.0)


@pytest.mark.docker
async def test_P2_I1_I2_I3_I4_I6_I8_I9_containers_killed_under_load(tmp_path, reference_image):
    await survive(tmp_path, "docker", rounds=3, longest=2.0)


async def survive(tmp_path, engine, *, rounds, longest):
    """Kill it again and again; the program that is killed checks what has to hold."""
    created, destroyed = await asyncio.to_thread(
        kill_at_random, tmp_path / "s", engine, rounds, longest=longest
    )
    assert created >= rounds, "there was no load"
    assert destroyed > 0
