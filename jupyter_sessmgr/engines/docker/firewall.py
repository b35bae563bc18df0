"""Packet filter rules: what sessions may not reach even where they reach the internet."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

#: Where clouds tell a machine its secrets (THREATS F3).
METADATA = "169.254.0.0/16"
_TIMEOUT = 10.0
_RESOLV = Path("/etc/resolv.conf")


def chain_of(bridge: str) -> str:
    """Make the name of the chain for one interface; at most 28 letters."""
    return f"sessmgr-{bridge}"


def make_rules(nameservers: Sequence[str]) -> list[list[str]]:
    """Make the rules of a chain that everything from a session's network passes. Pure.

    Answers to the server are not affected: they belong to connections that it began.
    """
    names = [
        ["-d", server, "-p", protocol, "--dport", "53", "-j", "RETURN"]
        for server in nameservers
        for protocol in ("udp", "tcp")
    ]
    to_host = ["-m", "addrtype", "--dst-type", "LOCAL"]
    begun = ["-m", "conntrack", "--ctstate", "NEW"]
    return [["-d", METADATA, "-j", "DROP"], *names, [*to_host, *begun, "-j", "DROP"]]


def advice(bridge: str) -> str:
    """Say what an administrator can do who must do it by hand."""
    return (
        f"iptables -I INPUT -i {bridge} -m conntrack --ctstate NEW -j DROP; "
        f"iptables -I DOCKER-USER -i {bridge} -d {METADATA} -j DROP"
    )


class Firewall:
    """Sets rules for the interfaces of our networks, where this server may.

    Owned by the engine. Rules live as long as their network, so they hold for sessions that
    outlive the server.

    Parameters
    ----------
    mode : str
        "off": never set rules.
    local : bool
        The engine's interfaces are on this machine.
    """

    def __init__(
        self,
        mode: str,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
        *,
        local: bool,
    ) -> None:
        self._log = log
        program = shutil.which("iptables", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        may = mode == "auto" and local and os.geteuid() == 0
        self._program = program if may else None
        #: Rules are set; False also once one could not be.
        self.active = self._program is not None

    async def shut(self, bridge: str) -> None:
        """Keep sessions behind an interface from the host and from metadata services."""
        if self.active:
            self.active = await asyncio.to_thread(self._shut, bridge)

    async def open(self, bridge: str) -> None:
        """Remove an interface's rules. Harmless when there are none."""
        if self._program is not None:
            await asyncio.to_thread(self._open, bridge)

    def _shut(self, bridge: str) -> bool:
        chain = chain_of(bridge)
        self._run("-N", chain)
        steps = [["-F", chain]]
        steps += [["-A", chain, *rule] for rule in make_rules(_nameservers())]
        done = all(self._run(*step) for step in steps)
        for parent in self._parents():
            jump = [parent, "-i", bridge, "-j", chain]
            done = done and (self._run("-C", *jump) or self._run("-I", *jump))
        if not done:
            self._log.warning(
                "The packet filter could not be set for sessions. By hand: %s", advice(bridge)
            )
        return done

    def _open(self, bridge: str) -> None:
        chain = chain_of(bridge)
        for parent in ("INPUT", "DOCKER-USER", "FORWARD"):
            self._run("-D", parent, "-i", bridge, "-j", chain)
        self._run("-F", chain)
        self._run("-X", chain)

    def _parents(self) -> tuple[str, str]:
        # Docker puts its own rules before ours in FORWARD, but keeps this chain for others.
        has_user_chain = self._run("-S", "DOCKER-USER")
        return ("INPUT", "DOCKER-USER" if has_user_chain else "FORWARD")

    def _run(self, *arguments: str) -> bool:
        try:
            ended = subprocess.run(  # noqa: S603 - our own arguments, no shell
                [str(self._program), "-w", "5", *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            self._log.debug("iptables %s: %s", arguments, error)
            return False
        return ended.returncode == 0


def _nameservers() -> list[str]:
    """List the name servers that this machine uses: one may run on it."""
    try:
        lines = _RESOLV.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    named = [line.split()[1] for line in lines if line.startswith("nameserver ")]
    return [server for server in named if _is_address(server)]


def _is_address(server: str) -> bool:
    try:
        return not ipaddress.IPv4Address(server).is_loopback
    except ValueError:
        return False
