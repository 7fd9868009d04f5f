"""Instructions as RootPainter's window writes them become checked requests."""

import errno
from pathlib import Path

import pytest

from rootpainter_rootfm.errors import ImageError, RootFMError
from rootpainter_rootfm.masks import MaskFormat
from rootpainter_rootfm.segment.settings import SegmentSettings
from rootpainter_rootfm.trainer.instructions import Instruction
from rootpainter_rootfm.trainer.models import for_unet, newest, numbered
from rootpainter_rootfm.trainer.paths import Refused, SyncFolder
from rootpainter_rootfm.trainer.requests import SegmentRequest, TrainingRequest, absolute, find_messages

FOLDER = {
    "model_paths": ["models_rootfm/abc.pth"],
    "dataset_dir": "datasets/a",
    "seg_dir": "out",
    "file_names": ["1.png", "2.jpg", "1.png"],
    "format": "RhizoVision Explorer (.png)",
}
IMAGE = {
    "dataset_dir": "datasets/a",
    "seg_dir": "projects/p/segmentations",
    "file_names": ["1.png"],
    "message_dir": "projects/p/messages",
    "model_dir": "projects/p/models",
}
TRAINING = {
    "model_dir": "projects/p/models",
    "dataset_dir": "datasets/a",
    "train_annot_dir": "projects/p/annotations/train",
    "val_annot_dir": "projects/p/annotations/val",
    "seg_dir": "projects/p/segmentations",
    "log_dir": "projects/p/logs",
    "message_dir": "projects/p/messages",
}


@pytest.fixture
def sync(tmp_path):
    folder = SyncFolder(tmp_path / "sync")
    folder.prepare()
    for name in ("datasets/a", "projects/p/models", "projects/p/messages"):
        (folder.root / name).mkdir(parents=True)
    return folder


def parse(sync, content, kind=SegmentRequest):
    return kind.parse(Instruction("segment_1", "segment", content), sync)


def test_a_folder_as_rootpainter_asks_for_it(sync):
    request = parse(sync, FOLDER)
    assert request.images == sync.root / "datasets/a" and request.output == sync.root / "out"
    assert request.names == ("1.png", "2.jpg")
    assert request.model_paths == (sync.root / "models_rootfm/abc.pth",)
    assert request.mask_format is MaskFormat.RHIZOVISION
    assert not request.of_project and not request.again and request.settings == SegmentSettings()
    assert request.target("2.jpg") == sync.root / "out" / "2.png"


def test_an_image_as_a_projects_window_asks_for_it(sync):
    request = parse(sync, IMAGE)
    assert request.of_project and request.project == "p"
    assert request.messages == sync.root / "projects/p/messages"


def test_what_only_this_trainer_knows(sync):
    own = {"job": "77", "settings": {"threshold": 0.3}, "again": True, "confidence": True, "preview": True}
    request = parse(sync, FOLDER | {"rootfm": own | {"model": {"name": "rootfm", "sha256": "abc"}}})
    assert (request.job, request.again, request.confidence, request.preview) == ("77", True, True, True)
    assert request.settings.threshold == 0.3
    assert request.model == {"name": "rootfm", "sha256": "abc"}


def test_without_names_all_images_of_the_folder_are_meant(sync):
    for name in ("b.PNG", "a.tif", ".hidden.png", "notes.txt"):
        (sync.root / "datasets/a" / name).touch()
    assert parse(sync, {key: FOLDER[key] for key in FOLDER if key != "file_names"}).names == ("a.tif", "b.PNG")


@pytest.mark.parametrize(
    "change",
    [
        {"dataset_dir": "../elsewhere"},
        {"seg_dir": "/elsewhere"},
        {"model_paths": ["../model.pth"]},
        {"model_paths": "model.pth"},
        {"model_paths": []},
        {"file_names": ["../secret.png"]},
        {"file_names": "1.png"},
        {"file_names": [3]},
        {"format": "Shapefile"},
        {"dataset_dir": None},
        {"rootfm": {"settings": {"tile": 7}}},
        {"rootfm": {"settings": {"colour": "red"}}},
        {"rootfm": {"model": "rootfm"}},
    ],
)
def test_what_may_not_or_cannot_be_done_is_refused(sync, change):
    with pytest.raises(RootFMError) as refusal:
        parse(sync, FOLDER | change)
    assert str(refusal.value)


def test_local_folders_are_used_only_with_permission(sync, tmp_path):
    (tmp_path / "photos").mkdir()
    own = {"local_paths": True, "dataset_dir": str(tmp_path / "photos"), "seg_dir": str(tmp_path / "masks")}
    with pytest.raises(Refused, match="--allow-local-paths"):
        parse(sync, FOLDER | {"rootfm": own})
    allowing = SyncFolder(sync.root, allow_local_paths=True)
    request = parse(allowing, FOLDER | {"rootfm": own})
    assert (request.images, request.output) == (tmp_path / "photos", tmp_path / "masks")
    with pytest.raises(Refused):
        parse(allowing, FOLDER | {"rootfm": own | {"local_paths": False}, "dataset_dir": "../photos"})


def test_a_folder_of_images_that_is_away_may_come_back(sync):
    with pytest.raises(ImageError, match="datasets.b cannot be reached"):
        parse(sync, FOLDER | {"dataset_dir": "datasets/b"})


def test_training_stays_in_the_sync_folder(sync, tmp_path):
    allowing = SyncFolder(sync.root, allow_local_paths=True)
    with pytest.raises(Refused, match="outside the sync folder"):
        parse(allowing, TRAINING | {"dataset_dir": str(tmp_path), "rootfm": {"local_paths": True}}, TrainingRequest)


def test_a_training_as_the_window_asks_for_it(sync):
    request = parse(sync, TRAINING, TrainingRequest)
    assert request.project == "p"
    assert request.val == sync.root / "projects/p/annotations/val"
    assert request.masks == sync.root / "projects/p/segmentations"
    assert parse(sync, {key: TRAINING[key] for key in TRAINING if key != "seg_dir"}, TrainingRequest).masks is None
    with pytest.raises(Refused, match="log_dir"):
        parse(sync, {key: TRAINING[key] for key in TRAINING if key != "log_dir"}, TrainingRequest)


def test_messages_go_to_the_project_that_asks_and_to_no_other(sync):
    assert find_messages(IMAGE, sync) == sync.root / "projects/p/messages"
    assert find_messages({"seg_dir": "projects/p/segmentations"}, sync) == sync.root / "projects/p/messages"
    assert find_messages(FOLDER, sync) is None
    assert find_messages({"message_dir": "../out"}, sync) is None


def test_messages_go_nowhere_while_the_drive_does_not_answer(sync, monkeypatch):
    def down(*_, **__):
        raise OSError(errno.EHOSTDOWN, "Host is down")

    monkeypatch.setattr(Path, "is_dir", down)
    assert find_messages(IMAGE, sync) is None


def test_paths_for_rootpainters_own_trainer_are_absolute_and_checked(sync):
    told = absolute(TRAINING | {"rootfm": {"x": 1}}, sync)
    assert told["log_dir"] == str(sync.root / "projects/p/logs") and "rootfm" not in told
    with pytest.raises(Refused):
        absolute({"message_dir": "../../x"}, sync)


def test_the_newest_model_is_the_last_by_name_and_stray_files_are_no_models(sync):
    models = sync.root / "projects/p/models"
    assert newest(models) is None
    for name in ("000002_1.pkl", "000010_3.pth", "desktop.ini", "rootfm.json", ".000099_1.pth", "zzz"):
        (models / name).touch()
    assert newest(models).name == "000010_3.pth"
    assert numbered(models, newest(models)).name.startswith("000011_")
    assert numbered(models, None).name.startswith("000001_")


@pytest.mark.parametrize(
    ("name", "following"),
    [
        ("000002_1700000000.pth", "000003"),
        ("000001_roots_lab.pth", "000002"),
        ("roots_lab.pth", "roots_lab_000001"),
        ("roots_lab_000001_1700000000.pth", "roots_lab_000002"),
        ("roots.v2.safetensors", "roots.v2_000001"),
        ("7_1700000000.pth", "7_1700000000_000001"),
        ("999999_1.pth", "999999_1_000001"),
        ("999999_1_000001_1700000000.pth", "999999_1_000002"),
    ],
)
def test_the_next_model_sorts_after_the_newest_whatever_that_is_called(sync, name, following):
    models = sync.root / "projects/p/models"
    (models / name).touch()
    made = numbered(models, newest(models))
    assert made.name.rpartition("_")[0] == following and made.suffix == ".pth"
    made.touch()
    assert newest(models) == made and sorted(path.name for path in models.iterdir())[-1] == made.name


@pytest.mark.parametrize(
    ("there", "change", "unet"),
    [
        (["000001_1.pkl"], {}, True),
        (["000001_1.pkl", "000002_1.pth"], {}, False),
        ([], {}, True),
        ([], {"rootfm": {"model": {"name": "rootfm"}}}, False),
        (["000001_1.pkl"], {"rootfm": {"model": {"name": "rootfm"}}}, True),
        (["000001_1.pkl"], {"model_paths": ["m.pth"], "rootfm": {"model": {"name": "rootfm"}}}, False),
        ([], {"model_paths": ["a.pkl", "b.pkl"]}, True),
        ([], {"model_paths": ["a.pth", "b.pth"]}, False),
    ],
)
def test_who_makes_the_masks_of_a_project(sync, there, change, unet):
    for name in there:
        (sync.root / "projects/p/models" / name).touch()
    assert for_unet(parse(sync, IMAGE | change)) is unet


@pytest.mark.parametrize("paths", [["a.pth", "b.pkl"], ["b.pkl", "a.pth"]])
def test_an_ensemble_of_both_kinds_is_refused_in_words(sync, paths):
    with pytest.raises(Refused, match="one ensemble"):
        for_unet(parse(sync, FOLDER | {"model_paths": paths}))


def test_the_ending_of_a_model_may_stand_in_capitals(sync):
    models = sync.root / "projects/p/models"
    assert not for_unet(parse(sync, FOLDER | {"model_paths": ["X.PTH"]}))
    assert for_unet(parse(sync, FOLDER | {"model_paths": ["X.PKL"]}))
    for name in ("000002_1.pth", "000009_1.PTH"):
        (models / name).touch()
    assert newest(models).name == "000009_1.PTH"
    assert not for_unet(parse(sync, IMAGE))


def test_a_file_that_is_no_model_is_refused_by_name(sync):
    with pytest.raises(Refused, match="photo.png"):
        for_unet(parse(sync, FOLDER | {"model_paths": ["photo.png"]}))
