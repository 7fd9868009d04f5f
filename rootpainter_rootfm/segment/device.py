"""Where the network runs, in which precision, and what is given up when the memory does not suffice."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

import torch

from ..errors import RootFMError, SettingsError
from .settings import DEVICE, DEVICES

_log = logging.getLogger(__name__)

CPU: Final = torch.device("cpu")
_DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_BYTES_PER_PIXEL: Final = 1200  # of GPU memory for the activations of one tile pixel in fp32, with room to spare
_LEAST_BYTES: Final = 512 << 20  # free on a GPU to begin there: CUDA's own, the network, and one tile of 448
_MOST_PIXELS: Final = 16 * 1024**2  # of a batch; beyond it a GPU gains nothing more
_MPS_PIXELS: Final = 4 * 1024**2  # Apple's GPU shares its memory with everything else
_CPU_PIXELS: Final = 512 * 1024  # two tiles of 448 at once take a tenth less time than one after the other
_TEXTS: Final = ("CUDA error: out of memory", "MPS backend out of memory", "DefaultCPUAllocator")


class OutOfMemoryError(RootFMError, MemoryError):
    """Memory does not suffice for an image, whatever is given up."""


def choose_device(name: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.

    Raises:
        SettingsError: there is no such name, or this machine lacks the device.
    """
    if not DEVICE.fullmatch(name):
        raise SettingsError(f"The device {name} is unknown; choose {DEVICES}.")
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps") if torch.backends.mps.is_available() else CPU
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            have = f"has {count} CUDA device(s)" if count else "has no CUDA device that torch can use"
            raise SettingsError(f"The device {name} was asked for, but this machine {have}; choose auto or cpu.")
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise SettingsError("The device mps was asked for, but this machine has none; choose auto or cpu.")
    return device


def choose_precision(name: str, device: torch.device) -> str:
    """`fp32`, `bf16` or `fp16` for a device; raises SettingsError for half precision anywhere but on CUDA."""
    if name == "auto":
        # Not bf16, which is as fast: its masks agreed with those of fp32 to a Dice of 0.998 only, fp16's to 0.9997.
        return "fp16" if device.type == "cuda" and torch.cuda.get_device_capability(device) >= (7, 0) else "fp32"
    if name != "fp32" and device.type != "cuda":
        # Not merely useless: bf16 measured 6 to 18 times slower on CPUs without matrix units for it.
        raise SettingsError(f"The precision {name} is for CUDA devices only; on {device.type} use auto or fp32.")
    return name


def dtype(precision: str) -> torch.dtype:
    """torch's type for `fp32`, `bf16` or `fp16`."""
    return _DTYPES[precision]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: torch has a type for it, the CUDA driver, Apple's GPU and
    the CPU only a text."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS)


def is_of_host(error: BaseException, device: torch.device) -> bool:
    """Whether the memory that ran out is not the device's, where less work would help neither this image nor others."""
    return isinstance(error, MemoryError) and device.type != "cpu"


@dataclass(frozen=True)
class Footing:
    """How much memory the work may ask for; kept from one image to the next."""

    device: torch.device
    """Where the network runs."""
    blend_on: torch.device
    """Where the tiles' probabilities are blended."""
    pixels: int
    """Tile pixels in one batch where the user left its size free; a single tile is always tried."""
    ceiling: int | None = None
    """Tile pixels in one batch at most, once more of them did not fit."""

    @classmethod
    def first(cls, device: torch.device) -> Footing:
        """As much as the device is likely to bear; raises torch's error or MemoryError when it is full already, or when
        this torch has no program for it, as for a card of before 2018."""
        pixels = {"cuda": _MOST_PIXELS, "mps": _MPS_PIXELS}.get(device.type, _CPU_PIXELS)
        if device.type == "cuda":
            free = torch.cuda.mem_get_info(device)[0]
            if free < _LEAST_BYTES:
                raise MemoryError(f"{free >> 20} MB are free")
            pixels = min(pixels, free // 2 // _BYTES_PER_PIXEL)
            torch.ones(1, device=device).add_(1)
        return cls(device, device, pixels)

    def batch(self, wanted: int | None, tile_pixels: int) -> int:
        """How many tiles of `tile_pixels` are given to the network at once, where the user wants `wanted`."""
        batch = wanted or max(1, self.pixels // tile_pixels)
        return batch if self.ceiling is None else max(1, min(batch, self.ceiling // tile_pixels))

    def lowered(self, batch: int, tile_pixels: int) -> tuple[Footing, str] | None:
        """The next lower footing and what it means in words, or None below the lowest one."""
        if batch > 1:
            return replace(self, ceiling=batch // 2 * tile_pixels), f"at most {batch // 2} such tiles at once"
        if self.blend_on != CPU:
            return replace(self, blend_on=CPU), "blending on the CPU"
        if self.device != CPU:
            return Footing(CPU, CPU, pixels=1, ceiling=self.ceiling), "working on the CPU"
        return None


def first_footing(name: str) -> Footing:
    """Where to begin, for a device's name as in `choose_device`.

    Raises:
        SettingsError: this machine lacks the device, or one that was named is full or of a kind that torch cannot use.
    """
    device = choose_device(name)
    try:
        return Footing.first(device)
    except (RuntimeError, MemoryError) as error:
        said = str(error).split("\n")[0]
        full = is_out_of_memory(error)
    trouble = f"The memory of {device} is taken by other programs" if full else f"torch cannot compute on {device}"
    if name != "auto":
        raise SettingsError(f"{trouble} ({said}); {'wait until they are done, or ' * full}choose auto or cpu.")
    _log.warning("%s (%s). Working on the CPU.", trouble, said)
    return Footing.first(CPU)
