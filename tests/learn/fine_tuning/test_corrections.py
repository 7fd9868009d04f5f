"""Annotations as training targets: what was painted counts, what was not does not."""

import os
import unicodedata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from rootpainter_rootfm import light, masks
from rootpainter_rootfm.errors import DataError, ImageError, MaskError
from rootpainter_rootfm.learn.fine_tuning import corrected, corrections, photographs
from rootpainter_rootfm.learn.fine_tuning.corrected import Bits, divide, read
from rootpainter_rootfm.learn.fine_tuning.corrections import Corrections


@pytest.fixture
def project(tmp_path):
    for name in ("images", "train", "val"):
        (tmp_path / name).mkdir()
    return tmp_path


def photograph(project, stem, size=(96, 128), ending=".png"):
    rng = np.random.default_rng(len(stem))
    Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(project / "images" / f"{stem}{ending}")


def annotate(
    project, part, stem, size=(96, 128), root=(slice(10, 14), slice(5, 60)), soil=(slice(40, 60), slice(5, 60))
):
    layers = []
    for place in (root, soil):
        layers.append(np.zeros(size, bool))
        if place is not None:
            layers[-1][place] = True
    path = project / part / f"{stem}.png"
    masks.write_annotation(*layers, path)
    return path


def opened(project, **options):
    found = Corrections(project / "images", project / "train", project / "val", **options)
    list(found.refresh())
    return found


def test_only_what_was_painted_is_known(project):
    path = annotate(project, "train", "a")
    root, known = read(path)
    assert root[10, 5] and known[10, 5] and known[50, 5] and not root[50, 5] and not known[0, 0]
    assert root.sum() == 4 * 55 and known.sum() == 24 * 55


@pytest.mark.usefixtures("undivided")
def test_training_and_validation_annotations_belong_to_their_images_whatever_the_ending(project):
    photograph(project, "a", ending=".jpg")
    photograph(project, "b [1]", ending=".TIF")
    annotate(project, "train", "a")
    annotate(project, "val", "b [1]")
    found = opened(project)
    assert [item.image.name for item in found.training] == ["a.jpg"]
    assert [item.image.name for item in found.validation] == ["b [1].TIF"]
    truth = found.contents.truth(found.training[0])
    assert truth.image.shape == (96, 128, 3) and truth.root.sum() == 4 * 55


@pytest.mark.parametrize("balance", [True, False])
def test_photographs_are_learnt_from_as_the_network_is_shown_them(project, balance):
    blue = np.uint8(np.random.default_rng(0).integers(0, 256, (96, 128, 3)) * [0.4, 0.4, 1])
    for stem in ("a", "b"):
        Image.fromarray(blue).save(project / "images" / f"{stem}.png")
    annotate(project, "train", "a")
    found = opened(project, balance=balance)
    shown = light.balanced(blue) if balance else blue
    np.testing.assert_array_equal(found.contents.truth(found.training[0]).image, shown)


@pytest.mark.parametrize("part", ["train", "val"])
def test_one_annotated_image_is_divided_between_training_and_validation(project, part):
    photograph(project, "a", size=(300, 400))
    annotate(
        project, part, "a", size=(300, 400), root=(slice(10, 14), slice(5, 380)), soil=(slice(200, 260), slice(5, 380))
    )
    found = opened(project)
    training, validation = found.contents.truth(found.training[0]), found.contents.truth(found.validation[0])
    assert not (training.known & validation.known).any()
    whole = read(project / part / "a.png")[1]
    assert np.array_equal(training.known | validation.known, whole)
    for truth in (training, validation):
        assert truth.root.any() and (truth.known & ~truth.root).any()
    assert 0.15 < validation.known.sum() / whole.sum() < 0.5
    assert not (training.root & ~training.known).any()


def test_all_images_are_divided_until_there_are_enough_to_validate_on(project):
    for stem in "abcde":
        photograph(project, stem, size=(300, 400))
        annotate(project, "train" if stem in "ab" else "val", stem, size=(300, 400), soil=(slice(5, 9), slice(9, 380)))
    found = opened(project)
    assert [(item.image.stem, item.part) for item in found.training] == [("a", ""), ("b", "")]
    assert [(item.image.stem, item.part) for item in found.validation] == [("c", ""), ("d", ""), ("e", "")]
    (project / "val" / "e.png").unlink()
    list(found.refresh())
    for part, items in (("train", found.training), ("val", found.validation)):
        assert [(item.image.stem, item.part) for item in items] == [(stem, part) for stem in "abcd"]
    for learnt, validated in zip(found.training, found.validation, strict=True):
        assert not (found.contents.truth(learnt).known & found.contents.truth(validated).known).any()


def test_a_stroke_too_small_to_divide_serves_both(project):
    photograph(project, "a")
    annotate(project, "val", "a", root=(slice(5, 9), slice(5, 9)), soil=None)
    found = opened(project)
    assert (
        found.contents.truth(found.training[0]).root.sum() == found.contents.truth(found.validation[0]).root.sum() == 16
    )


@pytest.mark.parametrize(
    ("root", "soil"), [(None, (slice(9, 90), slice(9, 120))), ((slice(9, 90), slice(9, 120)), None)]
)
def test_only_soil_or_only_root_is_enough(project, root, soil):
    photograph(project, "a")
    annotate(project, "train", "a", root=root, soil=soil)
    found = opened(project)
    assert found.contents.truth(found.training[0]).known.any() and found.contents.truth(found.validation[0]).known.any()


def test_annotations_that_say_nothing_are_left_out(project):
    photograph(project, "erased")
    photograph(project, "blue")
    photograph(project, "good")
    annotate(project, "train", "erased", root=None, soil=None)
    blue = np.zeros((96, 128, 4), np.uint8)
    blue[5:20, 5:20] = [0, 0, 255, 180]
    Image.fromarray(blue).save(project / "train" / "blue.png")
    annotate(project, "train", "good")
    found = opened(project)
    assert [item.image.stem for item in found.training] == ["good"]
    assert found.problems == {}


@pytest.mark.usefixtures("undivided")
def test_new_changed_and_removed_annotations_are_noticed(project):
    photograph(project, "a")
    photograph(project, "b")
    path = annotate(project, "train", "a")
    found = opened(project)
    before = found.training
    list(found.refresh())
    assert found.training == before
    annotate(project, "val", "b")
    annotate(project, "train", "a", soil=(slice(40, 90), slice(5, 60)))
    os.utime(path, ns=(1, 1))
    list(found.refresh())
    assert found.training != before and len(found.validation) == 1
    assert found.contents.truth(found.training[0]).known.sum() == (4 + 50) * 55
    path.unlink()
    list(found.refresh())
    assert [item.part for item in (*found.training, *found.validation)] == ["train", "val"]


def test_a_half_written_annotation_is_taken_once_it_is_whole(project):
    photograph(project, "a")
    whole = annotate(project, "train", "a").read_bytes()
    path = project / "train" / "a.png"
    path.write_bytes(whole[: len(whole) // 2])
    found = opened(project)
    assert found.training == () and "a.png" in found.problems
    path.write_bytes(whole)
    list(found.refresh())
    assert len(found.training) == 1 and found.problems == {}


def test_an_annotation_without_its_image_is_a_problem_that_is_named(project):
    annotate(project, "train", "lost")
    found = opened(project)
    assert found.training == ()
    assert "lost" in found.problems["lost.png"] and "images" in found.problems["lost.png"]


def test_photographs_that_are_not_found_at_once_are_looked_for_in_one_listing(project, monkeypatch):
    for stem in ("a", "b"):
        photograph(project, stem, ending=".JPG")
    for stem in ("a", "b", "lost", "moved"):
        annotate(project, "train", stem)
    listed, original = [], photographs.images.list_images
    monkeypatch.setattr(photographs.images, "list_images", lambda folder: listed.append(folder) or original(folder))
    found = opened(project)
    assert [item.image.name for item in found.training] == ["a.JPG", "b.JPG"] and len(listed) == 1
    photograph(project, "moved", ending=".JPG")
    list(found.refresh())
    assert [item.image.stem for item in found.training] == ["a", "b", "moved"] and len(listed) == 2


@pytest.mark.usefixtures("undivided")
def test_an_image_that_is_gone_or_changed_size_is_said_and_can_be_dropped(project):
    photograph(project, "a")
    photograph(project, "b")
    annotate(project, "train", "a")
    annotate(project, "val", "b")
    found = opened(project)
    (project / "images" / "a.png").unlink()
    with pytest.raises(ImageError) as gone:
        found.contents.truth(found.training[0])
    found.drop(found.training[0], str(gone.value))
    assert found.training == () and "a.png" in found.problems["a.png"]
    photograph(project, "b", size=(50, 50))
    with pytest.raises(DataError, match="128×96"):
        found.contents.truth(found.validation[0])
    photograph(project, "a")
    annotate(project, "train", "a", soil=None)
    list(found.refresh())
    assert len(found.training) == 1, "a new annotation brings it back"


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    hands = SimpleNamespace(now=0.0)
    monkeypatch.setattr(corrections.time, "monotonic", lambda: hands.now)
    return hands


def test_an_image_that_could_not_be_read_is_tried_again_after_a_while(project, clock):
    photograph(project, "a")
    annotate(project, "train", "a")
    found = opened(project)
    path = project / "images" / "a.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:900])  # a sync program is at it
    with pytest.raises(ImageError) as half:
        found.contents.truth(found.training[0])
    found.drop(found.training[0], str(half.value))
    path.write_bytes(whole)
    list(found.refresh())
    assert found.training == () and found.problems == {"a.png": str(half.value)}, "not at every look"
    clock.now += corrections.SECONDS_LEFT_OUT
    list(found.refresh())
    assert len(found.training) == 1 and found.problems == {}


def test_an_image_that_was_replaced_and_put_right_comes_back(project, clock):
    photograph(project, "a")
    annotate(project, "train", "a")
    path = project / "images" / "a.png"
    right = path.read_bytes()
    photograph(project, "a", size=(64, 64))
    found = opened(project)
    with pytest.raises(DataError, match="64×64") as wrong:
        found.contents.truth(found.training[0])
    found.drop(found.training[0], str(wrong.value))
    path.write_bytes(right)
    clock.now += corrections.SECONDS_LEFT_OUT
    list(found.refresh())
    assert len(found.training) == 1


def test_an_image_that_stays_unreadable_stays_out(project, clock):
    photograph(project, "a")
    annotate(project, "train", "a", size=(50, 50), root=(slice(1, 5), slice(1, 5)), soil=None)
    found = opened(project)
    found.drop(found.training[0], "It has another size.")
    for _ in range(3):
        clock.now += corrections.SECONDS_LEFT_OUT
        list(found.refresh())
        assert found.training == () and "50×50" in found.problems["a.png"]


def test_a_drive_that_is_away_is_no_reason_to_leave_images_out(project):
    photograph(project, "a")
    annotate(project, "train", "a")
    found = opened(project)
    (project / "images").rename(project / "away")
    with pytest.raises(OSError, match="images.*cannot be reached"):
        found.drop(found.training[0], "The host is down.")
    assert len(found.training) == 1 and found.problems == {}


def test_a_listing_that_fails_once_may_succeed_later(project, monkeypatch):
    photograph(project, "a")
    annotate(project, "train", "a")
    found = opened(project)

    def fail(folder):
        raise OSError(116, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", fail)
        with pytest.raises(OSError, match="train cannot be read: Stale file handle"):
            list(found.refresh())
    list(found.refresh())
    assert len(found.training) == 1


def test_an_umlaut_is_the_same_however_its_system_writes_it(project):
    photograph(project, unicodedata.normalize("NFD", "Würzel"))
    annotate(project, "train", unicodedata.normalize("NFC", "Würzel"))
    assert len(opened(project).training) == 1


def test_what_was_removed_is_no_problem_any_more(project):
    path = annotate(project, "train", "lost")
    found = opened(project)
    assert "lost.png" in found.problems
    path.unlink()
    list(found.refresh())
    assert found.problems == {}


def test_a_vanished_folder_of_annotations_is_an_error_that_names_it(project):
    found = opened(project)
    (project / "val").rmdir()
    with pytest.raises(DataError, match="val"):
        list(found.refresh())


def test_images_are_decoded_once_and_kept_within_the_limit(project, monkeypatch):
    for stem in ("a", "b", "c"):
        photograph(project, stem)
        annotate(project, "train", stem)
    decoded = []
    original = corrected.images.read
    monkeypatch.setattr(corrected.images, "read", lambda path: decoded.append(Path(path).stem) or original(path))
    roomy = opened(project)
    for _ in range(3):
        for item in roomy.training:
            roomy.contents.truth(item)
    assert sorted(decoded) == ["a", "b", "c"]
    decoded.clear()
    tight = opened(project, cache_bytes=96 * 128 * 6)
    for _ in range(2):
        for item in tight.training:
            tight.contents.truth(item)
    assert sorted(decoded) == ["a", "a", "b", "b", "c", "c"]
    assert tight.contents._cache.nbytes <= 96 * 128 * 6


def test_an_unreadable_annotation_raises(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(MaskError):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("shape", [(64, 64), (65, 200), (1000, 700)])
def test_a_division_covers_everything_once(shape):
    rng = np.random.default_rng(3)
    known = rng.random(shape) < 0.02
    root = known & (rng.random(shape) < 0.5)
    training, validation = divide(root, known, "train"), divide(root, known, "val")
    assert (training ^ validation).all() or (training.all() and validation.all())


def test_the_mask_that_was_corrected_is_known_also_when_it_was_made_anew(project):
    photograph(project, "a")
    annotate(project, "train", "a")
    shown = project / "shown"
    shown.mkdir()
    found = opened(project, shown=shown)
    correction, size = found.training[0], (96, 128)
    assert found.contents.shown_mask(correction, size) is None, "there is none"
    for damaged in (b"", b"cut short"):
        (shown / "a.png").write_bytes(damaged)
        assert found.contents.shown_mask(correction, size) is None
    corrected = np.indices(size).sum(0) % 3 == 0
    masks.write(corrected, shown / "a.png", note="ours")
    assert np.array_equal(found.contents.shown_mask(correction, size), corrected)
    masks.write(~corrected, shown / "a.png", note="ours")
    assert np.array_equal(found.contents.shown_mask(correction, size), corrected)
    assert found.contents.shown_mask(correction, (96, 96)) is None, "the image has another size now"
    assert opened(project).contents.shown_mask(correction, size) is None, "nobody said where the masks are"


@pytest.mark.parametrize("divided", [True, False])
def test_a_corrected_image_has_the_mask_that_was_shown_with_the_strokes_on_it(project, divided):
    shown = project / "shown"
    shown.mkdir()
    mask = np.zeros((96, 128), bool)
    mask[40:90] = True
    masks.write(mask, shown / "a.png", note="ours")
    validated = () if divided else [(stem, "val") for stem in "bcd"]
    for stem, part in (("a", "train"), *validated):
        photograph(project, stem)
        annotate(project, part, stem, root=(slice(10, 14), slice(5, 120)), soil=(slice(60, 70), slice(5, 120)))
    found = Corrections(project / "images", project / "train", project / "val", shown)
    list(found.refresh())
    truth = found.contents.corrected(found.training[0])
    mask[10:14, 5:120], mask[60:70, 5:120] = True, False
    np.testing.assert_array_equal(truth.root, mask)
    np.testing.assert_array_equal(truth.image, found.contents.truth(found.training[0]).image)
    assert (truth.known is None) != divided
    if divided:
        held_back = found.contents.known(found.validation[0])
        assert held_back.any() and not truth.known[held_back].any() and truth.known.any()


def test_without_that_mask_there_is_none_until_it_comes(project):
    shown = project / "shown"
    shown.mkdir()
    for stem, part in (("a", "train"), ("b", "val")):
        photograph(project, stem)
        annotate(project, part, stem)
    found = opened(project, shown=shown)
    assert found.contents.corrected(found.training[0]) is None
    masks.write(np.ones((96, 128), bool), shown / "a.png", note="ours")
    assert found.contents.corrected(found.training[0]).root.mean() > 0.5


def test_a_mask_that_no_foundation_model_made_teaches_nothing(project):
    """The first masks of a U-Net are noise, and its users paint examples on them."""
    shown = project / "shown"
    shown.mkdir()
    photograph(project, "a")
    annotate(project, "train", "a")
    masks.write(np.ones((96, 128), bool), shown / "a.png")
    found = opened(project, shown=shown)
    assert found.contents.corrected(found.training[0]) is None


@pytest.mark.parametrize("shape", [(3, 5), (2, 9, 7), (0, 0), (8, 16)])
def test_bits_give_back_what_was_packed(shape):
    array = np.random.default_rng(0).random(shape) < 0.5
    bits = Bits.of(array)
    np.testing.assert_array_equal(bits.array(), array)
    assert bits.array().dtype == bool and bits.nbytes == -(-array.size // 8)
