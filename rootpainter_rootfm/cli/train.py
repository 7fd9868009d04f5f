"""The verb `rootfm train`."""

from __future__ import annotations

import argparse


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `rootfm train` and its options."""
