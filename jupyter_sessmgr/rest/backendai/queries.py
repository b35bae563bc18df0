"""Answers the GraphQL queries by which stock clients list sessions. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.backendai import wire
from jupyter_sessmgr.rest.backendai.gql import Field
from jupyter_sessmgr.rest.backendai.known import Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A session as GraphQL sees it; the one container in it is another view of the same."""

    session: ComputeSession
    known: Known
    base_url: str


def select(fields: tuple[Field, ...], table: Mapping[str, Callable[[Any], Any]], of: Any) -> Any:
    """Take the fields that a query wants out of what there is, in the order of the query.

    Raises
    ------
    InvalidRequest
        for a field that there is not.
    """
    answer = {}
    for field in fields:
        if field.name not in table:
            raise InvalidRequest(f"query: there is no field {field.name:.60}.", field="query")
        value = table[field.name](of)
        answer[field.key] = _inside(field, value)
    return answer


def _inside(field: Field, value: Any) -> Any:
    """Go on below a field, where something is below it."""
    if isinstance(value, list) and value and isinstance(value[0], Node):
        return [select(field.fields, SESSION, node) for node in value]
    if isinstance(value, dict) and field.fields:
        return {inner.key: value.get(inner.name) for inner in field.fields}
    return value


def _slots(node: Node) -> str:
    """Write what a session occupies: as text, which clients parse."""
    amounts = wire.render_resources(node.session) if node.session.is_live else {}
    return json.dumps({slot: str(amounts[slot]) for slot in amounts if slot != "shmem"})


def _result(node: Node) -> str:
    session = node.session
    if session.spec.session_type != "batch" or not session.status.is_final:
        return "UNDEFINED"
    return "SUCCESS" if session.status is SessionStatus.TERMINATED else "FAILURE"


def _changed(node: Node) -> str:
    notes = node.session.history
    return wire.iso(notes[-1].at if notes else node.session.created_at)


def _stat(node: Node) -> str:
    return json.dumps(wire.stats_of(node.session))


def _stats(name: str) -> Callable[[Node], int]:
    return lambda node: wire.stats_of(node.session)[name]  # type: ignore[literal-required] # of Stats


def _nothing(_node: object) -> None:
    """Answer for what sessions do not have here."""


#: Fields of a session, and of its container, by the names of all generations of clients.
SESSION: Mapping[str, Callable[[Node], Any]] = {
    **dict.fromkeys(("id", "session_id", "main_kernel_id"), lambda node: node.session.id),
    **dict.fromkeys(("name", "sess_id", "session_name"), lambda node: node.session.name),
    **dict.fromkeys(
        ("type", "sess_type", "session_type"), lambda node: node.session.spec.session_type.upper()
    ),
    **dict.fromkeys(("image", "lang"), lambda node: node.session.spec.image),
    **dict.fromkeys(("role", "cluster_role"), lambda _: "main"),
    "cluster_idx": lambda _: 1,
    "cluster_hostname": lambda _: "main1",
    "cluster_mode": lambda _: "single-node",
    "cluster_size": lambda node: node.session.spec.cluster_size,
    "domain_name": lambda node: node.session.domain,
    "group_name": lambda node: node.session.group,
    "access_key": lambda node: node.session.owner,
    "tag": lambda node: node.session.tag,
    "status": lambda node: node.session.status.value,
    "status_info": lambda node: node.session.why,
    "status_changed": _changed,
    "created_at": lambda node: wire.iso(node.session.created_at),
    "terminated_at": lambda node: wire.moment(node.session.ended_at),
    "startup_command": lambda node: node.session.spec.startup_command,
    "result": _result,
    "resource_opts": lambda node: json.dumps({"shmem": str(node.session.spec.resources.shmem)}),
    "scaling_group": lambda _: "default",
    "service_ports": lambda node: json.dumps(
        wire.render_ports(node.session, node.base_url, node.known)
    ),
    "mounts": lambda node: [mount.name for mount in node.session.spec.mounts],
    **dict.fromkeys(("occupying_slots", "occupied_slots"), _slots),
    "containers": lambda node: [node],
    **dict.fromkeys(("dependencies", "dependents", "abusing_reports", "agent_ids"), lambda _: []),
    "num_queries": lambda node: node.session.queries,
    "cpu_using": lambda node: node.known.cpu_percent or 0,
    **dict.fromkeys(("live_stat", "last_stat"), _stat),
    **{
        name: _stats(name)
        for name in (
            "cpu_used",
            "mem_max_bytes",
            "mem_cur_bytes",
            "net_rx_bytes",
            "net_tx_bytes",
            "io_read_bytes",
            "io_write_bytes",
            "io_max_scratch_size",
            "io_cur_scratch_size",
        )
    },
    **dict.fromkeys(
        (
            "agent",
            "cluster_template",
            "created_user_email",
            "created_user_id",
            "group_id",
            "idle_checks",
            "registry",
            "scheduled_at",
            "starts_at",
            "status_data",
            "user_email",
            "user_id",
        ),
        _nothing,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. Of a key pair nothing secret is ever told."""

    owner: str
    access_key: str
    is_admin: bool


KEYPAIR: Mapping[str, Callable[[Caller], Any]] = {
    "access_key": lambda caller: caller.access_key,
    "user_id": lambda caller: caller.owner,
    "user_info": lambda caller: {"full_name": caller.owner, "email": caller.owner},
    "is_active": lambda _: True,
    "is_admin": lambda caller: caller.is_admin,
    **dict.fromkeys(
        (
            "bootstrap_script",
            "concurrency_used",
            "created_at",
            "dotfiles",
            "last_used",
            "modified_at",
            "projects",
            "rate_limit",
            "resource_policy",
            "secret_key",
            "ssh_private_key",
            "ssh_public_key",
        ),
        _nothing,
    ),
}
