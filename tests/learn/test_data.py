import json
import struct
import unicodedata
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from rootpainter_rootfm import images, light, masks
from rootpainter_rootfm.errors import DataError, ImageError, MaskError
from rootpainter_rootfm.learn.data import Item, check_files, load, load_shown, read_datasets, read_truth
from tests.learn.helpers import photograph, write_data, write_manifest


def test_a_manifest_gives_its_datasets_with_their_splits(tmp_path):
    write_data(tmp_path, names=("sand", "clay"), per_split=2)
    sand, clay = read_datasets(tmp_path)
    assert (sand.name, clay.name) == ("sand", "clay")
    assert [len(sand.split(name).items) for name in ("train", "val", "test")] == [2, 2, 2]
    truth = load(sand.split("val").items[0])
    image, mask = photograph(1)
    np.testing.assert_array_equal(truth.image, image)
    np.testing.assert_array_equal(truth.root, mask)
    assert truth.known is None


def test_a_network_is_shown_images_without_uncommon_colours_and_their_masks_as_they_are(tmp_path):
    rows = write_data(tmp_path, names=("sand",), per_split=1)
    file = tmp_path / rows[0]["image"]
    blue = np.uint8(np.asarray(Image.open(file).convert("RGB")) * (0.3, 0.4, 1))
    Image.fromarray(blue).save(file)
    item = read_datasets(tmp_path)[0].items[0]
    as_it_is, shown = load(item), load_shown(item)
    assert (light.gains(as_it_is.image) != 1).any()
    np.testing.assert_array_equal(shown.image, light.balanced(as_it_is.image))
    np.testing.assert_array_equal(shown.root, as_it_is.root)


def test_datasets_are_chosen_by_name_and_by_split(tmp_path):
    rows = write_data(tmp_path, names=("sand", "clay", "peat"), per_split=1)
    write_manifest(tmp_path, [row | {"split": "probe"} if row["dataset"] == "peat" else row for row in rows])
    assert [one.name for one in read_datasets(tmp_path)] == ["sand", "clay"]
    assert [one.name for one in read_datasets(tmp_path, splits=["probe"])] == ["peat"]
    assert [one.name for one in read_datasets(tmp_path, only=["peat"])] == ["peat"]
    assert [one.name for one in read_datasets(tmp_path, without=["sand"])] == ["clay"]
    with pytest.raises(DataError, match="no dataset loam; it has clay, peat, sand"):
        read_datasets(tmp_path, only=["loam"])
    with pytest.raises(DataError, match="Looked for rows of dev; there are probe, test, train, val"):
        read_datasets(tmp_path, splits=["dev"])


def test_a_group_is_never_divided_between_splits(tmp_path):
    rows = write_data(tmp_path, names=("sand",), per_split=1)
    write_manifest(tmp_path, [row | {"split_group": "tube 1"} for row in rows])
    with pytest.raises(DataError, match="tube 1 of sand is divided"):
        read_datasets(tmp_path)


def test_an_image_without_a_group_is_a_group_of_its_own(tmp_path):
    rows = write_data(tmp_path, names=("sand",), per_split=1)
    write_manifest(tmp_path, [row | {"split_group": " ", "stem": "001"} for row in rows])
    assert [item.split for item in read_datasets(tmp_path)[0].items] == ["train", "val", "test"]


def test_splits_are_known_in_capitals_and_with_blanks(tmp_path):
    rows = write_data(tmp_path, names=("sand",), per_split=1)
    write_manifest(tmp_path, [row | {"split": f"{row['split'].capitalize()} "} for row in rows])
    assert [item.split for item in read_datasets(tmp_path)[0].items] == ["train", "val", "test"]


@pytest.mark.parametrize("other", ["sand_1", "Sand 1", "sand/1"])
def test_datasets_that_would_share_a_folder_are_refused(tmp_path, other):
    rows = write_data(tmp_path, names=("sand", "clay"), per_split=1)
    write_manifest(tmp_path, [row | {"dataset": "sand 1" if row["dataset"] == "sand" else other} for row in rows])
    with pytest.raises(DataError, match=f'the datasets "sand 1" and "{other}" would be written to one folder'):
        read_datasets(tmp_path)


def test_groups_of_the_same_name_in_two_datasets_are_two_groups(tmp_path):
    rows = write_data(tmp_path, names=("sand", "clay"), per_split=1)
    split_of = {"sand": "train", "clay": "test"}
    write_manifest(tmp_path, [row | {"split_group": "1", "split": split_of[row["dataset"]]} for row in rows])
    assert len(read_datasets(tmp_path)) == 2


def test_blanks_around_what_stands_in_a_manifest_do_not_count(tmp_path):
    rows = write_data(tmp_path, names=("sand",), per_split=1)
    write_manifest(tmp_path, [{f" {column} ": f" {value} " for column, value in row.items()} for row in rows])
    (sand,) = read_datasets(tmp_path)
    assert sand.name == "sand" and all(file.is_file() for item in sand.items for file in item.files)


@pytest.mark.parametrize("column", ["dataset", "image", "mask"])
def test_a_row_without_dataset_image_or_mask_is_refused(tmp_path, column):
    rows = write_data(tmp_path, names=("sand",), per_split=1)
    rows[1][column] = " "
    write_manifest(tmp_path, rows)
    with pytest.raises(DataError, match=f"row 2 below the head has no {column}"):
        read_datasets(tmp_path)


def test_an_image_that_stands_in_two_rows_is_refused(tmp_path):
    rows = write_data(tmp_path, names=("sand", "clay"), per_split=1)
    rows[4]["image"] = f"clay/../{rows[0]['image']}"
    write_manifest(tmp_path, rows)
    with pytest.raises(DataError, match="stands in row 1 below the head and again in row 5"):
        read_datasets(tmp_path)


@pytest.mark.parametrize("content", ["", "dataset,stem\nsand,a\n"])
def test_a_manifest_without_rows_or_columns_is_refused(tmp_path, content):
    (tmp_path / "manifest.csv").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="needs the columns"):
        read_datasets(tmp_path)


def test_a_manifest_that_a_spreadsheet_saved_is_read_or_refused_in_words(tmp_path):
    rows = write_data(tmp_path, names=("sand",), per_split=1)
    file = tmp_path / "manifest.csv"
    text = file.read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8-sig")
    assert len(read_datasets(tmp_path)[0].items) == len(rows)
    file.write_bytes(text.replace("sand", "Rüben").encode("cp1252"))
    with pytest.raises(DataError, match="save it as CSV UTF-8"):
        read_datasets(tmp_path)
    file.write_text(text.replace(",", ";"), encoding="utf-8")
    with pytest.raises(DataError, match="divided by commas"):
        read_datasets(tmp_path)
    file.write_text(text + "sand\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"row {len(rows) + 1} below the head has too few columns"):
        read_datasets(tmp_path)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match="neither a manifest.csv, nor a RootPainter project"):
        read_datasets(tmp_path)


def test_folders_of_images_and_masks_are_one_dataset_to_measure_on(tmp_path):
    folder = tmp_path / "plates"
    image, mask = photograph(0)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    Image.fromarray(image).save(folder / "images" / "a.jpg")
    masks.write(mask, folder / "masks" / "a.png", masks.MaskFormat.ROOTPAINTER)
    (plates,) = read_datasets(folder)
    assert plates.name == "plates" and [item.split for item in plates.items] == ["test"]
    np.testing.assert_array_equal(load(plates.items[0]).root, mask)
    Image.fromarray(image).save(folder / "images" / "b.jpg")
    with pytest.raises(DataError, match=r"b\.jpg has no mask"):
        read_datasets(folder)


def project(sync, annotated):
    """A RootPainter project in a sync folder; `annotated` are (split, stem) pairs."""
    folder = sync / "projects" / "beans"
    (sync / "datasets" / "tubes").mkdir(parents=True)
    image, mask = photograph(3)
    for split, stem in annotated:
        Image.fromarray(image).save(sync / "datasets" / "tubes" / f"{stem}.jpg")
        (folder / "annotations" / split).mkdir(parents=True, exist_ok=True)
        soil = np.zeros_like(mask)
        soil[:9] = ~mask[:9]
        root = mask.copy()
        root[40:] = False
        masks.write_annotation(root, soil, folder / "annotations" / split / f"{stem}.png")
    described = {"name": "beans", "dataset": "tubes", "location": "projects/beans", "file_names": []}
    (folder / "beans.seg_proj").write_text(json.dumps(described), encoding="utf-8")
    return folder


def test_of_a_rootpainter_project_only_annotated_pixels_are_known(tmp_path):
    folder = project(tmp_path, [("train", "a"), ("val", "b"), ("train", "c.1")])
    (beans,) = read_datasets(folder)
    assert beans.name == "beans"
    assert [(item.stem, item.split) for item in beans.items] == [("a", "train"), ("c.1", "train"), ("b", "val")]
    truth = load(beans.items[0])
    _, mask = photograph(3)
    assert truth.known[:9].all() and not truth.known[41:].any()
    np.testing.assert_array_equal(truth.root[:40], mask[:40])
    assert not truth.root[40:].any()


def test_a_project_can_be_named_from_inside(tmp_path, monkeypatch):
    monkeypatch.chdir(project(tmp_path, [("train", "a")]))
    assert [item.stem for item in read_datasets(".")[0].items] == ["a"]


def test_what_macs_leave_beside_a_project_on_a_share_is_passed_over(tmp_path):
    folder = project(tmp_path, [("train", "a")])
    (folder / "._beans.seg_proj").write_bytes(b"\0\5\x16\7")
    assert read_datasets(folder)[0].name == "beans"


def test_an_umlaut_in_a_name_may_be_written_in_two_ways(tmp_path):
    folder = project(tmp_path, [("train", unicodedata.normalize("NFC", "Würzel"))])
    (image,) = (tmp_path / "datasets" / "tubes").iterdir()
    image.rename(image.with_stem(unicodedata.normalize("NFD", image.stem)))
    assert len(read_datasets(folder)[0].items) == 1


def test_a_project_that_was_made_on_windows_is_found(tmp_path):
    folder = project(tmp_path, [("train", "a")])
    (tmp_path / "datasets" / "2024").mkdir()
    (tmp_path / "datasets" / "tubes").rename(tmp_path / "datasets" / "2024" / "tubes")
    file = folder / "beans.seg_proj"
    described = json.loads(file.read_text(encoding="utf-8")) | {"dataset": r"2024\tubes"}
    file.write_text(json.dumps(described), encoding="utf-8")
    assert [item.stem for item in read_datasets(folder)[0].items] == ["a"]


def test_a_project_whose_image_is_gone_says_which(tmp_path):
    folder = project(tmp_path, [("train", "a"), ("val", "b")])
    (tmp_path / "datasets" / "tubes" / "b.jpg").unlink()
    with pytest.raises(DataError, match=r"b\.png has no image"):
        read_datasets(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "beans", "dataset": 3}'])
def test_a_broken_project_file_is_refused(tmp_path, text):
    folder = project(tmp_path, [("train", "a")])
    (folder / "beans.seg_proj").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="not a RootPainter project"):
        read_datasets(folder)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_in_whatever_mode_a_mask_was_saved_white_is_root(tmp_path, mode):
    _, mask = photograph(0)
    white = Image.fromarray(np.uint16(mask) * np.uint16(65535)) if mode == "I;16" else Image.fromarray(mask)
    (white if mode == "I;16" else white.convert("L").convert(mode)).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_truth(tmp_path / "mask.png"), mask)


@pytest.mark.parametrize("name", ["mask.png", "mask.tif", "mask.bmp"])
@pytest.mark.parametrize("root", [1, 255])
def test_root_is_one_or_white(tmp_path, name, root):
    _, mask = photograph(0)
    Image.fromarray(np.uint8(mask) * np.uint8(root)).save(tmp_path / name)
    np.testing.assert_array_equal(read_truth(tmp_path / name), mask)


def deep(path, levels, kind):
    """A TIFF, or where there is no such one a PNG of 16 bits."""
    Image.fromarray(levels.astype(np.uint16)).save(path) if kind == "png" else tifffile.imwrite(
        path, levels.astype(kind)
    )


@pytest.mark.parametrize("kind", ["uint16", "int32", "float32", "png"])
@pytest.mark.parametrize("white", [1, 255, 65535])
def test_root_is_one_or_white_in_files_of_more_than_8_bits_too(tmp_path, kind, white):
    _, mask = photograph(0)
    path = tmp_path / ("mask.png" if kind == "png" else "mask.tif")
    deep(path, mask * white, kind)
    np.testing.assert_array_equal(read_truth(path), mask)


@pytest.mark.parametrize("kind", ["uint16", "int32", "float32", "png"])
@pytest.mark.parametrize("classes", [3, 200, 40000])
def test_classes_and_numbered_roots_of_more_than_8_bits_are_refused(tmp_path, kind, classes):
    levels = np.linspace(0, classes, 60 * 90).round().reshape(60, 90)
    path = tmp_path / ("mask.png" if kind == "png" else "mask.tif")
    deep(path, levels, kind)
    with pytest.raises(MaskError, match=f"values up to {classes}.*save it with root in white"):
        read_truth(path)


@pytest.mark.parametrize("odd", [-1, np.nan])
def test_a_mask_of_what_is_no_level_is_refused(tmp_path, odd):
    deep(tmp_path / "mask.tif", np.array([[0, 1, odd]]), "float32")
    with pytest.raises(MaskError, match="below zero or no numbers"):
        read_truth(tmp_path / "mask.tif")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_mask_is_turned_by_its_exif_note_as_photographs_are(tmp_path, suffix):
    image, mask = photograph(0)
    exif = Image.Exif()
    exif[274] = 6
    for name, layer in (("image", image), ("mask", np.uint8(mask) * np.uint8(255))):
        ending = suffix if name == "mask" else "png"
        Image.fromarray(layer).save(
            tmp_path / f"{name}.{ending}", exif=exif, **({"quality": 100} if ending == "jpg" else {})
        )
    truth = load(Item(tmp_path / "image.png", tmp_path / f"mask.{suffix}"))
    np.testing.assert_array_equal(truth.root, np.rot90(mask, -1))
    Image.fromarray(mask).save(tmp_path / "mask.png")
    for look in (load, check_files):
        with pytest.raises(DataError, match="must be equal. Perhaps an EXIF note turns the photograph upright"):
            look(Item(tmp_path / "image.png", tmp_path / "mask.png"))


def test_an_exif_note_behind_the_pixels_turns_a_mask_as_it_turns_a_photograph(tmp_path):
    image, mask = photograph(0)
    exif = Image.Exif()
    exif[274] = 6
    for name, layer in (("image", image), ("mask", np.uint8(mask) * np.uint8(255))):
        Image.fromarray(layer).save(tmp_path / f"{name}.png")
        content, note = (tmp_path / f"{name}.png").read_bytes(), b"eXIf" + exif.tobytes()[6:]
        chunk = struct.pack(">I", len(note) - 4) + note + struct.pack(">I", zlib.crc32(note))
        (tmp_path / f"{name}.png").write_bytes(content[:-12] + chunk + content[-12:])
    truth = load(Item(tmp_path / "image.png", tmp_path / "mask.png"))
    np.testing.assert_array_equal(truth.root, np.rot90(mask, -1))


def test_files_are_compared_by_their_headers_and_read_only_where_these_differ(tmp_path, monkeypatch):
    image, mask = photograph(0)
    Image.fromarray(image).save(tmp_path / "image.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    with tifffile.TiffWriter(tmp_path / "reduced.tif") as tiff:
        tiff.write(image[::2, ::2], photometric="rgb", subfiletype=1)
        tiff.write(image, photometric="rgb")
    check_files(Item(tmp_path / "reduced.tif", tmp_path / "mask.png"))
    monkeypatch.setattr(images, "read", None)
    check_files(Item(tmp_path / "image.png", tmp_path / "mask.png"))
    with pytest.raises(DataError, match=r"gone\.png is missing"):
        check_files(Item(tmp_path / "image.png", tmp_path / "gone.png"))


def test_smooth_borders_of_a_mask_are_cut_half_way_and_the_noise_of_an_empty_one_is_no_root(tmp_path):
    Image.fromarray(np.uint8([[0, 100, 127, 128, 200, 255]])).save(tmp_path / "mask.png")
    assert read_truth(tmp_path / "mask.png").tolist() == [[False, False, False, True, True, True]]
    noise = np.random.default_rng(0).integers(0, 6, (48, 64), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "empty.jpg", quality=95)
    assert not read_truth(tmp_path / "empty.jpg").any()
    specks = np.zeros((200, 200), np.uint8)
    specks[-1, 50:70] = 100  # the smooth rim of a root below the picture
    for name in ("empty.png", "empty.tif"):
        Image.fromarray(specks).save(tmp_path / name)
        assert not read_truth(tmp_path / name).any()


@pytest.mark.parametrize("name", ["mask.png", "mask.tif", "mask.jpg"])
@pytest.mark.parametrize("values", [(100,), (30, 60), tuple(range(11, 20))])
def test_a_mask_in_which_nothing_is_white_and_much_is_not_black_is_refused(tmp_path, name, values):
    levels = np.zeros((60, 90), np.uint8)
    for row, value in enumerate(values):
        levels[6 * row : 6 * row + 3] = value
    Image.fromarray(levels).save(tmp_path / name, **({"quality": 95} if name.endswith("jpg") else {}))
    with pytest.raises(
        MaskError, match=r"mask\.\w+ cannot be read: it holds values up to .*save it with root in white"
    ):
        read_truth(tmp_path / name)


@pytest.mark.parametrize("mode", ["RGB", "P"])
@pytest.mark.parametrize("name", ["mask.png", "mask.tif", "mask.bmp", "mask.jpg"])
def test_classes_in_colour_are_refused_whatever_the_format(tmp_path, name, mode):
    classes = np.zeros((60, 90, 3), np.uint8)
    classes[10:20], classes[30:40] = (128, 0, 0), (255, 255, 0)
    picture = Image.fromarray(classes)
    (picture if name.endswith("jpg") else picture.convert(mode)).save(tmp_path / name)
    with pytest.raises(MaskError, match=rf"{name} cannot be read: its colours are not .*save it with root in white"):
        read_truth(tmp_path / name)


def test_classes_in_deep_colour_are_refused_and_deep_grey_in_three_channels_is_read(tmp_path):
    _, mask = photograph(0)
    white = np.repeat(np.uint16(mask)[:, :, None] * np.uint16(65535), 3, axis=2)
    tifffile.imwrite(tmp_path / "mask.tif", white, photometric="rgb")
    np.testing.assert_array_equal(read_truth(tmp_path / "mask.tif"), mask)
    tifffile.imwrite(tmp_path / "mask.tif", white * np.uint16([1, 0, 0]), photometric="rgb")
    with pytest.raises(MaskError, match="its colours are not those of a root mask"):
        read_truth(tmp_path / "mask.tif")


@pytest.mark.parametrize("name", ["mask.png", "mask.tif", "mask.bmp", "mask.jpg"])
@pytest.mark.parametrize("root", [(255, 255, 255), (0, 255, 255), masks.ROOT_RGBA])
def test_white_and_rootpainters_cyan_are_root_whatever_the_format(tmp_path, name, root):
    _, mask = photograph(0)
    colours = mask[:, :, None] * np.uint8(root)
    if len(root) == 4 and name.endswith(("jpg", "bmp")):
        colours = colours[:, :, :3]
    Image.fromarray(colours).save(tmp_path / name, **({"quality": 100, "subsampling": 0} if "jpg" in name else {}))
    np.testing.assert_array_equal(read_truth(tmp_path / name), mask)


def test_mask_and_image_of_different_size_are_refused(tmp_path):
    image, mask = photograph(0)
    Image.fromarray(image).save(tmp_path / "image.png")
    Image.fromarray(mask[:-1]).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match="96×79 pixels, its image 96×80"):
        load(Item(tmp_path / "image.png", tmp_path / "mask.png"))


def test_what_cannot_be_read_says_so(tmp_path):
    image, mask = photograph(0)
    Image.fromarray(image).save(tmp_path / "image.png")
    (tmp_path / "mask.png").write_bytes(b"nothing")
    with pytest.raises(MaskError, match=r"mask\.png"):
        load(Item(tmp_path / "image.png", tmp_path / "mask.png"))
    with pytest.raises(ImageError, match=r"gone\.png"):
        load(Item(tmp_path / "gone.png", tmp_path / "mask.png"))
    with pytest.raises(DataError, match="neither a mask nor an annotation"):
        load(Item(tmp_path / "image.png"))


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P"])
def test_white_is_root_in_masks_of_any_mode(tmp_path, mode):
    _, mask = photograph(0)
    Image.fromarray(np.uint8(mask) * np.uint8(255)).convert(mode).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_truth(tmp_path / "mask.png"), mask)


def test_a_rhizovision_mask_of_this_program_is_read_as_it_was_meant(tmp_path):
    mask = np.zeros((20, 30), bool)
    mask[4:9] = True
    masks.write(mask, tmp_path / "mask.png", masks.MaskFormat.RHIZOVISION, note="ours")
    np.testing.assert_array_equal(read_truth(tmp_path / "mask.png"), mask)
