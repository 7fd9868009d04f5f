"""What is said where the memory does not suffice for a training."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ...errors import RootFMError
from ...segment.device import is_out_of_memory

# A worker has an error of its own, or the system ended it, which happens without a word where memory runs out.
_OF_WORKERS = re.compile(r"MemoryError in DataLoader worker|DataLoader worker \(pid")
_ANEW = "or begin in another folder with a smaller --batch or smaller --tile-sizes."


@contextmanager
def said_in_words(device: str | torch.device) -> Iterator[None]:
    """Raises RootFMError with one sentence where memory runs out within; the last checkpoint stays to go on from."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if _OF_WORKERS.search(str(error)):
            raise RootFMError(
                "A process that cuts patches came to its end, most likely because memory ran out. Run the same again "
                f"with fewer --workers (0 does without), which goes on from the last checkpoint, {_ANEW}"
            ) from error
        if not is_out_of_memory(error):
            raise
        whose = "this machine" if isinstance(error, MemoryError) or str(device) == "cpu" else device
        raise RootFMError(
            f"The memory of {whose} does not suffice for this training. Close other programs and run the same again, "
            f"which goes on from the last checkpoint, {_ANEW}"
        ) from error
