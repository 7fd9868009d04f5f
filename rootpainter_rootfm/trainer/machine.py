"""What this machine has to offer a window: devices and models."""

from __future__ import annotations

import logging
from typing import Any

from ..errors import RootFMError

logger = logging.getLogger(__name__)


def describe() -> dict[str, Any]:
    """The part of the heartbeat that depends on the machine: `device` (the preferred one), `devices`, `models`."""
    import torch

    from ..segment.device import choose_device

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = [f"cuda:{index}" for index in range(cuda)]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {"device": str(choose_device("auto")), "devices": [*devices, "cpu"], "models": _models()}


def _models() -> list[dict[str, Any]]:
    from ..model.library import Library

    try:
        cards = Library().cards()
    except (RootFMError, OSError) as error:
        logger.warning("The library of models cannot be read: %s", error)
        return []
    return [{key: getattr(card, key) for key in ("name", "title", "sha256", "trained")} for card in cards]
