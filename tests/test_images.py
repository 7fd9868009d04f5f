import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from rootpainter_rootfm import files, images
from rootpainter_rootfm.errors import ImageError
from tests.pictures import GREY, LAYOUTS, PHOTO, RAMP, raw_tiff, saved

# ---- 8 bits stay as they are


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_eight_bit_colour_is_read_unchanged(tmp_path, name):
    pixels = images.read(saved(tmp_path / name, PHOTO))
    assert pixels.dtype == np.uint8 and (pixels == PHOTO).all()
    assert pixels.flags.c_contiguous and pixels.flags.writeable


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_eight_bit_grey_is_repeated_in_three_channels(tmp_path, name):
    pixels = images.read(saved(tmp_path / name, GREY // 2))
    assert (pixels == (GREY // 2)[:, :, None]).all() and pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "fax.tif"])
def test_one_bit_is_black_and_white(tmp_path, name):
    options = {"compression": "group4"} if name == "fax.tif" else {}
    pixels = images.read(saved(tmp_path / name, GREY, "1", **options))
    assert (pixels == np.asarray(Image.fromarray(GREY).convert("1").convert("RGB"))).all()
    assert set(np.unique(pixels)) == {0, 255}


@pytest.mark.parametrize(
    ("name", "mode"),
    [(f"a.{kind}", mode) for kind in ("png", "tif") for mode in ("LA", "RGBA", "P")]
    + [("a.tif", "CMYK"), ("a.jpg", "L"), ("a.jpg", "RGB"), ("a.jpg", "CMYK"), ("a.bmp", "P")],
)
def test_other_eight_bit_modes_equal_pillows_conversion(tmp_path, name, mode):
    path = saved(tmp_path / name, PHOTO, mode)
    expected = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert np.abs(images.read(path) - expected).max() <= 1


@pytest.mark.parametrize("options", [{}, {"compression": "jpeg", "quality": 95}])
def test_a_tiff_in_ycbcr_becomes_rgb(tmp_path, options):
    pixels = images.read(saved(tmp_path / "a.tif", PHOTO, "YCbCr", **options))
    assert np.abs(pixels.astype(int) - PHOTO).mean() < 4


def test_alpha_is_left_out_as_in_rootpainters_window(tmp_path):
    hidden = np.dstack([PHOTO, np.zeros((48, 64), np.uint8)])
    assert (images.read(saved(tmp_path / "a.png", hidden)) == PHOTO).all()
    tifffile.imwrite(tmp_path / "a.tif", hidden, photometric="rgb", extrasamples=["unassalpha"])
    assert (images.read(tmp_path / "a.tif") == PHOTO).all()


def test_a_palette_with_a_transparent_colour_keeps_its_colours(tmp_path):
    image = Image.fromarray(PHOTO).quantize(16)
    image.save(tmp_path / "a.png", transparency=3)
    assert (images.read(tmp_path / "a.png") == np.asarray(image.convert("RGB"))).all()


def test_four_bit_grey_is_spread_over_the_whole_range(tmp_path):
    levels = (RAMP * 15.999).astype(np.uint8)
    raw_tiff(tmp_path / "a.tif", 64, 48, 4, (levels[:, ::2] << 4 | levels[:, 1::2]).tobytes())
    assert (images.read(tmp_path / "a.tif")[:, :, 0] == levels * 17).all()


def test_eight_bits_are_stretched_only_when_asked(tmp_path):
    path = saved(tmp_path / "a.png", GREY // 4)
    assert images.read(path).max() == 63
    assert images.read(path, stretch=True).min() == 0 and images.read(path, stretch=True).max() == 255


# ---- deeper pixels


DEEP = ["u2", ">u2", "i2", "u4", ">u4", "i4", "u8", "f2", "f4", ">f4", "f8", "i1"]


@pytest.mark.parametrize("dtype", DEEP)
@pytest.mark.parametrize("colour", [False, True])
def test_deeper_tiff_is_stretched_over_the_whole_range(tmp_path, dtype, colour):
    source = PHOTO if colour else GREY
    values = (source.astype(float) * 0.4 + 5).astype(dtype)
    order = ">" if dtype.startswith(">") else "<"
    tifffile.imwrite(tmp_path / "a.tif", values, byteorder=order, photometric="rgb" if colour else "minisblack")
    pixels = images.read(tmp_path / "a.tif").astype(int)
    assert pixels.min() == 0 and pixels.max() == 255
    assert np.abs(pixels - (source if colour else source[:, :, None])).max() <= 4


def test_twelve_bits_packed(tmp_path):
    levels = (RAMP * 4095).astype(np.uint16)
    bits = ((levels[:, :, None] >> np.arange(11, -1, -1)) & 1).astype(np.uint8).reshape(48, -1)
    raw_tiff(tmp_path / "a.tif", 64, 48, 12, np.packbits(bits, axis=1).tobytes())
    assert np.abs(images.read(tmp_path / "a.tif")[:, :, 0].astype(int) - GREY).max() <= 2


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_sixteen_bit_png_keeps_its_depth_until_it_is_stretched(tmp_path, channels):
    values = (np.dstack([RAMP] * channels) * 1000 + 7).astype(np.uint16).squeeze()
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(values))
    pixels = images.read(tmp_path / "a.png")
    # The upper eight bits alone hold four levels here.
    assert len(np.unique(pixels)) > 200 and np.abs(pixels.astype(int) - GREY[:, :, None]).max() <= 2


def test_a_full_range_16_bit_tiff_keeps_its_levels_where_rootpainters_trainer_turns_it_white(
    tmp_path, rootpainter_trainer
):
    import im_utils

    tifffile.imwrite(tmp_path / "a.tif", (RAMP * 65535).astype(np.uint16))
    theirs, ours = im_utils.load_image(str(tmp_path / "a.tif")), images.read(tmp_path / "a.tif")
    assert theirs.shape == ours.shape
    assert (theirs == 255).mean() > 0.99
    assert (ours == 255).mean() < 0.02 and len(np.unique(ours)) == 256


def test_eight_bit_images_equal_those_of_rootpainters_trainer(tmp_path, rootpainter_trainer):
    import im_utils

    for name in ("a.png", "a.jpg", "a.tif"):
        path = saved(tmp_path / name, PHOTO)
        assert (images.read(path) == im_utils.load_image(str(path))).all()


def test_the_stretch_ignores_dead_pixels_and_what_is_not_finite(tmp_path):
    values = (RAMP * 100).astype(np.float32)
    values[0, :4] = np.nan, np.inf, -np.inf, 1e9
    tifffile.imwrite(tmp_path / "a.tif", values)
    pixels = images.read(tmp_path / "a.tif")[:, :, 0]
    assert pixels[0, :4].tolist() == [0, 255, 0, 255]
    assert np.abs(pixels[1:].astype(int) - GREY[1:]).max() <= 2


@pytest.mark.parametrize(("dtype", "value"), [("f4", -9999), ("f8", 1e30), ("u2", 65535), ("i2", -32768)])
@pytest.mark.parametrize("colour", [False, True])
def test_where_a_map_says_that_it_knows_nothing_the_stretch_looks_away(tmp_path, dtype, value, colour):
    source = PHOTO if colour else GREY
    values = source.astype(dtype) * 7 + 5
    values[:12, :20] = value
    photometric = "rgb" if colour else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric, extratags=[(42113, "s", 0, str(value), True)])
    pixels = images.read(tmp_path / "a.tif").astype(int)
    assert not pixels[:12, :20].any()
    wanted = source.astype(int) if colour else source[:, :, None].astype(int)
    assert np.abs(pixels - wanted)[12:].max() <= 4
    assert (images.read_values(tmp_path / "a.tif") == values).all()


@pytest.mark.parametrize("value", [np.nan, -3.4028235e38, 3.4028235e38, 1e38])
def test_the_largest_numbers_are_no_light(tmp_path, value):
    values = (RAMP * 100).astype(np.float32)
    values[:, :20] = value
    tifffile.imwrite(tmp_path / "a.tif", values)
    pixels = images.read(tmp_path / "a.tif")[:, :, 0].astype(int)
    assert not pixels[:, :20].any() and np.abs(pixels - GREY)[:, 20:].max() <= 4


@pytest.mark.parametrize("text", ["none", "-9999", "1e999"])
def test_a_value_that_no_pixel_has_changes_nothing(tmp_path, text):
    values = GREY.astype(np.uint16) * 7
    tifffile.imwrite(tmp_path / "a.tif", values)
    tifffile.imwrite(tmp_path / "b.tif", values, extratags=[(42113, "s", 0, text, True)])
    assert (images.read(tmp_path / "a.tif") == images.read(tmp_path / "b.tif")).all()


def test_channels_are_stretched_alike_so_that_colours_keep_their_balance(tmp_path):
    values = (PHOTO.astype(np.uint16) * np.array([1, 1, 0], np.uint16) + np.array([0, 0, 64], np.uint16)) * 100
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    assert np.abs(images.read(tmp_path / "a.tif")[:, :, 2].astype(int) - 64).max() <= 2


def test_a_few_bright_pixels_on_black_are_not_lost(tmp_path):
    values = np.zeros((100, 100), np.uint16)
    values[50, 50] = 40000
    tifffile.imwrite(tmp_path / "a.tif", values)
    assert images.read(tmp_path / "a.tif")[50, 50, 0] == 255


@pytest.mark.parametrize("value", [0, 7, 65535])
@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_a_constant_image_is_black(tmp_path, value, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.full((9, 9), value, dtype))
    assert not images.read(tmp_path / "a.tif").any()


def test_an_image_without_any_finite_value_is_black(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full((9, 9), np.nan, np.float32))
    assert not images.read(tmp_path / "a.tif").any()


# ---- TIFF layouts


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("deep", [False, True])
def test_tiff_layouts(tmp_path, layout, deep):
    planes = LAYOUTS[layout].get("planarconfig") == "separate"
    stored = np.moveaxis(PHOTO, 2, 0) if planes else PHOTO
    tifffile.imwrite(
        tmp_path / "a.tif", stored.astype(np.uint16) * 257 if deep else stored, photometric="rgb", **LAYOUTS[layout]
    )
    assert np.abs(images.read(tmp_path / "a.tif").astype(int) - PHOTO).max() <= (2 if deep else 0)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_white_is_zero_is_turned_round(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", (255 - GREY).astype(dtype), photometric="miniswhite")
    assert np.abs(images.read(tmp_path / "a.tif")[:, :, 0].astype(int) - GREY).max() <= (0 if dtype == "u1" else 2)


def test_sixteen_bit_cmyk(tmp_path):
    inks = np.dstack([255 - PHOTO, np.zeros((48, 64), np.uint8)]).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", inks, photometric="separated")
    assert np.abs(images.read(tmp_path / "a.tif").astype(int) - PHOTO).max() <= 2


@pytest.mark.parametrize("scale", [1, 257])
def test_palettes_of_8_and_of_16_bit_entries(tmp_path, scale):
    colormap = (np.stack([np.arange(256), 255 - np.arange(256), np.full(256, 9)]) * scale).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="palette", colormap=colormap)
    assert (images.read(tmp_path / "a.tif") == np.dstack([GREY, 255 - GREY, np.full_like(GREY, 9)])).all()


def test_pages_are_counted_and_chosen(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([PHOTO, PHOTO[:, ::-1], 255 - PHOTO]), photometric="rgb")
    assert images.page_count(tmp_path / "a.tif") == 3
    assert (images.read(tmp_path / "a.tif") == PHOTO).all()
    assert (images.read(tmp_path / "a.tif", page=2) == 255 - PHOTO).all()
    for wrong in (3, -1):
        with pytest.raises(ImageError, match="pages are 0 to 2"):
            images.read(tmp_path / "a.tif", page=wrong)


def test_a_photograph_tells_of_its_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([PHOTO, 255 - PHOTO]), photometric="rgb")
    found = images.read_photograph(tmp_path / "a.tif", page=1)
    assert (found.pixels == 255 - PHOTO).all() and found.pages == 2
    assert found.sha256 == files.sha256(tmp_path / "a.tif")
    assert images.read_photograph(saved(tmp_path / "b.png", PHOTO)).pages == 1


def test_reduced_copies_are_no_pages(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(PHOTO, photometric="rgb")
        tiff.write(PHOTO[::2, ::2], photometric="rgb", subfiletype=1)
    assert images.page_count(tmp_path / "a.tif") == 1


def test_reduced_copies_before_a_page_are_passed_over(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for page in (PHOTO, 255 - PHOTO):
            tiff.write(page[::2, ::2], photometric="rgb", subfiletype=1)
            tiff.write(page, photometric="rgb")
    assert images.page_count(tmp_path / "a.tif") == 2
    assert images.pixel_count(tmp_path / "a.tif", page=1) == PHOTO.shape[0] * PHOTO.shape[1]
    assert (images.read(tmp_path / "a.tif") == PHOTO).all()
    assert (images.read(tmp_path / "a.tif", page=1) == 255 - PHOTO).all()


def test_three_grey_pages_are_pages_and_not_channels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY, GREY // 2, GREY // 4]), photometric="minisblack")
    assert images.page_count(tmp_path / "a.tif") == 3
    assert (images.read(tmp_path / "a.tif", page=1) == (GREY // 2)[:, :, None]).all()


def test_other_images_have_one_page(tmp_path):
    path = saved(tmp_path / "a.png", PHOTO)
    assert images.page_count(path) == 1
    with pytest.raises(ImageError, match="only TIFF"):
        images.read(path, page=1)


# ---- orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_photographs_are_turned_upright(tmp_path, orientation, name):
    exif = Image.Exif()
    exif[274] = orientation
    path = saved(tmp_path / name, PHOTO, exif=exif, **({"quality": 95} if name == "a.jpg" else {}))
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    pixels = images.read(path)
    assert pixels.shape == expected.shape and np.abs(pixels.astype(int) - expected).max() <= 1
    assert pixels.flags.c_contiguous and pixels.flags.writeable
    assert images.size_in_header(path) == expected.shape[:2] and (images.read_values(path) == pixels).all()


def test_a_header_is_read_without_decoding_what_follows(tmp_path):
    for name in ("a.png", "a.jpg", "a.tif"):
        path = saved(tmp_path / name, np.random.default_rng(0).integers(0, 256, PHOTO.shape, dtype=np.uint8))
        if name != "a.tif":  # which may have its header at its end
            path.write_bytes(path.read_bytes()[:-1000])
        assert images.size_in_header(path) == PHOTO.shape[:2]
    with pytest.raises(ImageError, match="not a PNG, JPEG"):
        images.size_in_header(saved(tmp_path / "a.gif", PHOTO))


@pytest.mark.parametrize("kind", ["uint16", "int32", "float32", "uint8"])
def test_values_are_read_as_a_file_holds_them(tmp_path, kind):
    values = np.arange(12).reshape(3, 4).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", values)
    found = images.read_values(tmp_path / "a.tif")
    assert found.dtype == values.dtype and (found == values).all()


# ---- names and folders


def test_images_are_known_by_extension_and_dot_files_are_none():
    assert all(
        images.is_image_name(name) for name in ("a.png", "B.JPG", "c.jpeg", "d.tif", "e.TIFF", "f.bmp", "/x/g.png")
    )
    assert not any(images.is_image_name(name) for name in ("._a.jpg", ".b.png", "/x/._c.jpg", "d.txt", "png", "e.npz"))


def test_a_folder_lists_its_images_sorted(tmp_path):
    for name in ("b.png", "a.jpg", "._a.jpg", "notes.txt", "C.TIF"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in images.list_images(tmp_path)] == ["C.TIF", "a.jpg", "b.png"]
    with pytest.raises(ImageError, match="nowhere"):
        images.list_images(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a.png", "Thumbs.db", "notes.txt", ".b.heic", ".hidden/"), ""),
        (("a.png", "b.HEIC"), "1 file of other kinds (.HEIC) was left alone: export such files as JPEG, PNG or TIFF."),
        (("a.png", "week 1/"), "1 subfolder was left alone: segment a subfolder by itself."),
        (
            ("b.HEIC", "c.heic", "d.CR2", "week 1/", "out/"),
            "3 files of other kinds (.CR2, .HEIC) and 1 subfolder were left alone: export such files as JPEG, PNG or "
            "TIFF and segment a subfolder by itself.",
        ),
        (("a.JPG", "a.CR2"), ""),
    ],
)
def test_what_a_folder_holds_besides_is_said(tmp_path, names, said):
    for name in names:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    assert images.left_alone(tmp_path, images.list_images(tmp_path), tmp_path / "out") == said


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_what_goes_with_an_image_never_makes_it_unreadable(tmp_path, suffix):
    profile = np.random.default_rng(0).bytes(1_100_000)
    Image.fromarray(PHOTO).save(tmp_path / f"a.{suffix}", icc_profile=profile, quality=95)
    Image.fromarray(PHOTO).save(tmp_path / f"b.{suffix}", exif=b"Exif\0\0no such thing", quality=95)
    assert (images.read(tmp_path / f"a.{suffix}") == images.read(tmp_path / f"b.{suffix}")).all()
