"""S4, the manager's part: rows of a damaged database are rebuilt from what sessions carry."""

from __future__ import annotations

import pytest

from tests.faults.test_S5_lost_database import flipped_page, half, short_text, text, zeroed_header
from tests.plugins.managers import managed, places, run_code, running

DAMAGES = (half, zeroed_header, flipped_page, text, short_text)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda one: one.__name__)
async def test_S4_I1_I2_a_damaged_database_costs_no_process_that_runs(tmp_path, damage):
    await survive(tmp_path, "process", damage)


@pytest.mark.docker
async def test_S4_I1_I2_a_damaged_database_costs_no_container(tmp_path, reference_image):
    await survive(tmp_path, "docker", half)


async def survive(tmp_path, engine, damage):
    """Damage the database of a session that runs: it is there as it was, and this is told."""
    state = tmp_path / "s"
    async with managed(state, engine, keep=True) as manager:
        before = await running(manager, name="precious", environ={"A": "b" * 9000})
        await run_code(manager.connection_info(before.id), "x = 41")
        await manager.restart(before.id, 60)
        await run_code(manager.connection_info(before.id), "x = 42")
        kept = await places(manager)
    file = state / "sessions.db"
    file.write_bytes(damage(file.read_bytes()))
    async with managed(state, engine) as manager:
        # Without any wait: whoever asks first finds it.
        after = manager.find("precious", "me")
        assert (after.id, after.place_id, after.spec) == (before.id, before.place_id, before.spec)
        assert dict.fromkeys(await places(manager), True) == kept
        _, written = await run_code(manager.connection_info(after.id), "print(x)")
        assert written == "42\n"
        (copy,) = state.glob("sessions.db.corrupt-*Z")
        assert any(str(copy) in note for note in manager.health().notes)
        restarted = await manager.restart(after.id, 60)
        assert restarted.observed_generation == 3
        reply, _ = await run_code(manager.connection_info(after.id), "x")
        assert reply["ename"] == "NameError"
