import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage import img_as_ubyte
from skimage.io import imread, imsave

from rootpainter_rootfm import masks
from rootpainter_rootfm.errors import MaskError
from rootpainter_rootfm.masks import MaskFormat


@pytest.fixture
def mask():
    drawn = np.zeros((60, 90), bool)
    drawn[5:50, 10:14] = True
    drawn[30, 12:80] = True
    return drawn


@pytest.fixture
def probability():
    return np.random.default_rng(0).random((60, 90), dtype=np.float32)


@pytest.mark.parametrize("fmt", MaskFormat)
def test_every_format_reads_back(tmp_path, mask, fmt):
    path = tmp_path / f"m{fmt.suffix}"
    masks.write(mask, path, fmt)
    assert (masks.read(path) == mask).all()
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("fmt", MaskFormat)
@pytest.mark.parametrize("found", [True, False])
def test_a_mask_of_one_value_reads_back(tmp_path, fmt, found):
    path = tmp_path / f"m{fmt.suffix}"
    masks.write(np.full((7, 5), found), path, fmt)
    assert (masks.read(path) == found).all()


@pytest.mark.parametrize("fmt", MaskFormat)
def test_a_note_travels_inside_the_mask(tmp_path, mask, fmt):
    masks.write(mask, tmp_path / "m", fmt, note="made by 1a2b")
    assert masks.read_note(tmp_path / "m") == "made by 1a2b" and (masks.read(tmp_path / "m") == mask).all()
    masks.write(mask, tmp_path / "m", fmt)
    assert masks.read_note(tmp_path / "m") == ""


def test_rootpainter_pixels_are_cyan_on_nothing(tmp_path, mask):
    masks.write(mask, tmp_path / "m.png")
    pixels = imread(tmp_path / "m.png")
    assert pixels.shape == (60, 90, 4) and pixels.dtype == np.uint8
    assert (pixels[mask] == [0, 255, 255, 178]).all() and not pixels[~mask].any()


def test_rhizovision_pixels_are_black_on_white_in_one_channel(tmp_path, mask):
    masks.write(mask, tmp_path / "m.png", MaskFormat.RHIZOVISION)
    pixels = imread(tmp_path / "m.png")
    assert pixels.dtype == np.uint8 and (pixels == np.where(mask, 0, 255)).all()


def test_npz_holds_one_bool_array_named_seg(tmp_path, mask):
    masks.write(mask, tmp_path / "m.npz", MaskFormat.NPZ)
    with np.load(tmp_path / "m.npz") as arrays:
        assert arrays.files == ["seg"] and arrays["seg"].dtype == bool and (arrays["seg"] == mask).all()


@pytest.mark.parametrize("fmt", MaskFormat)
def test_pixels_equal_those_of_rootpainters_own_trainer(tmp_path, mask, fmt, rootpainter_trainer, monkeypatch):
    import trainer

    Image.new("RGB", mask.shape[::-1]).save(tmp_path / "photo.jpg")
    monkeypatch.setattr(trainer, "ensemble_segment", lambda *_: mask.astype(int))
    theirs = trainer.Trainer.__new__(trainer.Trainer)
    theirs.training, theirs.msg_dir, theirs.bs, theirs.in_w, theirs.out_w = True, None, 1, 572, 500
    theirs.segment_file(str(tmp_path), str(tmp_path), "photo.jpg", ["unet.pkl"], fmt.value)
    written = tmp_path / f"photo{fmt.suffix}"
    assert (masks.read(written) == mask).all()
    masks.write(mask, tmp_path / f"ours{fmt.suffix}", fmt)
    if fmt is not MaskFormat.NPZ:
        assert (imread(tmp_path / f"ours{fmt.suffix}") == imread(written)).all()


def test_rootpainters_corrected_segmentation_reads_back(tmp_path, mask, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    im_utils = pytest.importorskip("root_painter.im_utils")
    # The scikit-image of RootPainter's installers turns floats into bytes by itself; later ones refuse to.
    monkeypatch.setattr(im_utils, "imsave", lambda path, pixels: imsave(path, img_as_ubyte(pixels)))
    root, soil = np.zeros_like(mask), np.zeros_like(mask)
    root[50:55, 60:70], soil[5:20, 10:14] = True, True
    for folder in ("seg", "annot", "out"):
        (tmp_path / folder).mkdir()
    masks.write(mask, tmp_path / "seg" / "a.png")
    masks.write_annotation(root, soil, tmp_path / "annot" / "a.png")
    im_utils.save_corrected_segmentation(
        str(tmp_path / "annot" / "a.png"), str(tmp_path / "seg"), str(tmp_path / "out")
    )
    assert (masks.read(tmp_path / "out" / "a.png") == (mask & ~soil | root)).all()


@pytest.mark.parametrize("mode", ["RGB", "P", "PA of few colours"])
def test_a_rootpainter_mask_that_an_image_program_rewrote_still_reads(tmp_path, mask, mode):
    masks.write(mask, tmp_path / "m.png")
    image = Image.open(tmp_path / "m.png")
    image = (
        image.convert("RGB")
        if mode == "RGB"
        else image.convert("RGB").quantize(4)
        if mode == "P"
        else image.quantize(4)
    )
    image.save(tmp_path / "again.png")
    assert (masks.read(tmp_path / "again.png") == mask).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_black_and_white_is_rhizovision_unless_a_dataset_says_otherwise(tmp_path, mask, mode):
    Image.fromarray(np.where(mask, np.uint8(0), np.uint8(255))).convert(mode).save(tmp_path / "m.png")
    assert (masks.read(tmp_path / "m.png") == mask).all()
    assert (masks.read(tmp_path / "m.png", light_root=True) == ~mask).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA"])
def test_a_dataset_mask_of_zeros_and_ones_reads_with_light_root(tmp_path, mask, mode):
    Image.fromarray(mask.astype(np.uint8)).convert(mode).save(tmp_path / "m.png")
    assert (masks.read(tmp_path / "m.png", light_root=True) == mask).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "I;16"])
def test_classes_in_a_dataset_mask_are_refused(tmp_path, mask, mode):
    levels = np.where(mask, np.uint8(1), np.uint8(0))
    levels[40:44] = 2
    image = Image.fromarray(levels.astype(np.uint16)) if mode == "I;16" else Image.fromarray(levels).convert(mode)
    image.save(tmp_path / "m.png")
    with pytest.raises(MaskError, match="values up to 2, none of them white"):
        masks.read(tmp_path / "m.png", light_root=True)


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "P", "PA of few colours", "smooth rims", "smooth rims in RGB"])
def test_a_rootpainter_mask_is_a_truth_also_where_an_image_program_rewrote_it(tmp_path, mask, mode):
    masks.write(mask, tmp_path / "m.png")
    image = Image.open(tmp_path / "m.png")
    if mode.startswith("smooth"):
        image = image.resize((180, 120), Image.Resampling.BILINEAR)
    if "RGB" in mode:
        image = image.convert(mode.split()[-1])
    if mode.startswith("P"):
        image = (image.convert("RGB") if mode == "P" else image).quantize(4)
    image.save(tmp_path / "again.png")
    found = masks.read(tmp_path / "again.png", light_root=True)
    assert found.any() and (found == masks.read(tmp_path / "again.png")).all()


NAVY, BROWN, TEAL, BLACK, NOTHING = (0, 0, 100), (120, 60, 20), (0, 100, 100), (0, 0, 0, 255), (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("root", "ground", "cause"),
    [
        (NAVY, (0, 0, 0), "not those of a root mask; save it"),
        (BROWN, (0, 0, 0), "not those of a root mask; save it"),
        (BROWN, NAVY, "not those of a root mask; save it"),
        (TEAL, (0, 0, 0), "values up to 100, none of them white"),
        ((*NAVY, 255), NOTHING, "not those of a root mask; save it"),
        (BLACK, NOTHING, "black and transparent pixels in one mask do not tell which are root"),
        (NOTHING, BLACK, "black and transparent pixels in one mask do not tell which are root"),
    ],
)
@pytest.mark.parametrize("palette", [False, True])
def test_dark_colours_in_a_dataset_mask_are_refused_and_not_taken_for_soil(
    tmp_path, mask, root, ground, cause, palette
):
    image = Image.fromarray(np.where(mask[..., None], np.uint8(root), np.uint8(ground)))
    (image.quantize(3) if palette else image).save(tmp_path / "m.png")
    with pytest.raises(MaskError, match=cause):
        masks.read(tmp_path / "m.png", light_root=True)


@pytest.mark.parametrize("fmt", [MaskFormat.ROOTPAINTER, MaskFormat.NPZ])
def test_a_mask_without_roots_is_a_truth_without_roots(tmp_path, fmt):
    masks.write(np.zeros((60, 90), bool), tmp_path / "m", fmt)
    assert not masks.read(tmp_path / "m", light_root=True).any()


def test_grey_of_zeros_and_ones_is_no_mask_to_correct(tmp_path, mask):
    Image.fromarray(mask.astype(np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(MaskError, match="other greys"):
        masks.read(tmp_path / "m.png")


def test_an_empty_mask_reduced_to_transparent_grey_holds_no_root(tmp_path):
    Image.new("L", (8, 8), 0).save(tmp_path / "m.png", transparency=0)
    assert not masks.read(tmp_path / "m.png").any()


def _photograph(path, shape=(20, 20, 3)):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)).save(path)


def _jpeg(path):
    Image.new("RGB", (8, 8)).save(path, format="JPEG")


def _cut_png(path):
    masks.write(np.random.default_rng(0).random((80, 80)) > 0.5, path)
    path.write_bytes(path.read_bytes()[:200])


def _cut_npz(path):
    masks.write(np.ones((8, 8), bool), path, MaskFormat.NPZ)
    path.write_bytes(path.read_bytes()[:60])


def _objects_in_npz(path):
    np.savez(path.open("wb"), seg=np.array([[print]], dtype=object))


def _other_zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.txt", "no array")


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (_photograph, "not those of a root mask"),
        (lambda path: _photograph(path, (20, 20)), "other greys"),
        (_jpeg, "not a PNG"),
        (_cut_png, "cut short"),
        (_cut_npz, "cut short"),
        (_objects_in_npz, "pickle"),
        (_other_zip, "no array named seg"),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.mkdir(), "folder"),
        (lambda path: None, "does not exist"),
    ],
)
def test_what_is_no_mask_is_an_error_with_file_and_cause(tmp_path, make, cause):
    path = tmp_path / "a.png"
    make(path)
    with pytest.raises(MaskError, match=cause) as error:
        masks.read(path)
    assert str(path) in str(error.value)
    if make in (_jpeg, _cut_png):
        with pytest.raises(MaskError, match=cause):
            masks.read_annotation(path)


def test_annotation_reads_back_and_red_wins_over_green(tmp_path):
    root, soil = np.zeros((2, 30, 20), bool)
    root[2:9], soil[7:15] = True, True
    masks.write_annotation(root, soil, tmp_path / "a.png")
    pixels = imread(tmp_path / "a.png")
    assert (pixels[3, 0] == [255, 0, 0, 180]).all() and (pixels[12, 0] == [0, 255, 0, 180]).all()
    read_root, read_soil = masks.read_annotation(tmp_path / "a.png")
    assert (read_root == root).all() and (read_soil == (soil & ~root)).all()


def test_annotation_colours_follow_the_rule_of_red_and_green(tmp_path):
    row = [(255, 0, 0, 180), (0, 255, 0, 180), (255, 255, 0, 180), (0, 0, 255, 180), (0, 0, 0, 0), (255, 9, 9, 0)]
    Image.fromarray(np.array([row], np.uint8)).save(tmp_path / "a.png")
    root, soil = masks.read_annotation(tmp_path / "a.png")
    assert root.tolist() == [[True, False, True, False, False, False]]
    assert soil.tolist() == [[False, True, False, False, False, False]]


@pytest.mark.parametrize("mode", ["RGB", "P", "LA", "L", "1"])
def test_an_annotation_may_be_any_png(tmp_path, mode):
    pixels = np.zeros((6, 6, 3), np.uint8)
    pixels[:2] = (255, 0, 0) if mode in ("RGB", "P") else 255
    pixels[4:] = (0, 255, 0) if mode in ("RGB", "P") else 0
    Image.fromarray(pixels).convert(mode).save(tmp_path / "a.png")
    root, soil = masks.read_annotation(tmp_path / "a.png")
    assert root[:2].all() and not root[2:].any()
    assert soil[4:].all() == (mode in ("RGB", "P")) and not soil[:4].any()


def test_an_annotation_painted_by_rootpainters_window_reads(tmp_path, monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    QtGui = pytest.importorskip("PyQt5.QtGui")
    app = QtGui.QGuiApplication.instance() or QtGui.QGuiApplication([])
    pixmap = QtGui.QPixmap(40, 30)
    pixmap.fill(QtGui.QColor(0, 0, 0, 0))
    painter = QtGui.QPainter(pixmap)
    painter.fillRect(0, 0, 10, 30, QtGui.QColor(255, 0, 0, 180))
    painter.fillRect(20, 0, 10, 30, QtGui.QColor(0, 255, 0, 180))
    painter.end()
    assert pixmap.save(str(tmp_path / "a.png"), "PNG")
    root, soil = masks.read_annotation(tmp_path / "a.png")
    assert root[:, :10].all() and root.sum() == 300 and soil[:, 20:30].all() and soil.sum() == 300
    del app


def test_probability_is_a_compressed_16_bit_tiff(tmp_path, probability):
    probability[0, :2] = 0, 1
    masks.write_probability(probability, tmp_path / "p.tif")
    with tifffile.TiffFile(tmp_path / "p.tif") as tiff:
        page = tiff.pages[0]
        assert len(tiff.pages) == 1 and page.dtype == np.uint16 and page.compression != 1
        levels = page.asarray()
    assert levels[0, 0] == 0 and levels[0, 1] == 65535
    assert np.abs(levels / 65535 - probability).max() <= 0.5 / 65535 + 1e-6


def test_probabilities_in_half_precision_are_written_as_they_are(tmp_path, probability):
    half = probability.astype(np.float16)
    masks.write_probability(half, tmp_path / "p.tif")
    masks.write_probability_preview(half, tmp_path / "p.png")
    exact = half.astype(np.float32)
    assert np.abs(tifffile.imread(tmp_path / "p.tif") / 65535 - exact).max() <= 0.5 / 65535 + 1e-6
    assert np.abs(imread(tmp_path / "p.png") / 255 - exact).max() <= 0.5 / 255 + 1e-6


def test_preview_of_probability_is_an_8_bit_grey_png(tmp_path, probability):
    masks.write_probability_preview(probability, tmp_path / "p.png")
    levels = imread(tmp_path / "p.png")
    assert levels.dtype == np.uint8 and levels.ndim == 2
    assert np.abs(levels / 255 - probability).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("write", [masks.write_probability, masks.write_probability_preview])
@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.1])
def test_a_wrong_probability_is_refused(tmp_path, probability, write, wrong):
    probability[3, 3] = wrong
    with pytest.raises(MaskError, match="0 to 1"):
        write(probability, tmp_path / "p.tif")
    assert not any(tmp_path.iterdir())


def test_large_files_written_in_bands_equal_those_written_at_once(tmp_path, monkeypatch, mask, probability):
    monkeypatch.setattr("rootpainter_rootfm.bands._VALUES_AT_A_TIME", 7 * 90)
    masks.write(mask, tmp_path / "m.png")
    masks.write_probability(probability, tmp_path / "p.tif")
    masks.write_probability_preview(probability, tmp_path / "p.png")
    assert (imread(tmp_path / "m.png")[:, :, 2] == np.where(mask, 255, 0)).all()
    assert (masks.read(tmp_path / "m.png") == mask).all()
    assert np.abs(tifffile.imread(tmp_path / "p.tif") / 65535 - probability).max() < 1e-5
    assert np.abs(imread(tmp_path / "p.png") / 255 - probability).max() < 0.003


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), bool), np.zeros((0, 4), bool)])
def test_only_planes_of_bool_are_written_as_masks(tmp_path, wrong):
    with pytest.raises(MaskError, match="H×W bool"):
        masks.write(wrong, tmp_path / "m.png")


def test_a_folder_that_is_gone_is_a_mask_error_with_the_file(tmp_path, mask):
    with pytest.raises(MaskError, match="gone.*cannot be written"):
        masks.write(mask, tmp_path / "gone" / "m.png")


def test_a_failure_half_way_keeps_the_old_mask_and_leaves_nothing_behind(tmp_path, mask, monkeypatch):
    masks.write(mask, tmp_path / "m.png")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rootpainter_rootfm.png._chunk", full_disk)
    with pytest.raises(MaskError, match="No space left"):
        masks.write(~mask, tmp_path / "m.png")
    monkeypatch.undo()
    assert (masks.read(tmp_path / "m.png") == mask).all()
    assert [path.name for path in Path(tmp_path).iterdir()] == ["m.png"]
