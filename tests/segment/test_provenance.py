import json
import os
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from rootpainter_rootfm import images, masks, opening
from rootpainter_rootfm.errors import ImageError, MaskError
from rootpainter_rootfm.masks import MaskFormat
from rootpainter_rootfm.segment.provenance import Provenance, Source, digest, finished, is_of_another, way
from rootpainter_rootfm.segment.report import Measures
from tests.segment.helpers import photograph

NOTE = Provenance(
    {"method": 1, "models": ["a" * 64], "threshold": 0.1 + 0.2},
    Source("Wurzel ü.png", 12345, 1_700_000_000_123_456_789, "b" * 64, "../images ü"),
    ["rootfm_probability"],
    Measures(7, 0.1, 2 / 3, 0.0),
    "c" * 64,
    "only page 0 of its 3 pages was segmented",
)


@pytest.mark.parametrize("mask_format", list(MaskFormat))
def test_a_note_survives_in_the_mask_and_changes_no_pixel(tmp_path, mask_format):
    mask = photograph(30, 41)[..., 0] > 128
    path = tmp_path / f"m{mask_format.suffix}"
    masks.write(mask, path, mask_format, NOTE.to_text())
    np.testing.assert_array_equal(masks.read(path), mask)
    assert Provenance.from_text(masks.read_note(path)) == NOTE


@pytest.mark.parametrize("mask_format", list(MaskFormat))
def test_a_mask_without_a_note_says_nothing(tmp_path, mask_format):
    path = tmp_path / f"m{mask_format.suffix}"
    masks.write(np.ones((3, 3), bool), path, mask_format)
    assert masks.read_note(path) == ""
    assert Provenance.from_text("") is None


def test_the_note_of_a_file_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "m.png").write_bytes(b"not a mask")
    with pytest.raises(MaskError, match=r"m\.png cannot be read"):
        masks.read_note(tmp_path / "m.png")


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), PermissionError(13, "denied"), MemoryError()])
def test_a_mask_that_is_out_of_reach_is_not_taken_for_a_damaged_one(tmp_path, monkeypatch, error):
    def refuse(*args):
        raise error

    target = tmp_path / "m.png"
    masks.write(np.ones((3, 3), bool), target)
    monkeypatch.setattr(opening, "open", refuse, raising=False)
    with pytest.raises(MaskError, match=r"m\.png cannot be read"):
        finished(target, tmp_path / "p.png", {}, [])


@pytest.mark.parametrize("mask_format", list(MaskFormat))
@pytest.mark.parametrize("left", [5, 20, 40, 60, 200])
def test_what_is_left_of_a_mask_of_ours_is_made_anew(tmp_path, mask_format, left):
    target = tmp_path / f"m{mask_format.suffix}"
    masks.write(photograph(30, 41)[..., 0] > 128, target, mask_format, NOTE.to_text())
    target.write_bytes(target.read_bytes()[:left])
    assert finished(target, tmp_path / "p.png", {}, []) is None


@pytest.mark.parametrize("content", [b"", bytes(300)])
def test_a_file_without_content_is_made_anew(tmp_path, content):
    (tmp_path / "m.png").write_bytes(content)
    assert finished(tmp_path / "m.png", tmp_path / "p.png", {}, []) is None


@pytest.mark.parametrize("content", ["a note of somebody", "GIF", "mask cut short", "mask with a large profile"])
def test_a_file_of_somebody_else_that_cannot_be_read_is_kept(tmp_path, content):
    target = tmp_path / "m.png"
    mask = photograph(30, 41)[..., 0] > 128
    match content:
        case "GIF":
            Image.fromarray(mask).save(target, "GIF")
        case "mask cut short":
            masks.write(mask, target)
            target.write_bytes(target.read_bytes()[:90])
        case "mask with a large profile":
            profile = np.random.default_rng(0).bytes(PngImagePlugin.MAX_TEXT_CHUNK + 1)
            Image.fromarray(mask).save(target, icc_profile=profile)
        case _:
            target.write_text(content)
    with pytest.raises(MaskError, match="was not made by rootfm"):
        finished(target, tmp_path / "p.png", {}, [])


@given(st.one_of(st.text(), st.sampled_from(['{"rootfm": "1"}', "[]", "null", "3", '{"rootfm": 1, "source": {}}'])))
def test_any_other_text_is_no_note(text):
    assert Provenance.from_text(text) is None


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1599))
def test_the_digest_knows_every_pixel_and_the_shape(height, width, place):
    mask = np.random.default_rng(height * 41 + width).random((height, width)) < 0.5
    changed = mask.copy()
    changed.flat[place % mask.size] ^= True
    assert digest(mask) == digest(mask.copy()) != digest(changed)
    if height != width:
        assert digest(mask.reshape(width, height)) != digest(mask)


def test_a_source_is_known_by_its_content(tmp_path):
    path = tmp_path / "p.png"
    path.write_bytes(b"content")
    source = Source.of(path, tmp_path / "masks" / "p.png")
    os.utime(path, (5, 5))
    assert source.is_still(path), "copied: another time, the same content"
    path.write_bytes(b"CONTENT")
    assert not source.is_still(path)
    path.write_bytes(b"content and more")
    assert not source.is_still(path)
    assert replace(source, bytes=16, modified=path.stat().st_mtime_ns).is_still(path), "an unchanged time is believed"


def test_a_source_is_known_by_its_place_as_seen_from_its_mask(tmp_path):
    path, target = tmp_path / "sync" / "images" / "p.png", tmp_path / "sync" / "masks" / "p.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"content")
    source = Source.of(path, target)
    assert source.folder == "../images" and source.lies_at("p.png", way(target.parent, path.parent))
    elsewhere = tmp_path / "mounted elsewhere"
    assert source.lies_at("p.png", way(elsewhere / "masks", elsewhere / "images")), "the same share"
    assert not source.lies_at("q.png", "../images")
    assert not source.lies_at("p.png", way(target.parent, tmp_path / "sync" / "other"))
    assert replace(source, folder="").lies_at("p.png", "../anywhere"), "a note of an earlier version"


def test_a_note_of_an_earlier_version_is_still_read():
    values = json.loads(NOTE.to_text())
    del values["source"]["folder"], values["remark"]
    found = Provenance.from_text(json.dumps(values))
    assert found.source.folder == found.remark == "" and found.measures == NOTE.measures


def test_a_mask_of_another_image_is_known_by_its_note_alone(tmp_path):
    target, image, other = (tmp_path / name for name in ("m.png", "p.png", "elsewhere/p.png"))
    other.parent.mkdir()
    image.write_bytes(b"one")
    other.write_bytes(b"another")
    note = replace(NOTE, source=Source.of(image, target))
    masks.write(np.ones((3, 3), bool), target, note=note.to_text())
    assert not is_of_another(target, image, ".") and is_of_another(target, other, "elsewhere")
    other.write_bytes(b"one")
    assert not is_of_another(target, other, "elsewhere"), "a copy"
    other.write_bytes(b"two")
    os.utime(other, ns=(1, image.stat().st_mtime_ns))
    assert is_of_another(target, other, "elsewhere"), "as large and as old, as bitmaps out of an archive are"
    image.write_bytes(b"edited")
    assert not is_of_another(target, image, "."), "the same file"
    masks.write(np.ones((3, 3), bool), target, note=replace(note, how={"page": 1}).to_text())
    assert is_of_another(target, image, "."), "another page"
    masks.write(np.ones((3, 3), bool), target)
    assert not is_of_another(target, image, "."), "nobody knows whose it is"


def test_the_cost_of_an_image_is_known_from_its_header(tmp_path):
    for suffix in (".png", ".jpg", ".bmp"):
        Image.fromarray(photograph(30, 41)).save(tmp_path / f"a{suffix}")
        assert images.pixel_count(tmp_path / f"a{suffix}") == 30 * 41
    with tifffile.TiffWriter(tmp_path / "t.tif") as pages:
        pages.write(photograph(30, 41), photometric="rgb")
        pages.write(photograph(50, 20), photometric="rgb")
    assert [images.pixel_count(tmp_path / "t.tif", page=page) for page in (0, 1)] == [30 * 41, 1000]
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(ImageError):
        images.pixel_count(tmp_path / "bad.png")
