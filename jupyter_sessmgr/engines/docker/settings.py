"""What the administrator says, checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_sessmgr.engines.docker.containers import Timeouts
from jupyter_sessmgr.model.errors import EngineError

_ORDINARY_USER = (1000, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the administrator says; see the traits of `DockerEngine`."""

    host: str
    reach: str
    #: None: judge.
    host_mounts: bool | None
    #: "" means the server's own, or 1000:1000 when that is root.
    user: tuple[int, int]
    #: The user was not chosen by the administrator.
    default_user: bool
    hardening: Mapping[str, Any]
    network_prefix: str
    firewall: str
    may_pull: bool
    timeouts: Timeouts
    pull_timeout: float


def read_settings(engine: Any) -> Settings:
    """Read the traits of a `DockerEngine`.

    Raises
    ------
    EngineError
        naming the trait that makes no sense.
    """
    hardening: dict[str, Any] = {
        "tmp_size": engine.tmp_size,
        "home_size": engine.home_size,
        "nofile": engine.nofile,
        "core_size": engine.core_size,
        "log_max_size": engine.log_max_size,
        "log_max_files": engine.log_max_files,
        "cap_add": tuple(engine.cap_add),
        "read_only_root": engine.read_only_root,
        "no_new_privileges": engine.no_new_privileges,
        "swap": engine.swap,
        "seccomp": engine.seccomp,
        "runtime": engine.runtime,
    }
    return Settings(
        host=engine.docker_host,
        reach=engine.reach,
        host_mounts={"yes": True, "no": False}.get(engine.host_mounts),
        user=_user(engine.user),
        default_user=not engine.user,
        hardening=_checked(hardening),
        network_prefix=engine.network_prefix,
        firewall=engine.firewall,
        may_pull=engine.pull != "never",
        timeouts=Timeouts(
            create=engine.create_timeout,
            start=engine.start_timeout,
            inspect=engine.inspect_timeout,
            remove=engine.create_timeout,
        ),
        pull_timeout=engine.pull_timeout,
    )


def _user(text: str) -> tuple[int, int]:
    if not text:
        return (os.getuid(), os.getgid()) if os.getuid() else _ORDINARY_USER
    uid, _, gid = text.partition(":")
    if not uid.isdecimal() or not (gid or "0").isdecimal():
        raise EngineError(
            f"DockerEngine.user is {text!r}; write numbers of a user and a group, as 1000:1000."
        )
    return int(uid), int(gid or uid)


def _checked(hardening: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what loosens the hardening, unless it would loosen all of it.

    Raises
    ------
    EngineError
        naming what cannot be had.
    """
    if any(cap.upper() in ("ALL", "CAP_ALL") for cap in hardening["cap_add"]):
        raise EngineError("DockerEngine.cap_add cannot be ALL: name the capabilities needed.")
    if hardening["seccomp"].strip() == "unconfined":
        raise EngineError("DockerEngine.seccomp cannot be unconfined: give a profile.")
    return hardening
