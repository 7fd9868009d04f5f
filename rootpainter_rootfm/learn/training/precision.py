"""In which precision a network learns."""

from __future__ import annotations

import torch


def autocast(device: torch.device) -> torch.autocast:
    """bf16 for the forward pass where the device is faster at it, else fp32.

    CUDA is; a CPU is if it multiplies bf16 itself (a step then takes two thirds of the time), others only emulate it.
    """
    faster = device.type == "cuda" or (device.type == "cpu" and _cpu_multiplies())
    return torch.autocast(device.type, torch.bfloat16, enabled=faster)


def _cpu_multiplies() -> bool:
    # torch before 2.10 cannot say it: then it is taken for no.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
