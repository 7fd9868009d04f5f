import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFile

from rootpainter_rootfm import images
from rootpainter_rootfm.errors import ImageError
from rootpainter_rootfm.opening import opened
from tests.pictures import GREY, PHOTO, raw_tiff, saved


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.jpg"])
def test_too_many_pixels_is_an_error_with_both_numbers(tmp_path, name):
    path = saved(tmp_path / name, PHOTO)
    assert images.read(path, max_pixels=48 * 64).shape == (48, 64, 3)
    with pytest.raises(ImageError, match="64×48 pixels.*limit"):
        images.read(path, max_pixels=48 * 64 - 1)


def test_the_limit_is_checked_before_decoding(tmp_path):
    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0\0\0\0IDAT"
    )
    with pytest.raises(ImageError, match="200000×200000"):
        images.read(tmp_path / "a.png")


def test_pillows_own_limit_neither_stops_us_nor_is_changed(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", PHOTO)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr("rootpainter_rootfm.bands._VALUES_AT_A_TIME", 64)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
    assert (images.read(path) == PHOTO).all()
    assert Image.MAX_IMAGE_PIXELS == 100


def test_large_images_read_in_bands_equal_those_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("rootpainter_rootfm.bands._VALUES_AT_A_TIME", 5 * 64)
    assert (images.read(saved(tmp_path / "a.png", PHOTO)) == PHOTO).all()
    tifffile.imwrite(tmp_path / "a.tif", PHOTO.astype(np.uint16) * 257, photometric="rgb")
    assert np.abs(images.read(tmp_path / "a.tif").astype(int) - PHOTO).max() <= 2


FAULTS = {
    "nothing in it": (lambda path: path.write_bytes(b""), "empty"),
    "a text": (lambda path: path.write_text("no image at all"), "not a PNG, JPEG, TIFF or BMP"),
    "a folder": (lambda path: path.mkdir(), "folder"),
    "nothing there": (lambda path: None, "does not exist"),
    "complex numbers": (lambda path: tifffile.imwrite(path, np.ones((4, 4), np.complex64)), "not a photograph"),
    "a volume": (
        lambda path: tifffile.imwrite(path, np.ones((16, 16, 16), np.uint8), volumetric=True, tile=(16, 16, 16)),
        "volume of 16 slices",
    ),
    "Lab": (lambda path: tifffile.imwrite(path, PHOTO, photometric="cielab"), "CIELAB"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_name_the_file_and_the_cause(tmp_path, fault):
    make, cause = FAULTS[fault]
    path = tmp_path / "plot 7.tif"
    make(path)
    for call in (
        (images.read, images.page_count) if fault not in ("complex numbers", "a volume", "Lab") else (images.read,)
    ):
        with pytest.raises(ImageError, match=cause) as error:
            call(path)
        assert str(path) in str(error.value)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"compression": "lzw"}])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_truncated_tiff_is_an_error_and_never_half_an_image(tmp_path, options, share):
    noise = np.random.default_rng(0).integers(0, 256, PHOTO.shape, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", noise, photometric="rgb", **options)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ImageError, match="truncated|cut short"):
        images.read(tmp_path / "a.tif")


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp"])
def test_a_truncated_photograph_is_an_error(tmp_path, name, lenient, monkeypatch):
    """Whatever the rest of the program has told Pillow: RootPainter's window makes it lenient."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    path = saved(tmp_path / name, PHOTO)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match="cut short"):
        images.read(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES == lenient


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read every file")
def test_a_file_that_may_not_be_read(tmp_path):
    path = saved(tmp_path / "a.png", PHOTO)
    path.chmod(0)
    with pytest.raises(ImageError, match="ermission"):
        images.read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are for Unix")
def test_a_named_pipe_does_not_hang_the_reader(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ImageError, match="not a regular file"):
        images.read(tmp_path / "a.png")


def test_pages_that_point_at_themselves_do_not_hang_the_reader(tmp_path):
    raw_tiff(tmp_path / "a.tif", 64, 48, 8, GREY.tobytes(), first_offset=8)
    assert images.page_count(tmp_path / "a.tif") == 1
    try:
        assert (images.read(tmp_path / "a.tif")[:, :, 0] == GREY).all()
    except ImageError:
        pass


@pytest.mark.parametrize("reduced_first", [False, True])
def test_a_page_before_a_damaged_one_is_read_and_a_reduced_copy_never_in_its_place(tmp_path, reduced_first):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        if reduced_first:
            tiff.write(PHOTO[::2, ::2], photometric="rgb", subfiletype=1)
        for page in (PHOTO, 255 - PHOTO, PHOTO):
            tiff.write(page, photometric="rgb")
    with tifffile.TiffFile(path) as tiff:
        places = [page.offset for page in tiff.pages]
    content = path.read_bytes()
    path.write_bytes(content[: places[-2] + 20])
    assert (images.read(path) == PHOTO).all() and images.page_count(path) == 1
    with pytest.raises(ImageError, match="damaged or cut short"):
        images.read(path, page=1)
    path.write_bytes(content[: places[-3] + 20])
    with pytest.raises(ImageError, match="damaged or cut short"):
        images.read(path)


def test_many_threads_read_the_same(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PHOTO.astype(np.uint16) * 257, photometric="rgb", compression="zlib")
    saved(tmp_path / "b.png", PHOTO)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(images.read, [tmp_path / "a.tif", tmp_path / "b.png"] * 10))
    assert all((pixels == read[0]).all() for pixels in read[::2]) and all(
        (pixels == PHOTO).all() for pixels in read[1::2]
    )


def test_readers_that_overlap_stay_strict_until_the_last_one_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    path = saved(tmp_path / "a.png", PHOTO)
    first, second = opened(path, ImageError), opened(path, ImageError)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    second.__exit__(None, None, None)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_png_with_damaged_pixels_is_an_error_and_never_half_an_image(tmp_path, mode):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(noise).convert(mode).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ImageError, match="damaged or cut short"):
        images.read(path)


def test_the_preview_of_a_raw_photograph_is_not_taken_for_it(tmp_path):
    path = tmp_path / "a.dng"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(PHOTO[::2, ::2], photometric="rgb", subfiletype=1, subifds=1)
        tiff.write(PHOTO[:, :, 0], photometric="minisblack")
    with pytest.raises(ImageError, match="raw photograph; export it as TIFF or JPEG"):
        images.read(path)
