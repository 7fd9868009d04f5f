"""What is wrong with a folder is said before the work begins."""

from __future__ import annotations

import shutil
from collections import namedtuple

import numpy as np
import pytest
from PIL import Image

from rootpainter_rootfm.errors import Cancelled
from rootpainter_rootfm.masks import MaskFormat
from rootpainter_rootfm.painter import preflight
from rootpainter_rootfm.painter.preflight import Level, Order, check, suggest_output
from rootpainter_rootfm.progress import CancelToken


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
