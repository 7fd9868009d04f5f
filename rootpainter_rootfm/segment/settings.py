"""How an image is segmented: one frozen object, checked once, that goes through every layer unchanged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from ..errors import SettingsError
from ..model.card import PADDINGS, TILE_MULTIPLE

MAX_TILE: Final = 4096  # pixels; beyond it one tile needs more than 16 GB
MAX_OVERLAP: Final = 0.5  # of a tile's side; more would only compute the same pixels a third time
SCALES: Final = (0.25, 4.0)
PRECISIONS: Final = ("auto", "fp32", "bf16", "fp16")

DEVICE: Final = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
DEVICES: Final = "auto, cpu, mps, cuda or cuda:N"


@dataclass(frozen=True)
class SegmentSettings:
    """What a user may choose about segmenting; `None` means: what the model's card says.

    RootPainter's own way of using such a model is `SegmentSettings(tile=1024, overlap=0, padding="black",
    threshold=0.5, precision="fp32", edges=False, balance=False, glance=False, second_look=False)`.
    """

    device: str = "auto"
    """`auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:N` or `mps`."""
    tile: int | None = None
    """Side in pixels of the square tiles given to the network, a multiple of 32. `None` fits the tiles to the
    image: as few and as small as cover it, none much larger than the sizes the model is good at."""
    overlap: float = 0.05
    """Share of a tile's side that neighbouring tiles have in common at least, 0..0.5; more costs time and was not
    measured to find more. With 0 nothing is blended:
    tiles stand side by side, the last one of a row is moved back into the image and wins where it overlaps."""
    batch: int | None = None
    """Tiles given to the network at once. `None`: two or three usual ones on the CPU, as many as fit on a GPU."""
    precision: str = "auto"
    """`auto`, `fp32`, or on CUDA `bf16` or `fp16`. `auto` is fp16 on CUDA devices that are fast at it, else
    fp32; a model whose values fp16 cannot hold is then computed in fp32."""
    threshold: float | None = None
    """Pixels of at least this root probability are root, between 0 and 1."""
    min_root_pixels: int = 0
    """Connected root areas of fewer pixels are left out of the mask; 0 keeps all."""
    flips: bool = False
    """Average the probability over the tile and its three mirror images: steadier, four times the work."""
    edges: bool = True
    """Lay the borders of roots where the photograph has them; without it they lie where the network, which decides in
    steps of four pixels, puts them."""
    balance: bool = True
    """Take an uncommon colour, such as that of blue paper, out of the image (`light`); without it, roots on a ground of
    a colour that the model has not learnt may not be found."""
    glance: bool = True
    """Look at large photographs reduced as well, and take roots from there that are wider than the network's view
    (`glance`); without it, roots wider than about sixty pixels may not be found."""
    second_look: bool = True
    """Look at an image once more where its size does not suit the network (`second_look`): enlarged by half where most
    of the roots that were found are thin; where the network is not sure of them, enlarged if the image is large, else
    reduced. A `scale` other than 1 is kept to instead."""
    scale: float = 1.0
    """The network sees the image enlarged by this factor, 0.25..4; 2 finds finer roots, for four times the work."""
    padding: str | None = None
    """What surrounds an image smaller than a tile: its own `reflect`ion, `black`, or the `mean` colour of photographs
    (the colour that is zero for the network)."""

    def __post_init__(self) -> None:
        _check(
            "device",
            self.device,
            isinstance(self.device, str) and DEVICE.fullmatch(self.device) is not None,
            DEVICES,
        )
        _check(
            "tile",
            self.tile,
            self.tile is None or (_whole(self.tile, TILE_MULTIPLE, MAX_TILE) and self.tile % TILE_MULTIPLE == 0),
            f"a multiple of {TILE_MULTIPLE} up to {MAX_TILE}",
        )
        _check("overlap", self.overlap, _number(self.overlap, 0, MAX_OVERLAP), f"from 0 to {MAX_OVERLAP}")
        _check("batch", self.batch, self.batch is None or _whole(self.batch, 1, 1024), "a whole number from 1")
        _check("precision", self.precision, self.precision in PRECISIONS, "one of " + ", ".join(PRECISIONS))
        _check(
            "threshold",
            self.threshold,
            self.threshold is None or (_number(self.threshold, 0, 1) and 0 < self.threshold < 1),
            "between 0 and 1",
        )
        _check("min_root_pixels", self.min_root_pixels, _whole(self.min_root_pixels, 0, 2**31), "0 or more")
        for name in ("flips", "edges", "balance", "glance", "second_look"):
            _check(name, getattr(self, name), isinstance(getattr(self, name), bool), "true or false")
        _check("scale", self.scale, _number(self.scale, *SCALES), f"from {SCALES[0]} to {SCALES[1]}")
        _check(
            "padding", self.padding, self.padding is None or self.padding in PADDINGS, "one of " + ", ".join(PADDINGS)
        )

    def to_dict(self) -> dict[str, Any]:
        """Every setting by its name, in types that JSON knows."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SegmentSettings:
        """The settings that `to_dict` gave; those left out keep their default.

        Raises:
            SettingsError: a name is unknown (the message says which), or a value outside its range.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(str(name) for name in values if name not in known)
        if unknown:
            raise SettingsError(f"Unknown settings: {', '.join(unknown)}. Known are {', '.join(sorted(known))}.")
        return cls(**values)


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _number(value: object, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _check(name: str, value: object, good: bool, expected: str) -> None:
    if not good:
        raise SettingsError(f"The setting {name} is {value!r}; it must be {expected}.")
