"""How much an owner, a group and the whole server may have at once: the settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from traitlets import Dict, Integer, TraitError, validate
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.manager.admission.groups import Group, find_group, read_group
from jupyter_sessmgr.manager.queue.order import MostRunning
from jupyter_sessmgr.store.quota import Ceiling, Quota
from jupyter_sessmgr.traits import ByteSize, Quantity


class QuotaSettings(LoggingConfigurable):
    """The half of admission that is about sums. None means: any number, everywhere here."""

    max_sessions_per_owner = Integer(
        20,
        allow_none=True,
        config=True,
        help="""How many live sessions one owner may have, waiting ones included. Raise it on big
        machines.""",
    )
    max_sessions = Integer(
        100,
        allow_none=True,
        config=True,
        help="""How many live sessions there may be in all, waiting ones included.""",
    )
    group_limits = Dict(
        config=True,
        help="""Groups by name, each a dictionary with any of: max_sessions, max_running,
        max_pending, total_cpu, total_mem, total_devices (of the whole group); max_cpu, max_mem,
        max_shmem, max_devices (of one session); allowed_images and presets (instead of the
        server's); owners (patterns of who may use it). Once there is one, a group that is not
        listed is refused; so list "default", the group of those who name none, as kernels picked
        in JupyterLab do.""",
    )
    max_running_per_owner = Integer(
        None,
        allow_none=True,
        config=True,
        help="""How many sessions of one owner may run at once; more of them wait. Set it where
        people should be able to queue work.""",
    )
    max_running = Integer(
        None,
        allow_none=True,
        config=True,
        help="""How many sessions may run at once in all; more of them wait.""",
    )
    max_pending_per_owner = Integer(
        None,
        allow_none=True,
        config=True,
        help="""How many sessions of one owner may be PENDING; more are told to come back (429).
        Every session is PENDING for a moment, so do not set it below the largest burst.""",
    )
    max_pending = Integer(
        1000,
        allow_none=True,
        config=True,
        help="""How many sessions may be PENDING in all: the length of the queue. More are told to
        come back (429).""",
    )
    max_cpu_per_owner = Quantity(
        None,
        allow_none=True,
        config=True,
        help="""Most processors of one owner's live sessions together. Sessions without a limit on
        processors count as none; set default_cpu when that matters.""",
    )
    max_mem_per_owner = ByteSize(
        None,
        allow_none=True,
        config=True,
        help="""Most memory of one owner's live sessions together.""",
    )
    max_devices_per_owner = Integer(
        None,
        allow_none=True,
        config=True,
        help="""Most devices, such as GPUs, of one owner's live sessions together.""",
    )
    total_cpu = Quantity(
        None,
        allow_none=True,
        config=True,
        help="""Most processors of all live sessions together. What the machine has is looked after
        by the queue; this is for promising less.""",
    )
    total_mem = ByteSize(
        None,
        allow_none=True,
        config=True,
        help="""Most memory of all live sessions together; see total_cpu.""",
    )
    total_devices = Integer(
        None,
        allow_none=True,
        config=True,
        help="""Most devices of all live sessions together; see total_cpu.""",
    )

    @validate("group_limits")
    def _check_group_limits(self, proposal: Any) -> Any:
        for name, values in proposal["value"].items():
            try:
                read_group(values)
            except (TypeError, ValueError) as error:
                raise TraitError(f"group_limits: {name!r}: {error}") from error
        return proposal["value"]

    def groups(self) -> Mapping[str, Group]:
        """Read what the admin said of groups, by name."""
        return {name: read_group(values) for name, values in self.group_limits.items()}

    def group_of(self, name: str, owner: str) -> Group:
        """Find the group that a request names.

        Raises
        ------
        InvalidRequest
            when there is none, or the owner may not use it: one answer for both.
        """
        return find_group(self.groups(), name, owner)

    def quota(self, group: Group) -> Quota:
        """Say what the store is to check when a session of this group is added."""
        return Quota(
            owner=Ceiling(
                sessions=self.max_sessions_per_owner,
                pending=self.max_pending_per_owner,
                cpu=decimal_or_none(self.max_cpu_per_owner),
                mem=self.max_mem_per_owner,
                devices=self.max_devices_per_owner,
            ),
            group=group.ceiling,
            server=Ceiling(
                sessions=self.max_sessions,
                pending=self.max_pending,
                cpu=decimal_or_none(self.total_cpu),
                mem=self.total_mem,
                devices=self.total_devices,
            ),
        )

    def most_running(self) -> MostRunning:
        """Say how many may run at once; the queue holds the others back."""
        groups = {name: group.max_running for name, group in self.groups().items()}
        return MostRunning(
            owner=self.max_running_per_owner,
            groups={name: most for name, most in groups.items() if most is not None},
            server=self.max_running,
        )


def decimal_or_none(number: float | None) -> Decimal | None:
    """Say how many processors a setting lets there be; None: any number, as `inf` is."""
    if number is None or math.isinf(number):
        return None
    # As people write it: "4", not "4.0".
    return Decimal(int(number)) if number == int(number) else Decimal(str(number))
