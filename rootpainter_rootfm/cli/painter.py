"""The verb `rootfm painter`: RootPainter's window with the Root Foundation Model in it."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `rootfm painter` and its options."""
    text = "open RootPainter with the Root Foundation Model in its menus"
    parser = verbs.add_parser("painter", help=text, description=text[0].upper() + text[1:] + ".")
    add_options(parser)
    parser.set_defaults(run=run)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the window, shared with the command `rootpainter-rootfm`."""
    parser.add_argument("project", nargs="?", type=Path, metavar="PROJECT", help="a .seg_proj file to open")
    parser.add_argument(
        "--sync-dir", type=Path, metavar="DIR", help="an existing sync folder, instead of the saved one"
    )
    parser.add_argument("--rootpainter", type=Path, metavar="PATH", help="a RootPainter source checkout to use")
    parser.add_argument("--no-trainer", action="store_true", help="start no trainer on this computer")


def run(options: argparse.Namespace) -> int:
    """Opens the window and waits until it is closed."""
    from ..painter.main import run as open_window

    return open_window(options)
