"""``jupyter sessmgr image build``: options in, progress and the image's id out."""

from __future__ import annotations

import argparse
import sys

from traitlets.config import Config

from jupyter_sessmgr.cli.config import load_config
from jupyter_sessmgr.cli.failures import Exit
from jupyter_sessmgr.cli.image import build_image
from jupyter_sessmgr.cli.output import Progress, print_json, print_line, print_note
from jupyter_sessmgr.model.images import REFERENCE_IMAGE


def build(options: argparse.Namespace) -> Exit:
    """Build an image of this package, unless it is up to date."""
    tag = options.tag or (
        REFERENCE_IMAGE if options.recipe == "python" else f"jupyter-sessmgr/{options.recipe}"
    )
    with Progress(f"Building {tag}") as progress:

        def tell(text: str, share: float | None) -> None:
            if sys.stderr.isatty():
                progress.say(f"{text} {share:.0%}" if share is not None and share < 1 else text)
            elif share is None:
                print_note(text)

        built = build_image(
            docker_host(load_config(options.traits)),
            tag,
            tell,
            recipe=options.recipe,
            base=options.base,
            again=options.again,
        )
    if options.json:
        print_json({"image": tag, "id": built, "built": bool(built)})
    else:
        print_line(tag)
        print_note(f"{tag} is built." if built else f"{tag} was up to date.")
    return Exit.OK


def docker_host(config: Config) -> str:
    """Take the engine's address from where the server takes it."""
    host = config.get("DockerEngine", {}).get("docker_host", "")
    return str(host) if host else ""
