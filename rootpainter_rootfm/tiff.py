"""One page of a TIFF as its file holds it, reduced to what a photograph is: grey or red, green and blue."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

import numpy as np
import tifffile
from PIL import Image, TiffImagePlugin

from .bands import bands
from .opening import Unreadable

PHOTOMETRIC = tifffile.PHOTOMETRIC
# Fax codes of black-and-white scans: tifffile has no decoder for them, Pillow has.
FAX_COMPRESSIONS = (2, 3, 4)
ORIENTATION_TAG = 274
MISSING_TAG = 42113  # GDAL's NODATA


class Stored(NamedTuple):
    """What a file holds of one image."""

    pixels: np.ndarray
    """H×W or H×W×3: uint8 for up to 8 bits, otherwise the file's own type and values."""
    orientation: int = 1
    """As EXIF has it; 1 to 8, or anything else for upright."""
    pages: int = 1
    """Of the file."""
    missing: float | None = None
    """The value of pixels of which nothing is known."""


def count_pages(file: BinaryIO) -> int:
    """The number of pages in an open TIFF, up to a damaged one; reduced copies of another page are none."""
    with tifffile.TiffFile(file) as tiff:
        return len(_pages(tiff))


def count_pixels(file: BinaryIO, index: int) -> int:
    """Height times width of page `index` (from 0) of an open TIFF."""
    with tifffile.TiffFile(file) as tiff:
        page = _pages(tiff, index)[index]
        return page.imagelength * page.imagewidth


def size_in_header(file: BinaryIO) -> tuple[int, int, int]:
    """Height, width and EXIF orientation of the first page of an open TIFF, which may be a reduced copy of another."""
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        return page.imagelength, page.imagewidth, page.tags.valueof(ORIENTATION_TAG, default=1)


def read_page(file: BinaryIO, index: int, max_pixels: int) -> Stored:
    """Page `index` (from 0) of an open TIFF.

    White-is-zero, palette and CMYK pages are turned into black-is-zero grey and RGB; alpha and further channels are
    left out. A page behind it may be damaged.
    Raises Unreadable for what a photograph cannot be, and whatever tifffile raises on damage.
    """
    with tifffile.TiffFile(file) as tiff:
        pages = _pages(tiff, index)
        if not 0 <= index < len(pages):
            there = f"it has no page {index}: its pages are 0 to {len(pages) - 1}"
            raise Unreadable(there if pages else "it has no page")
        page = pages[index]
        if page.is_reduced and page.subifds:
            raise Unreadable("it is a raw photograph; export it as TIFF or JPEG")
        _check(page, file, max_pixels)
        if page.compression in FAX_COMPRESSIONS:
            return Stored(_read_fax(file, page.index), pages=len(pages))
        pixels = _interpret(page, page.asarray(squeeze=False))
        return Stored(pixels, page.tags.valueof(ORIENTATION_TAG, default=1), len(pages), _missing(page))


def _pages(tiff: tifffile.TiffFile, wanted: int = 0) -> list[tifffile.TiffPage]:
    """All but the reduced copies of another page, which some programs put first; those where there is nothing else.

    Where one is damaged the pages end, which is an error if the `wanted` one is not before it.
    """
    pages, damage = [], None
    try:
        # By their number: tifffile counts pages that point at themselves once, and goes round in them for ever.
        for index in range(len(tiff.pages)):
            pages.append(tiff.pages[index].aspage())
    except tifffile.TiffFileError as error:
        damage = error
    own = [page for page in pages if not page.is_reduced]
    if damage and wanted >= len(own):
        raise damage
    return own or pages


def _missing(page: tifffile.TiffPage) -> float | None:
    """The value by which a map says that nothing is known of a pixel, where `_interpret` leaves values as they are."""
    if page.photometric not in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB) or page.bitspersample < 8:
        return None
    try:
        # Not `page.nodata`, which is 0 also where the value is no number of the pixels' kind.
        return float(page.tags.valueof(MISSING_TAG).replace(",", "."))
    except (AttributeError, ValueError):
        return None


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raises Unreadable unless the image has at least one pixel and at most `max_pixels`."""
    if width < 1 or height < 1:
        raise Unreadable(f"it has no pixels ({width}×{height})")
    if width * height > max_pixels:
        raise Unreadable(
            f"it has {width}×{height} pixels, {width * height / 1e6:.4g} million, more than the limit of "
            f"{max_pixels / 1e6:.4g} million; cut it into smaller images first"
        )


def _check(page: tifffile.TiffPage, file: BinaryIO, max_pixels: int) -> None:
    """Refuses, before anything is decoded, what is too large, too deep or not all there."""
    separate, depth, height, width, contiguous = page.shaped
    check_size(width, height, max_pixels)
    if depth > 1:
        raise Unreadable(f"it is a volume of {depth} slices; save its slices as pages or files")
    if page.dtype is None or page.dtype.kind not in "buif":
        raise Unreadable("its pixels are of a kind that is not a photograph's")
    # A damaged header may ask for far more memory than the image has pixels: by channels or by oversized tiles.
    if separate * contiguous > 4 and separate * contiguous * width * height > 4 * max_pixels:
        raise Unreadable(f"it has {separate * contiguous} channels")
    if page.is_tiled and page.tilewidth * page.tilelength > max(max_pixels, 1 << 24):
        raise Unreadable(f"its tiles claim {page.tilewidth}×{page.tilelength} pixels each")
    end = file.seek(0, 2)
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        if offset + length > end:
            raise Unreadable("the file is truncated: it ends before its pixels do")


def _interpret(page: tifffile.TiffPage, stored: np.ndarray) -> np.ndarray:
    """The stored S×1×H×W×C array as H×W or H×W×3 with black at zero."""
    planes = np.moveaxis(stored[:, 0, :, :, 0], 0, 2) if stored.shape[0] > 1 else stored[0, 0]
    channels = planes.shape[2]
    match page.photometric:
        case PHOTOMETRIC.MINISBLACK | PHOTOMETRIC.MINISWHITE:
            # Grey may carry alpha; three or more bands without a colour model are a camera's red, green, blue.
            grey = _eight_bits(planes[:, :, :3] if channels >= 3 else planes[:, :, 0], page.bitspersample)
            return _inverted(grey) if page.photometric == PHOTOMETRIC.MINISWHITE else grey
        case PHOTOMETRIC.RGB if channels >= 3:
            return _eight_bits(planes[:, :, :3], page.bitspersample)
        case PHOTOMETRIC.YCBCR if channels == 3 and page.compression in (6, 7):
            return planes  # The JPEG decoder has made it RGB.
        case PHOTOMETRIC.YCBCR if channels == 3 and planes.dtype == np.uint8:
            return np.asarray(Image.fromarray(np.ascontiguousarray(planes), "YCbCr").convert("RGB"))
        case PHOTOMETRIC.PALETTE if page.colormap is not None:
            return _from_palette(planes[:, :, 0], np.asarray(page.colormap))
        case PHOTOMETRIC.SEPARATED if channels >= 4:
            return _from_cmyk(planes[:, :, :4])
    name = getattr(page.photometric, "name", page.photometric)
    raise Unreadable(f"its colours are stored as {name} in {channels} channel(s); save it as grey or RGB")


def _eight_bits(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Pixels of 1 to 7 bits spread over 0..255; others as they are."""
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype == np.uint8 and bits < 8:
        top = 2**bits - 1
        return (np.arange(256) * 255 // top).clip(0, 255).astype(np.uint8)[pixels]
    return pixels


def _inverted(pixels: np.ndarray) -> np.ndarray:
    return -pixels if pixels.dtype.kind == "f" else ~pixels


def _from_palette(indices: np.ndarray, colormap: np.ndarray) -> np.ndarray:
    """H×W indices through a 3×N map; some programs write its 16-bit entries as if they were 8-bit ones."""
    entries = colormap if colormap.max() < 256 else colormap >> 8
    return np.ascontiguousarray(entries.T.astype(np.uint8)[indices.astype(np.int64)])


def _from_cmyk(inks: np.ndarray) -> np.ndarray:
    """H×W×4 inks as H×W×3: uint8 for 8-bit inks, otherwise float32 in 0..1."""
    full = 1.0 if inks.dtype.kind == "f" else float(np.iinfo(inks.dtype).max)
    colours = np.empty((*inks.shape[:2], 3), np.uint8 if inks.dtype == np.uint8 else np.float32)
    for rows in bands(len(inks), inks[0].size):
        paper = np.float32(1) - inks[rows].astype(np.float32) / np.float32(full)
        rgb = paper[:, :, :3] * paper[:, :, 3:]
        colours[rows] = rgb * 255 + 0.5 if inks.dtype == np.uint8 else rgb
    return colours


def _read_fax(file: BinaryIO, index: int) -> np.ndarray:
    file.seek(0)
    image = TiffImagePlugin.TiffImageFile(file)
    image.seek(index)
    return np.asarray(image.convert("L"))
