"""What is wrong with a folder is said before the work begins."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from rootpainter_rootfm import masks
from rootpainter_rootfm.errors import Cancelled
from rootpainter_rootfm.masks import MaskFormat
from rootpainter_rootfm.painter.folder import preflight
from rootpainter_rootfm.painter.folder.preflight import Level, Order, check, suggest_output, typed_path
from rootpainter_rootfm.progress import CancelToken
from rootpainter_rootfm.segment.provenance import Provenance, Source, digest
from rootpainter_rootfm.segment.report import Measures


@pytest.fixture
def images(sync):
    folder = sync / "datasets" / "plot"
    folder.mkdir()
    for name in ("a.png", "b.jpg"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / name)
    return folder


def look(images, sync, output=None, local=False, **more):
    order = Order(images, output or sync / "masks", MaskFormat.ROOTPAINTER, **more)
    return check(order, sync, local, CancelToken())


def stops(report):
    return [finding.text for finding in report.findings if finding.level is Level.STOP]


def test_good_folders_may_start(images, sync):
    report = look(images, sync)
    assert report.may_start and report.names == ("a.png", "b.jpg")
    assert any("2 images look readable" in finding.text for finding in report.findings)


def test_unreadable_image_is_named_but_does_not_stop_the_rest(images, sync):
    (images / "c.png").write_bytes(b"not an image")
    report = look(images, sync)
    assert report.may_start and "c.png" in report.names
    assert any("1 cannot be read" in finding.text and "c.png" in finding.text for finding in report.findings)


def test_folder_without_images_stops(images, sync):
    for path in images.iterdir():
        path.unlink()
    assert "no images" in stops(look(images, sync))[0]


def test_vanished_folder_stops(images, sync):
    shutil.rmtree(images)
    assert not look(images, sync).may_start


def test_same_stem_stops_and_names_both(images, sync):
    shutil.copy(images / "a.png", images / "a.tif")
    (stop,) = stops(look(images, sync))
    assert "a.png" in stop and "a.tif" in stop


def test_folder_outside_the_sync_folder_stops_unless_the_trainer_reaches_it(images, sync, tmp_path):
    outside = tmp_path / "elsewhere"
    shutil.copytree(images, outside)
    (stop,) = stops(look(outside, sync))
    assert str(outside) in stop and "datasets" in stop
    assert look(outside, sync, local=True).may_start


def test_folder_that_is_only_linked_into_the_sync_folder_is_outside(images, sync, tmp_path):
    big_disk, link = tmp_path / "big disk", sync / "datasets" / "scans"
    shutil.copytree(images, big_disk)
    link.symlink_to(big_disk)
    (stop,) = stops(look(link, sync))
    assert str(link) in stop
    assert look(link, sync, local=True).may_start


def test_masks_beside_the_images_stop(images, sync):
    report = look(images, sync, output=images)
    assert "share one folder" in stops(report)[0]
    assert not any("there already" in finding.text for finding in report.findings), "they are the photographs"


def test_existing_masks_are_counted_and_kept_or_made_anew(images, sync):
    masks = sync / "masks"
    masks.mkdir()
    (masks / "a.png").write_bytes(b"x")
    (masks / "other.png").write_bytes(b"x")
    texts = [finding.text for finding in look(images, sync).findings]
    (text,) = [text for text in texts if "1 of 2 masks are there already" in text]
    assert "another model or other settings are made anew" in text and "corrected" in text
    texts = [finding.text for finding in look(images, sync, again=True).findings]
    assert any("All of them are made anew" in text for text in texts)


def make_mask(target, image):
    """A mask as it is made from an image, with its note."""
    mask = np.zeros((8, 8), bool)
    note = Provenance({"page": 0}, Source.of(image, target), [], Measures(0, 0, 1, 0), digest(mask))
    target.parent.mkdir(exist_ok=True)
    masks.write(mask, target, note=note.to_text())


def test_masks_of_other_photographs_of_the_same_names_stop(images, sync):
    other = sync / "datasets" / "other plot"
    other.mkdir()
    Image.fromarray(np.ones((8, 8, 3), np.uint8)).save(other / "a.png")
    make_mask(sync / "masks" / "a.png", other / "a.png")
    (stop,) = stops(look(images, sync))
    assert stop == "Masks of other photographs with the same names are among them: a.png. Choose another folder."
    report = look(images, sync, again=True)
    assert report.may_start and any("They are lost." in finding.text for finding in report.findings)
    assert look(other, sync).may_start, "they are its own"


def test_mask_of_a_photograph_that_was_edited_stops_nothing(images, sync):
    make_mask(sync / "masks" / "a.png", images / "a.png")
    Image.fromarray(np.ones((8, 8, 3), np.uint8)).save(images / "a.png")
    assert look(images, sync).may_start


def test_images_of_several_pages_are_named(images, sync):
    tifffile.imwrite(images / "week.tif", np.zeros((8, 50, 60), np.uint8), photometric="minisblack")
    report = look(images, sync)
    (note,) = [finding.text for finding in report.findings if finding.level is Level.NOTE]
    assert report.may_start and note == "1 image holds several pages; only the first is segmented: week.tif."


def test_pictures_of_other_kinds_are_named(images, sync):
    (images / "c.HEIC").touch()
    report = look(images, sync)
    assert report.may_start and any("1 file of other kinds (.HEIC)" in finding.text for finding in report.findings)


@pytest.mark.parametrize("typed", ["{}", " {} ", '"{}"', "'{}'", ' "{}"'])
def test_path_is_taken_as_it_was_pasted(typed, images):
    assert typed_path(typed.format(images)) == images


@pytest.mark.parametrize("name", ["the lab's'", '"', "'a"])
def test_quotes_that_belong_to_a_name_stay(name):
    assert typed_path(name) == Path(name)


def test_path_from_the_home_folder_on_is_understood(tmp_path):
    assert typed_path("~/my masks") == tmp_path / "my masks"


def test_part_of_a_path_stops(images, sync):
    (stop,) = stops(look(images, sync, output=Path("masks")))
    assert stop.startswith("masks is only a part of a path.")
    assert stops(look(Path("plots"), sync, output=Path("masks")))[0].startswith("plots is only a part")


def test_full_disk_stops_and_little_space_is_noted(images, sync, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda place: usage(1, 1, 1_000_000))
    assert "full" in stops(look(images, sync))[0]
    monkeypatch.setattr(preflight, "_LEAST_FREE", 100)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda place: usage(1, 1, 500_000))
    report = look(images, sync)
    assert report.may_start and any("are free for 2 masks" in finding.text for finding in report.findings)


def test_output_that_is_a_file_stops(images, sync):
    (sync / "masks").write_text("")
    assert "is a file" in stops(look(images, sync))[0]


def test_output_that_cannot_be_looked_at_stops(images, sync):
    too_long = sync / ("m" * 300)
    (stop,) = stops(look(images, sync, output=too_long))
    assert str(too_long) in stop and "cannot be used" in stop


def test_look_can_be_cancelled(images, sync):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        check(Order(images, sync / "masks", MaskFormat.NPZ), sync, False, token)


def test_suggested_output_is_inside_for_inside_and_beside_for_outside(images, sync, tmp_path):
    assert suggest_output(sync, images, "rootfm") == sync / "segmentations" / "plot_rootfm"
    assert suggest_output(sync, tmp_path / "x", "rootfm") == tmp_path / "x_rootfm"


def test_suggested_outputs_of_two_folders_are_two(sync, tmp_path):
    masks = sync / "segmentations"
    plots = [sync / "datasets" / plot / "images" for plot in ("plot1", "plot2")]
    suggested = [suggest_output(sync, plot, "rootfm") for plot in plots]
    assert suggested == [masks / "plot1_images_rootfm", masks / "plot2_images_rootfm"]
    assert suggest_output(sync, sync / "datasets", "rootfm") == masks / "datasets_rootfm"
    assert suggest_output(sync, sync, "rootfm") == masks / "sync_rootfm"
    outside = [suggest_output(sync, tmp_path / plot / "images", "rootfm") for plot in ("plot1", "plot2")]
    assert outside == [tmp_path / plot / "images_rootfm" for plot in ("plot1", "plot2")]
