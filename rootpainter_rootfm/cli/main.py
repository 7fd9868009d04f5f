"""Assembles the command `rootfm` from its verbs and turns errors into one sentence and an exit code."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence

from .. import __version__
from ..errors import Cancelled, RootFMError
from . import bundle, demo, evaluate, info, models, painter, protocol, segment, train, trainer

# A verb module imports only argparse at its top: `rootfm --help` must answer at once, long before torch could load.
VERBS = (segment, models, demo, trainer, painter, train, evaluate, protocol, bundle, info)

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, with every verb's own options."""
    parser = argparse.ArgumentParser(
        prog="rootfm",
        description="The Root Foundation Model for RootPainter.",
        epilog="Begin with: rootfm segment PHOTOGRAPHS MASKS --preview, or rootfm painter for the window.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns 0 for success, 1 when some items failed, 2 for wrong input or a disk's refusal, 130 when
    interrupted.
    """
    _say_what_can_be_said()
    options = build_parser().parse_args(arguments)
    # What is odd about a file that can be read all the same would tear the progress bar; what cannot is an error.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    try:
        code = int(options.run(options))
        print(end="", flush=True)
        return code
    except (KeyboardInterrupt, Cancelled):
        # A second Ctrl-C would interrupt no work any more, only this sentence or the interpreter's own end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("Stopped. Nothing half-written was left behind.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except RootFMError as error:
        print(f"rootfm: {error}", file=sys.stderr)
        return EXIT_USAGE
    except BrokenPipeError:
        # Who reads us, such as `head`, has enough; nor may the interpreter write there at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_SOME_FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"rootfm: {where}{error.strerror or error}.", file=sys.stderr)
        return EXIT_USAGE


def _say_what_can_be_said() -> None:
    """Where the terminal or file lacks a character, as × in some code pages of Windows, it is replaced."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
