"""``jupyter sessmgr kernelspec install``: kernelspecs as files, for tools without a server."""

from __future__ import annotations

import argparse
import asyncio
import sys

from traitlets.config import Config

from jupyter_sessmgr.cli.config import load_config
from jupyter_sessmgr.cli.failures import CommandFailed, Exit
from jupyter_sessmgr.cli.output import print_json, print_line
from jupyter_sessmgr.cli.private import private_manager
from jupyter_sessmgr.model.presets import Offer
from jupyter_sessmgr.provisioning.kernelspecs import install_kernelspecs


def install(options: argparse.Namespace) -> Exit:
    """Write a kernelspec for everything that can be started here now."""
    offers = asyncio.run(_offers(load_config(options.traits)))
    prefix = sys.prefix if options.sys_prefix else options.prefix or None
    try:
        written = install_kernelspecs(offers, user=options.user, prefix=prefix)
    except OSError as error:
        raise CommandFailed(
            f"The kernelspecs cannot be written to {error.filename} ({error.strerror}). Add "
            "--user for yourself alone, or --sys-prefix for this Python environment."
        ) from error
    if options.json:
        specs = zip(offers, written, strict=True)
        print_json([{"name": one.kernel_name, "folder": folder} for one, folder in specs])
    else:
        for folder in written:
            print_line(folder)
    return Exit.OK


async def _offers(config: Config) -> tuple[Offer, ...]:
    async with private_manager(config) as sessions:
        health = sessions.health()
        if not sessions.offers:
            reason = health.reason or "no allowed image is here."
            raise CommandFailed(
                f"There is nothing to install: {reason} `jupyter sessmgr check` says more.",
                Exit.FAILED if health.available else Exit.UNAVAILABLE,
            )
        return sessions.offers
