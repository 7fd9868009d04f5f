"""The command ``rootfm-trainer``: what RootPainter starts in place of its own trainer."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence

from ..errors import HostError
from .paths import SyncFolder, find_sync_dir

logger = logging.getLogger(__name__)

EXIT_REFUSED = 2
EXIT_SERVED = 3
"""Another trainer serves the sync folder: the work is done there."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options, the same for `rootfm-trainer` and `rootfm trainer`; the last three are RootPainter's own."""
    parser.add_argument("--syncdir", metavar="DIR", help="the folder shared with RootPainter's window")
    parser.add_argument(
        "--allow-local-paths",
        action="store_true",
        help="let a window on this machine use folders outside the sync folder",
    )
    unet = parser.add_argument_group("options for projects with RootPainter's own U-Net")
    unet.add_argument("--patchsize", type=int, default=572, help="side of its patches in pixels")
    unet.add_argument("--maxworkers", type=int, default=12, help="processes that load its images at most")
    unet.add_argument("--maxbatchsize", type=int, default=12, help="its batch size at most")


def run(options: argparse.Namespace) -> int:
    """Serves until it is asked to end; returns the exit code, `EXIT_SERVED` where another trainer serves the folder.

    Raises:
        HostError: the sync folder is unknown or unusable.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # RootPainter shows this output in its server window.
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    sync = SyncFolder(find_sync_dir(options.syncdir), options.allow_local_paths)
    from .heartbeat import SecondTrainer
    from .server import Server

    names = ("patchsize", "maxworkers", "maxbatchsize")
    server = Server(sync, tuple(f"--{name}={getattr(options, name)}" for name in names))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: server.end())
    try:
        ended = server.run()
    except SecondTrainer as error:
        logger.error("%s", error)
        return EXIT_SERVED
    if not ended:
        # What still computes would keep the process alive; everything it has written is whole.
        logging.shutdown()
        os._exit(0)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point of ``rootfm-trainer``; asks no question on standard input."""
    parser = argparse.ArgumentParser(prog="rootfm-trainer", description="RootPainter's trainer with foundation models.")
    add_options(parser)
    try:
        return run(parser.parse_args(arguments))
    except HostError as error:
        logger.error("%s", error)
        return EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main())
