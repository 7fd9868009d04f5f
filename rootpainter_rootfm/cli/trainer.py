"""The verb `rootfm trainer`: RootPainter's server side."""

from __future__ import annotations

import argparse


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `rootfm trainer` and its options."""
    from ..trainer.main import add_options

    parser = verbs.add_parser("trainer", help="serve RootPainter's window: segment and fine-tune on request")
    add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves the sync folder until it is interrupted."""
    from ..trainer.main import run as serve

    return serve(options)
