"""Takes back a session whose row was lost, from what its agent keeps of it."""

from __future__ import annotations

from dataclasses import replace

from jupyter_sessmgr.manager.loop.claims import is_unclaimed, read_claim
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.model.errors import AgentError, NameTaken
from jupyter_sessmgr.model.events import StatusChanged
from jupyter_sessmgr.model.naming import new_session_name
from jupyter_sessmgr.model.ports import AGENT
from jupyter_sessmgr.model.session import ComputeSession, Place
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.store.quota import UNLIMITED

#: Seconds to ask an agent whose session it carries.
ASK_TIMEOUT = 5.0


async def adopt(parts: Parts, place: Place) -> str:
    """Give a place that is provably ours, and runs, its session back.

    Called by the sweep for a place without a row: the store was emptied, damaged or is an old
    copy (FAULTS S5, P10). Returns "" when it was adopted, else why not.
    """
    seen = (await parts.engine.look([place])).get(place.id)
    endpoints = seen.endpoints if seen is not None else ()
    agent = next((one for one in endpoints if one.name == AGENT), None)
    if agent is None:
        return "the engine does not say where its agent is reached"
    if seen is not None and seen.paused and parts.engine.capabilities.suspend:
        await parts.engine.resume(place)  # it was suspended; nobody knows any more
    try:
        link = await parts.links.connect(place.id, agent, ASK_TIMEOUT)
        claimed = read_claim(link.hello.claim, parts.secrets)
    except (AgentError, ValueError) as error:
        await parts.links.drop(place.id)
        return f"its agent cannot be asked whose it is: {error}"
    known = parts.store.get(claimed.id)
    if known is not None or is_unclaimed(claimed, place.id):
        # A spare that nobody used; or its session ended, or lives elsewhere: a place that was
        # replaced never comes back (I9).
        await parts.links.drop(place.id)
        await parts.engine.stop(place, 0.0)
        return ""
    kernel = link.kernel
    session = replace(
        claimed,
        status=SessionStatus.RUNNING,
        status_info="adopted",
        generation=max(claimed.generation, kernel.generation),
        observed_generation=kernel.generation,
        encrypted=kernel.encrypted,
        language=kernel.language,
        place_id=place.id,
        endpoints=endpoints,
        started_at=claimed.created_at,
    )
    await _write(parts, session, replace(place, session_id=session.id))
    return ""


async def _write(parts: Parts, session: ComputeSession, place: Place) -> None:
    # No limit holds: what exists, exists.
    try:
        added = await parts.store.add(session, UNLIMITED)
    except NameTaken:
        added = await parts.store.add(replace(session, name=new_session_name()), UNLIMITED)
    saved = await parts.store.save_facts(replace(session, name=added.name, number=added.number))
    await parts.store.save_place(place)
    parts.bus.publish(StatusChanged(saved, None))
    parts.log.warning("Adopted session %s (%s), whose row was lost.", added.name, added.id)
