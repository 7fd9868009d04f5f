"""Reads any photograph a lab may have into H×W×3 uint8, or says in one sentence why it cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from math import ceil, sqrt
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from . import tiff
from .bands import bands
from .errors import ImageError
from .opening import Unreadable, opened

EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
OTHER_PICTURES = (
    *(".heic", ".heif", ".avif", ".webp", ".gif", ".jfif", ".jpe", ".jp2", ".jxl", ".psd"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"),
)
"""What cameras, telephones and image programs write and `read` does not know; raw photographs in the second line."""
MAX_PIXELS = 1_000_000_000
# Outside these percentiles lie dead pixels and reflections; what lies between fills 0..255.
STRETCH_PERCENTILES = (0.1, 99.9)

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Opened by class: `Image.open` refuses large scans by a limit that can only be changed for the whole process.
_PILLOW_READERS: dict[bytes, type[ImageFile]] = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
    b"BM": BmpImageFile,
}
_PNG_COLOUR_TYPES_PILLOW_CUTS_TO_8_BITS = (2, 4, 6)
_SAMPLE_SIZE = 1 << 22
_LYING = (5, 6, 7, 8)  # EXIF orientations that exchange height and width


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image: a known extension, and no dot-file."""
    name = os.path.basename(name)
    return not name.startswith(".") and name.lower().endswith(EXTENSIONS)


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """The images directly in `folder`, sorted by name; raises ImageError when the folder cannot be listed."""
    return sorted(path for path in map(Path, _entries(folder)) if is_image_name(path.name) and path.is_file())


def left_alone(folder: str | os.PathLike[str], listed: Iterable[Path], output: str | os.PathLike[str]) -> str:
    """Says that a folder also holds pictures of other kinds, or folders, that `list_images` passes over; else empty.

    A raw photograph beside an image that was `listed` under the same name is the same photograph, and `output`, where
    masks go, is no folder of photographs. Raises ImageError when the folder cannot be listed.
    """
    read_too, masks = {path.stem.casefold() for path in listed}, os.path.realpath(output)
    kinds, folders = [], 0
    for entry in _entries(folder):
        stem, suffix = os.path.splitext(entry.name)
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            folders += os.path.realpath(entry) != masks
        elif suffix.lower() in OTHER_PICTURES and stem.casefold() not in read_too:
            kinds.append(suffix.upper())
    parts, hints = [], []
    if kinds:
        parts.append(f"{_counted(len(kinds), 'file')} of other kinds ({', '.join(sorted(set(kinds)))})")
        hints.append("export such files as JPEG, PNG or TIFF")
    if folders:
        parts.append(_counted(folders, "subfolder"))
        hints.append("segment a subfolder by itself")
    if not parts:
        return ""
    verb = "was" if len(kinds) + folders == 1 else "were"
    return f"{' and '.join(parts)} {verb} left alone: {' and '.join(hints)}."


def _entries(folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise ImageError(f"The folder {folder} cannot be listed: {error.strerror or error}.") from error


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" + ("" if count == 1 else "s")


def read(
    path: str | os.PathLike[str], *, page: int = 0, stretch: bool = False, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """One image as H×W×3 uint8, upright.

    8-bit pixels stay as they are unless `stretch`; deeper ones are stretched once over the whole image, all
    channels alike, from their 0.1 to their 99.9 percentile. Grey is repeated in three channels. Alpha is left
    out, as RootPainter's window leaves it out: what is corrected on the screen is what the network saw, and an
    unused alpha channel, which scanners do write, never hides a photograph.

    Args:
        path: A PNG, JPEG, TIFF or BMP, recognised by content rather than by extension.
        page: Which page of a multi-page TIFF, from 0; see `page_count`.
        stretch: Stretches 8-bit images too.
        max_pixels: Larger images are refused from their header, before any pixel is decoded.

    Raises:
        ImageError: The file is missing, empty, truncated, too large or not an image; names file and cause.
    """
    with opened(path, ImageError) as file:
        pixels, orientation = _decoded(file, page, max_pixels)
        if stretch or pixels.dtype != np.uint8:
            pixels = _stretched(pixels)
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[:, :, None], 3, axis=2)
        # A copy where needed, so that the caller may write into it and hand it to torch.
        return np.require(_upright(pixels, orientation), requirements=["C", "W"])


def read_values(path: str | os.PathLike[str]) -> np.ndarray:
    """The first page as its file holds it, not stretched: H×W or H×W×3, uint8 or deeper, upright. Raises ImageError."""
    with opened(path, ImageError) as file:
        return _upright(*_decoded(file, 0, MAX_PIXELS))


def turned(layer: np.ndarray, path: str | os.PathLike[str]) -> np.ndarray:
    """H×W(×C) of a PNG, JPEG or BMP as the EXIF note in the file's header turns it. Raises ImageError."""
    with opened(path, ImageError) as file:
        return _upright(layer, _orientation_in_header(_pillow_reader(file)(file)))


def size_in_header(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width that `read` will give, as far as the header tells; no pixel is decoded. Raises ImageError.

    It does not tell of an EXIF note behind a PNG's pixels, nor which page of a TIFF is a reduced copy.
    """
    with opened(path, ImageError) as file:
        if _is_tiff(file):
            height, width, orientation = tiff.size_in_header(file)
        else:
            image = _pillow_reader(file)(file)
            height, width, orientation = image.height, image.width, _orientation_in_header(image)
    return (width, height) if orientation in _LYING else (height, width)


def page_count(path: str | os.PathLike[str]) -> int:
    """The pages of a TIFF, 1 for other images; more than 1 means that `read` left some out. Raises ImageError."""
    with opened(path, ImageError) as file:
        return tiff.count_pages(file) if _is_tiff(file) else 1


def pixel_count(path: str | os.PathLike[str], *, page: int = 0) -> int:
    """Height times width as the header has them: what `read` will cost, before it does. Raises ImageError."""
    with opened(path, ImageError) as file:
        if _is_tiff(file):
            return tiff.count_pixels(file, page)
        image = _pillow_reader(file)(file)
        return image.width * image.height


def _is_tiff(file: BinaryIO) -> bool:
    start = file.read(16)
    file.seek(0)
    if not start.startswith((*_TIFF_STARTS, *_PILLOW_READERS)):
        raise Unreadable("it is not a PNG, JPEG, TIFF or BMP image, whatever its name says")
    return start.startswith(_TIFF_STARTS)


def _decoded(file: BinaryIO, page: int, max_pixels: int) -> tuple[np.ndarray, int]:
    """One page as H×W or H×W×3, uint8 or deeper, and its EXIF orientation."""
    if _is_tiff(file):
        return tiff.read_page(file, page, max_pixels)
    if page != 0:
        raise Unreadable(f"it has no page {page}: only TIFF files hold several pages")
    return _read_with_pillow(file, max_pixels)


def _read_with_pillow(file: BinaryIO, max_pixels: int) -> tuple[np.ndarray, int]:
    """A PNG, JPEG or BMP as H×W or H×W×3, uint8 or deeper, and its EXIF orientation."""
    reader = _pillow_reader(file)
    header = file.read(26)
    file.seek(0)
    image = reader(file)
    tiff.check_size(image.width, image.height, max_pixels)
    orientation = _orientation(image)
    if reader is PngImageFile and header[24] == 16 and header[25] in _PNG_COLOUR_TYPES_PILLOW_CUTS_TO_8_BITS:
        file.seek(0)
        pixels = imagecodecs.png_decode(file.read())
        return pixels[:, :, :3] if pixels.shape[2] >= 3 else pixels[:, :, 0], orientation
    return _pixels(image), orientation


def _orientation(image: ImageFile) -> int:
    """As the EXIF tells; damaged notes do not make an image unreadable."""
    try:
        return image.getexif().get(tiff.ORIENTATION_TAG, 1)
    except Exception:  # Pillow raises nearly anything here
        return 1


def _orientation_in_header(image: ImageFile) -> int:
    """The same without what a PNG may have behind its pixels, for which Pillow would decode them all."""
    try:
        return Image.Image.getexif(image).get(tiff.ORIENTATION_TAG, 1)
    except Exception:  # as above
        return 1


def _pillow_reader(file: BinaryIO) -> type[ImageFile]:
    start = file.read(16)
    file.seek(0)
    return next(reader for magic, reader in _PILLOW_READERS.items() if start.startswith(magic))


def _pixels(image: Image.Image) -> np.ndarray:
    """A Pillow image as H×W or H×W×3, band by band: a whole conversion would hold a large scan three times."""
    mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
    deep = image.mode.startswith(("I", "F"))
    pixels = None
    for rows in bands(image.height, image.width):
        band = image.crop((0, rows.start, image.width, rows.stop))
        values = np.asarray(band if deep else band.convert(mode))
        if pixels is None:
            pixels = np.empty((image.height, *values.shape[1:]), values.dtype)
        pixels[rows] = values
    return pixels


def _stretched(pixels: np.ndarray) -> np.ndarray:
    """Any real H×W or H×W×3 as uint8, its percentiles at 0 and 255; NaN becomes 0, a constant image black."""
    low, high = _limits(pixels)
    stretched = np.zeros(pixels.shape, np.uint8)
    if not high > low:
        return stretched
    table = None
    if pixels.dtype.kind in "ui" and pixels.dtype.itemsize <= 2:  # a look into a table is five times as fast
        unsigned = np.dtype(f"u{pixels.dtype.itemsize}")
        table = _levels(np.arange(256**unsigned.itemsize).astype(unsigned).view(pixels.dtype), low, high)
    for rows in bands(len(pixels), pixels[0].size):
        stretched[rows] = _levels(pixels[rows], low, high) if table is None else table[pixels[rows].view(unsigned)]
    return stretched


def _levels(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values of any shape as uint8, `low` at 0 and `high` at 255."""
    # Half the difference, since the whole of it may overflow.
    half = high / 2 - low / 2
    with np.errstate(all="ignore"):
        share = (values.astype(np.float64) / 2 - low / 2) / half
        return (np.nan_to_num(share, nan=0.0).clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _limits(pixels: np.ndarray) -> tuple[float, float]:
    """What becomes 0 and what 255: percentiles of an even sample, or the extremes where those coincide."""
    step = ceil(sqrt(pixels.size / _SAMPLE_SIZE))
    for values, percentiles in ((pixels[::step, ::step], STRETCH_PERCENTILES), (pixels, (0, 100))):
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = np.percentile(finite, percentiles, method="nearest")
            if low < high:
                return float(low), float(high)
    return 0.0, 0.0


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """H×W×C turned by EXIF orientation 1 to 8; anything else is taken as upright."""
    if orientation in _LYING:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
