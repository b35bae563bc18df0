"""Start one session to try it, run a line in it, and leave nothing behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import cast

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo
from traitlets.config import Config

from jupyter_sessmgr.cli.check.findings import Finding
from jupyter_sessmgr.cli.private import private_manager
from jupyter_sessmgr.manager.owners import server_owner
from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.model.requests import CreateRequest, Health

#: Seconds that the start may take, and the line.
START_TIMEOUT, EXECUTE_TIMEOUT = 90.0, 30.0
_CODE, _EXPECTED = "print(6 * 7)", "42"


def look_at_engine(config: Config, *, smoke: bool) -> Iterator[Finding]:
    """Check the engine, its images, and that a session runs.

    A private manager does it, with a folder of its own that is removed: the real state folder,
    whoever holds it, is not touched.
    """
    yield from asyncio.run(_look(config, smoke=smoke))


async def _look(config: Config, *, smoke: bool) -> list[Finding]:
    findings: list[Finding] = []
    try:
        async with private_manager(config) as sessions:
            health = sessions.health()
            findings.extend(describe_engine(health))
            if not health.available:
                return findings
            findings.append(describe_offers(sessions))
            if smoke and sessions.offers:
                findings.append(await try_one(sessions))
    except SessmgrError as error:
        findings.append(Finding("fail", "engine", error.message))
    return findings


def describe_engine(health: Health) -> Iterator[Finding]:
    """Say which engine it is, why, and what it does not enforce."""
    why, *others = health.notes or ("",)
    if health.available:
        yield Finding("ok", "engine", f"{health.engine}. {why}".strip())
    else:
        yield Finding("fail", "engine", f"{health.engine or 'none'}: {health.reason}", why)
    for note in others:
        yield Finding("note", "engine", note)


def describe_offers(sessions: ComputeSessionManager) -> Finding:
    """Say what the launcher will show."""
    if sessions.offers:
        names = ", ".join(f"{one.display_name} ({one.preset.image})" for one in sessions.offers)
        return Finding("ok", "kernels", names)
    wanted = ", ".join(sorted(set(sessions.admission.image_patterns())))
    return Finding(
        "fail",
        "kernels",
        f"none can be started: no allowed image is here ({wanted})",
        "Build the reference image with `jupyter sessmgr image build`, or name yours in "
        "AdmissionControl.presets.",
    )


async def try_one(sessions: ComputeSessionManager) -> Finding:
    """Start a session, run a line, end it."""
    began = time.monotonic()
    preset = sessions.offers[0].preset.name
    request = CreateRequest(preset=preset, durable=False)
    session, _ = await sessions.create(request, server_owner())
    try:
        settled = await sessions.settled(session.id, START_TIMEOUT)
        if settled.status.is_final:
            return Finding("fail", "smoke start", settled.failure or "the session ended at once")
        said = await _run(sessions, session.id)
    except TimeoutError:
        return Finding(
            "fail",
            "smoke start",
            "the session did not start, or its kernel did not answer, in time",
            f"Its last lines: {(await sessions.logs(session.id))[-500:] or 'none'}",
        )
    finally:
        await sessions.destroy(session.id, forced=True)
    if said != _EXPECTED:
        return Finding("fail", "smoke start", f"{_CODE} answered {said!r:.100}")
    encrypted = "encrypted" if settled.encrypted else "not encrypted"
    took = time.monotonic() - began
    return Finding(
        "ok", "smoke start", f"{_CODE} answered {said} after {took:.1f} s ({encrypted}), removed"
    )


async def _run(sessions: ComputeSessionManager, session_id: str) -> str:
    """Run the line in the session's kernel and return what it printed."""
    client = AsyncKernelClient()
    info = sessions.connection_info(session_id)
    client.load_connection_info(cast("KernelConnectionInfo", info))
    client.start_channels()
    printed: list[str] = []

    def collect(message: dict[str, object]) -> None:
        content = message.get("content")
        if isinstance(content, dict) and "text" in content:
            printed.append(str(content["text"]))

    try:
        await asyncio.wait_for(client.wait_for_ready(timeout=EXECUTE_TIMEOUT), EXECUTE_TIMEOUT)
        await asyncio.wait_for(
            client.execute_interactive(_CODE, output_hook=collect, timeout=EXECUTE_TIMEOUT),
            EXECUTE_TIMEOUT,
        )
    except RuntimeError as error:  # what jupyter_client raises when no answer comes
        raise TimeoutError from error
    finally:
        client.stop_channels()
    return "".join(printed).strip()
