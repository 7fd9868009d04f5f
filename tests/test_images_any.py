import io

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, from_dtype
from PIL import Image

from rootpainter_rootfm import images
from rootpainter_rootfm.errors import ImageError
from tests.pictures import LAYOUTS, PHOTO

fuzz = settings(max_examples=60, deadline=10_000, suppress_health_check=[HealthCheck.function_scoped_fixture])


SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9)) | st.tuples(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 5)
)
DTYPES = st.sampled_from(["?", "u1", "i1", "u2", ">u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", ">f8", "c8"])


@fuzz
@given(
    pixels=DTYPES.flatmap(
        lambda dtype: arrays(dtype, SHAPES, elements=from_dtype(np.dtype(dtype)), fill=from_dtype(np.dtype(dtype)))
    ),
    photometric=st.sampled_from(["minisblack", "miniswhite", "rgb", "separated"]),
    compression=st.sampled_from([None, "zlib", "lzw"]),
    stretch=st.booleans(),
)
def test_any_tiff_gives_an_image_or_an_image_error(tmp_path, pixels, photometric, compression, stretch):
    path = tmp_path / "a.tif"
    try:
        tifffile.imwrite(path, pixels, photometric=photometric, compression=compression)
    except (ValueError, NotImplementedError, TypeError, RuntimeError):
        return  # tifffile does not write every combination
    check(path, stretch)


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16", "F"]


@fuzz
@given(
    pixels=arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    mode=st.sampled_from(MODES),
    kind=st.sampled_from(["PNG", "JPEG", "BMP", "TIFF"]),
    orientation=st.integers(0, 9),
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_any_mode_gives_an_image_or_an_image_error(tmp_path, pixels, mode, kind, orientation):
    path = tmp_path / "a.img"
    exif = Image.Exif()
    exif[274] = orientation
    try:
        Image.fromarray(pixels).convert(mode).save(path, format=kind, **({} if kind == "BMP" else {"exif": exif}))
    except (OSError, ValueError):
        return  # not every format holds every mode
    check(path)


def _encoded(kind):
    out = io.BytesIO()
    if kind.startswith("TIFF"):
        tifffile.imwrite(out, PHOTO, photometric="rgb", **LAYOUTS[kind.partition(" ")[2]])
    else:
        Image.fromarray(PHOTO).save(out, format=kind)
    return out.getvalue()


VALID = [
    _encoded(kind) for kind in ("PNG", "JPEG", "BMP", "TIFF strips", "TIFF lzw", "TIFF planar tiles", "TIFF bigtiff")
]


@settings(fuzz, max_examples=400)
@given(
    valid=st.sampled_from(VALID),
    cut=st.integers(0, 10_000),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
)
@pytest.mark.filterwarnings("ignore")
def test_any_damage_gives_an_image_or_an_image_error(tmp_path, valid, cut, changes):
    content = bytearray(valid[:cut] if cut < len(valid) else valid)
    for place, value in changes:
        if place < len(content):
            content[place] = value
    (tmp_path / "a.img").write_bytes(content)
    check(tmp_path / "a.img")


@fuzz
@given(
    start=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"BM", b"II*\0\x08\0\0\0", b"MM\0*"]),
    rest=st.binary(max_size=300),
)
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_give_an_image_or_an_image_error(tmp_path, start, rest):
    (tmp_path / "a.img").write_bytes(start + rest)
    check(tmp_path / "a.img")


def check(path, stretch=False):
    """Pages and pixels are read, or refused as ImageError; whatever else, or a hang, fails the test."""
    for call in (lambda: images.page_count(path), lambda: images.read(path, stretch=stretch, max_pixels=1_000_000)):
        try:
            result = call()
        except ImageError as error:
            assert str(path) in str(error)
        else:
            assert isinstance(result, int) or (result.dtype == np.uint8 and result.ndim == 3 and result.shape[2] == 3)
