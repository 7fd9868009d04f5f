"""Reads any photograph a lab may have into H×W×3 uint8, or says in one sentence why it cannot be read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
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
from .stretch import stretched

EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
OTHER_PICTURES = (
    *(".heic", ".heif", ".avif", ".webp", ".gif", ".jfif", ".jpe", ".jp2", ".jxl", ".psd"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"),
)
"""What cameras, telephones and image programs write and `read` does not know; raw photographs in the second line."""
MAX_PIXELS = 1_000_000_000

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Opened by class: `Image.open` refuses large scans by a limit that can only be changed for the whole process.
_PILLOW_READERS: dict[bytes, type[ImageFile]] = {
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"\xff\xd8\xff": JpegImageFile,
    b"BM": BmpImageFile,
}
_PNG_COLOUR_TYPES_PILLOW_CUTS_TO_8_BITS = (2, 4, 6)
_LYING = (5, 6, 7, 8)  # EXIF orientations that exchange height and width


@dataclass(frozen=True)
class Photograph:
    """An image and what else its file tells when it is opened once."""

    pixels: np.ndarray
    """H×W×3 uint8, as `read` gives it."""
    pages: int
    """Of a TIFF, 1 of other images; more than 1 means that some were left out."""
    sha256: str
    """Of the file's bytes."""


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
        return _shown(_decoded(file, page, max_pixels), stretch)


def read_photograph(
    path: str | os.PathLike[str], *, page: int = 0, stretch: bool = False, max_pixels: int = MAX_PIXELS
) -> Photograph:
    """As `read`, with all that has to be known of the file. Raises ImageError."""
    with opened(path, ImageError) as file:
        stored = _decoded(file, page, max_pixels)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Photograph(_shown(stored, stretch), stored.pages, digest)


def read_values(path: str | os.PathLike[str]) -> np.ndarray:
    """The first page as its file holds it, not stretched: H×W or H×W×3, uint8 or deeper, upright. Raises ImageError."""
    with opened(path, ImageError) as file:
        stored = _decoded(file, 0, MAX_PIXELS)
        return upright(stored.pixels, stored.orientation)


def size_in_header(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width that `read` will give, as far as the header tells; no pixel is decoded. Raises ImageError.

    It does not tell of an EXIF note behind a PNG's pixels, nor which page of a TIFF is a reduced copy.
    """
    with opened(path, ImageError) as file:
        if _is_tiff(file):
            height, width, turned = tiff.size_in_header(file)
        else:
            image = _pillow_reader(file)(file)
            height, width, turned = image.height, image.width, _orientation_in_header(image)
    return (width, height) if turned in _LYING else (height, width)


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


def _shown(stored: tiff.Stored, stretch: bool) -> np.ndarray:
    """What `read` gives, C-contiguous and writeable, so that the caller may hand it to torch."""
    pixels = stored.pixels
    if stretch or pixels.dtype != np.uint8:
        pixels = stretched(pixels, stored.missing)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    return np.require(upright(pixels, stored.orientation), requirements=["C", "W"])


def _decoded(file: BinaryIO, page: int, max_pixels: int) -> tiff.Stored:
    if _is_tiff(file):
        return tiff.read_page(file, page, max_pixels)
    if page != 0:
        raise Unreadable(f"it has no page {page}: only TIFF files hold several pages")
    return _read_with_pillow(file, max_pixels)


def _read_with_pillow(file: BinaryIO, max_pixels: int) -> tiff.Stored:
    """A PNG, JPEG or BMP."""
    reader = _pillow_reader(file)
    header = file.read(26)
    file.seek(0)
    image = reader(file)
    tiff.check_size(image.width, image.height, max_pixels)
    turned = orientation(image)
    if reader is PngImageFile and header[24] == 16 and header[25] in _PNG_COLOUR_TYPES_PILLOW_CUTS_TO_8_BITS:
        file.seek(0)
        pixels = imagecodecs.png_decode(file.read())
        return tiff.Stored(pixels[:, :, :3] if pixels.shape[2] >= 3 else pixels[:, :, 0], turned)
    return tiff.Stored(_pixels(image), turned)


def orientation(image: ImageFile) -> int:
    """As the EXIF tells, 1 to 8; damaged notes make no image unreadable. A PNG may have them behind its pixels.

    Raises what Pillow raises where the pixels are damaged: it would not say so a second time.
    """
    image.load()
    return _orientation_in_header(image)


def _orientation_in_header(image: ImageFile) -> int:
    """The same without what lies behind a PNG's pixels: `PngImageFile.getexif` would decode them all."""
    try:
        return Image.Image.getexif(image).get(tiff.ORIENTATION_TAG, 1)
    except Exception:  # Pillow raises nearly anything here
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


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """H×W×C turned by EXIF orientation 1 to 8; anything else is taken as upright."""
    if orientation in _LYING:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
