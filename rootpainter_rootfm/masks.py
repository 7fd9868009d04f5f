"""Root masks and annotations as RootPainter and RhizoVision Explorer write them, each file replaced in one step."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from enum import Enum
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from . import png
from .bands import bands
from .errors import MaskError
from .files import writing
from .images import orientation, upright
from .opening import Unreadable, opened
from .white import is_light, is_white

ROOT_RGBA = (0, 255, 255, 178)
ANNOTATED_ROOT_RGBA = (255, 0, 0, 180)
ANNOTATED_SOIL_RGBA = (0, 255, 0, 180)

_PNG_START = b"\x89PNG\r\n\x1a\n"
_ZIP_START = b"PK\x03\x04"
_NOTE = "rootfm"


class MaskFormat(Enum):
    """The formats of RootPainter's "Segment folder"; the value is the text by which its instructions name one."""

    ROOTPAINTER = "RootPainter Default (.png)"
    RHIZOVISION = "RhizoVision Explorer (.png)"
    NPZ = "Numpy Compressed (.npz)"

    @property
    def suffix(self) -> str:
        """The extension of a mask in this format, with its dot."""
        return ".npz" if self is MaskFormat.NPZ else ".png"


def write(
    mask: np.ndarray,
    path: str | os.PathLike[str],
    fmt: MaskFormat = MaskFormat.ROOTPAINTER,
    note: str = "",
) -> None:
    """Writes an H×W bool mask, True where root.

    RootPainter: RGBA [0, 255, 255, 178] for root, else 0. RhizoVision: grey, root 0 and background 255.
    npz: one bool array named `seg`. A `note` (ASCII) is kept inside the file, where other programs pass over it: a
    PNG's text `rootfm`, an npz's array `rootfm`. Raises MaskError when the file cannot be written or `mask` is not
    H×W bool.
    """
    mask = _plane(mask, path)
    text = f"{_NOTE}\0{note}".encode("ascii") if note else b""
    with writing(path, MaskError) as beside:
        match fmt:
            case MaskFormat.ROOTPAINTER:
                png.write(beside, *mask.shape, 4, lambda rows: _painted(mask[rows], ROOT_RGBA), text)
            case MaskFormat.RHIZOVISION:
                png.write(beside, *mask.shape, 1, lambda rows: np.where(mask[rows], np.uint8(0), np.uint8(255)), text)
            case MaskFormat.NPZ:
                with open(beside, "wb") as file:
                    np.savez_compressed(file, seg=mask, **{_NOTE: np.array(note)} if note else {})


def read_note(path: str | os.PathLike[str]) -> str:
    """The note that `write` put into a mask file, or an empty text; raises MaskError as `read` does."""
    with opened(path, MaskError) as file:
        if file.read(4) == _ZIP_START:
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                return str(arrays[_NOTE]) if _NOTE in arrays else ""
        return str(_png(file).info.get(_NOTE, ""))


def is_remnant(path: str | os.PathLike[str]) -> bool:
    """Whether a file that cannot be read is all that is left of a mask with a note, or holds nothing at all.

    So after a power cut or half a copy: nobody's work is in it. Raises OSError.
    """
    with open(path, "rb") as file:
        start = file.read(64)
    # The first chunk behind a PNG's header, the name of an archive's first member.
    ours = ((_PNG_START, 37, f"tEXt{_NOTE}\0".encode()), (_ZIP_START, 30, b"seg.npy"))
    return not any(start) or any(
        start.startswith(magic[: len(start)]) and name.startswith(start[place : place + len(name)])
        for magic, place, name in ours
    )


def read(path: str | os.PathLike[str], *, light_root: bool = False) -> np.ndarray:
    """A mask in any of the formats as H×W bool, True where root; a PNG is turned upright as photographs are.

    The format is taken from the content. Colour PNGs are RootPainter's (root is cyan), also where RootPainter
    or an image program has rewritten them. Black-and-white PNGs are RhizoVision's, root black, unless
    `light_root` says that they are a dataset's, root white or 1; then no other dark colour than black counts as
    root-free. Raises MaskError for anything else.
    """
    with opened(path, MaskError) as file:
        if file.read(4) == _ZIP_START:
            return _read_npz(file)
        image = _png(file)
        if image.mode in ("1", "L", "I", "I;16") and "transparency" not in image.info:
            root = _read_grey(image, light_root)
        elif light_root:
            root = is_light((image.height, image.width), _colour_bands(image))
        else:
            root = _read_colour(image)
        return upright(root, orientation(image))


def read_annotation(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """RootPainter's corrections as (root, soil), two H×W bool arrays; pixels in neither were not annotated.

    Root where there is red, soil where there is green and no red, nothing where the stroke was erased to full
    transparency. Any PNG will do: palettes, grey and RGB are what image programs make of an annotation.
    Raises MaskError when the file is not a readable PNG.
    """
    with opened(path, MaskError) as file:
        image = _png(file)
        root, soil = np.empty((2, image.height, image.width), bool)
        for rows, (red, green, _, alpha) in _colour_bands(image):
            root[rows] = (alpha > 0) & (red > 0)
            soil[rows] = (alpha > 0) & (green > 0) & ~root[rows]
        return root, soil


def write_annotation(root: np.ndarray, soil: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Writes corrections (two H×W bool arrays) in the colours of RootPainter's brushes; where both, root counts."""
    root, soil = _plane(root, path), _plane(soil, path)
    if root.shape != soil.shape:
        raise MaskError(f"{path} cannot be written: root is {root.shape} and soil {soil.shape}.")

    def band(rows: slice) -> np.ndarray:
        pixels = _painted(soil[rows], ANNOTATED_SOIL_RGBA)
        pixels[root[rows]] = ANNOTATED_ROOT_RGBA
        return pixels

    with writing(path, MaskError) as beside:
        png.write(beside, *root.shape, 4, band)


def write_probability(probability: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Writes H×W root probabilities in [0, 1] as a compressed 16-bit TIFF, 65535 meaning 1. Raises MaskError."""
    _check_probability(probability, path)
    height, width = probability.shape
    strips = list(bands(height, width))
    with writing(path, MaskError) as beside:
        tifffile.imwrite(
            beside,
            (_strip(probability[rows]) for rows in strips),
            shape=(height, width),
            dtype="<u2",
            rowsperstrip=strips[0].stop,
            photometric="minisblack",
            compression="zlib",
            predictor=True,
            byteorder="<",
            metadata=None,
        )


def write_probability_preview(probability: np.ndarray, path: str | os.PathLike[str]) -> None:
    """Writes H×W root probabilities in [0, 1] as an 8-bit grey PNG, 255 meaning 1. Raises MaskError."""
    _check_probability(probability, path)
    with writing(path, MaskError) as beside:
        png.write(beside, *probability.shape, 1, lambda rows: _levels(probability[rows], 255).astype(np.uint8))


def _strip(probability: np.ndarray) -> bytes:
    """Some rows as TIFF holds them: 16-bit, each pixel as its difference to the left one, deflated."""
    levels = _levels(probability, 65535).astype("<u2")
    levels[:, 1:] -= levels[:, :-1].copy()
    return zlib.compress(levels)


def _levels(probability: np.ndarray, white: int) -> np.ndarray:
    # Half precision has no 65535: it is left here, some rows at a time.
    return probability.astype(np.float32) * white + np.float32(0.5)


def _plane(mask: np.ndarray, path: str | os.PathLike[str]) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype != bool or not mask.size:
        raise MaskError(f"{path} cannot be written: a mask is H×W bool, this is {mask.shape} {mask.dtype}.")
    return mask


def _check_probability(probability: np.ndarray, path: str | os.PathLike[str]) -> None:
    if probability.ndim != 2 or not (probability.min() >= 0 and probability.max() <= 1):
        raise MaskError(f"{path} cannot be written: a probability is H×W and lies in 0 to 1.")


def _painted(mask: np.ndarray, colour: tuple[int, int, int, int]) -> np.ndarray:
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[mask] = colour
    return pixels


def _png(file: BinaryIO) -> PngImageFile:
    # Opened by class, as in `images`: no limit of the whole process stands in the way of a large mask.
    file.seek(0)
    if file.read(8) != _PNG_START:
        raise Unreadable("it is not a PNG file")
    file.seek(0)
    return PngImageFile(file)


def _colour_bands(image: PngImageFile) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows and their 4×H×W uint8 red, green, blue and alpha."""
    for rows in bands(image.height, image.width * 4):
        band = image.crop((0, rows.start, image.width, rows.stop)).convert("RGBA")
        yield rows, np.moveaxis(np.asarray(band), 2, 0)


def _read_colour(image: PngImageFile) -> np.ndarray:
    root = np.empty((image.height, image.width), bool)
    all_grey, all_known = True, True
    for rows, (red, green, blue, alpha) in _colour_bands(image):
        root[rows] = (alpha > 0) & (red < 128) & (green > 127) & (blue > 127)
        dark = (alpha == 0) | ((red < 128) & (green < 128) & (blue < 128))
        all_known &= bool((root[rows] | dark).all())
        all_grey &= bool(((red == green) & (green == blue) & (alpha == 255)).all())
    if all_known:
        return root
    if all_grey:
        return _read_grey(image.convert("L"), False)
    raise Unreadable("its colours are not those of a root mask")


def _read_grey(image: Image.Image, light_root: bool) -> np.ndarray:
    levels = np.asarray(image.convert("L") if image.mode == "1" else image)
    if light_root:
        return is_white(levels)
    top = levels.max()
    if top not in (0, 255, 65535) or ((levels != 0) & (levels != top)).any():
        raise Unreadable("it holds other greys than black and white, so it is not a mask")
    return levels == 0


def _read_npz(file: BinaryIO) -> np.ndarray:
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        if "seg" not in arrays:
            raise Unreadable("it has no array named seg")
        seg = arrays["seg"]
    if seg.ndim != 2 or seg.dtype.kind not in "bui":
        raise Unreadable(f"its array seg is {seg.shape} {seg.dtype}, not H×W bool")
    return seg > 0
