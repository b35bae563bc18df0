"""The entry of ``jupyter sessmgr``: words in, exit code out, never a traceback.

argparse and not traitlets' applications: commands have positional arguments, repeated options
(``--env``) and subcommands of subcommands, which those cannot say. Configuration is still
Jupyter's own: its files are read, and ``--Class.trait=value`` works.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from jupyter_sessmgr._version import __version__
from jupyter_sessmgr.cli.arguments import make_parser
from jupyter_sessmgr.cli.config import is_trait_option
from jupyter_sessmgr.cli.failures import CommandFailed, Exit, exit_code
from jupyter_sessmgr.cli.output import print_note
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.model.platforms import refusal


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the console script ``jupyter-sessmgr`` calls this.

    Returns
    -------
    int
        One of `Exit`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return int(_run(_parse(words)))
    except CommandFailed as error:
        print_note(f"jupyter sessmgr: {error.message}")
        return int(error.code)
    except SessmgrError as error:
        print_note(f"jupyter sessmgr: {error.message}")
        return int(exit_code(error))
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:
        # The reader (such as `head`) has had enough. Python would complain once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.OK)
    except Exception as error:  # noqa: BLE001 - the last line of defence: people get a sentence
        return _unexpected(error)


def _parse(words: list[str]) -> argparse.Namespace:
    parser = make_parser(__version__)
    traits = [word for word in words if is_trait_option(word)]
    options = parser.parse_args([word for word in words if word not in traits])
    options.traits = traits
    return options


def _run(options: argparse.Namespace) -> Exit:
    if words := refusal(sys.platform):
        raise CommandFailed(words)
    run: Exit = options.run(options)
    sys.stdout.flush()
    return run


def _unexpected(error: Exception) -> int:
    """Say that this is our mistake; the traceback is there for who asks."""
    if os.environ.get("SESSMGR_DEBUG"):
        raise error
    print_note(
        f"jupyter sessmgr: unexpected {type(error).__name__}: {str(error)[:300]}. This is a "
        "mistake in the program; SESSMGR_DEBUG=1 shows where."
    )
    return int(Exit.FAILED)
