"""The verb `rootfm painter`."""

from __future__ import annotations

import argparse


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `rootfm painter` and its options."""
