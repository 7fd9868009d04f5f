"""Runs RootPainter's own trainer, unmodified, in a process of its own: ``python -m ….unet_child FOLDER``.

A process of its own, because that package claims top-level module names (``trainer``, ``datasets``, ``metrics``) and
may be ended by a fault in one training step; neither may touch the trainer that started it.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from ..parent import when_gone

PACKAGE = "root_painter_trainer"
READY = "ready"
"""The file that says that the folder's instructions are read from now on; what was there before was deleted."""


def main() -> None:
    """Serves the folder given on the command line until the process that started this one ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patchsize", type=int, default=572)
    parser.add_argument("--maxworkers", type=int, default=12)
    parser.add_argument("--maxbatchsize", type=int, default=12)
    options = parser.parse_args()
    when_gone(partial(os._exit, 1))
    # Its modules import each other by bare names, and another installed package may own such a name: it goes first.
    sys.path.insert(0, str(Path(find_spec(PACKAGE).origin).parent))
    from trainer import Trainer

    trainer = Trainer(str(options.folder), options.patchsize, options.maxworkers, options.maxbatchsize)
    (options.folder / READY).touch()
    trainer.main_loop()


if __name__ == "__main__":
    main()
