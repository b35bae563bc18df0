"""``jupyter sessmgr keypair``: who may sign requests. Works on the state folder; no server needed.

A server that runs on the folder sees what was changed at its next signed request.
"""

from __future__ import annotations

import argparse
import logging
import time

from traitlets.config import Config

from jupyter_sessmgr.cli.config import load_config
from jupyter_sessmgr.cli.failures import CommandFailed, Exit
from jupyter_sessmgr.cli.local import owner_of, state_folder
from jupyter_sessmgr.cli.output import age, print_json, print_line, print_note, print_table
from jupyter_sessmgr.manager.keypairs import KeyPair, KeyPairs


def add(options: argparse.Namespace) -> Exit:
    """Make a key pair, and print both halves of it."""
    config = load_config(options.traits)
    pair, secret = _pairs(config).add(options.owner or owner_of(config), admin=options.admin)
    if options.json:
        print_json({**_as_json(pair), "secret_key": secret})
        return Exit.OK
    print_line(f"access key: {pair.access_key}")
    print_line(f"secret key: {secret}")
    print_note(f"It signs for {pair.owner}. The secret key is not shown again; keep it safe.")
    return Exit.OK


def show(options: argparse.Namespace) -> Exit:
    """List the key pairs, without their secrets."""
    pairs = _pairs(load_config(options.traits)).read()
    if options.json:
        print_json([_as_json(pair) for pair in pairs])
    elif pairs:
        print_table(
            ("ACCESS KEY", "OWNER", "ADMIN", "AGE"),
            [
                (
                    pair.access_key,
                    pair.owner,
                    "yes" if pair.admin else "",
                    age(time.time() - pair.created_at),
                )
                for pair in pairs
            ],
        )
    else:
        print_note("No key pairs: requests with signatures are refused.")
    return Exit.OK


def remove(options: argparse.Namespace) -> Exit:
    """Remove a key pair; nothing that it signs is accepted any more."""
    if not _pairs(load_config(options.traits)).remove(options.key):
        raise CommandFailed(
            f"There is no key pair {options.key!r:.80}. `jupyter sessmgr keypair list` shows which "
            "there are.",
            Exit.NOT_FOUND,
        )
    if options.json:
        print_json({"access_key": options.key})
    else:
        print_note(f"{options.key} is removed. Sessions that it made go on.")
    return Exit.OK


def _pairs(config: Config) -> KeyPairs:
    return KeyPairs(state_folder(config).path, logging.getLogger(__name__))


def _as_json(pair: KeyPair) -> dict[str, object]:
    return {
        "access_key": pair.access_key,
        "owner": pair.owner,
        "admin": pair.admin,
        "created_at": pair.created_at,
    }
