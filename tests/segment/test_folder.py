import csv
import dataclasses
import errno
import json
import os
import shutil
import time

import numpy as np
import pytest
import tifffile
from PIL import Image

from rootpainter_rootfm import files, images, masks, png
from rootpainter_rootfm.errors import Cancelled, DataError, MaskError
from rootpainter_rootfm.masks import MaskFormat
from rootpainter_rootfm.progress import CancelToken, silent
from rootpainter_rootfm.segment import disk
from rootpainter_rootfm.segment.disk import DiskError
from rootpainter_rootfm.segment.folder import FolderJob
from rootpainter_rootfm.segment.making import Making
from rootpainter_rootfm.segment.report import FolderReport, Status
from rootpainter_rootfm.segment.settings import SegmentSettings
from tests.segment.helpers import Brightness, brightness_probability, card, photograph, segmenter


@pytest.fixture
def folder(tmp_path):
    """Five photographs named a.png to e.png."""
    (tmp_path / "in").mkdir()
    for number, name in enumerate("abcde"):
        Image.fromarray(photograph(40 + number, 50, number)).save(tmp_path / "in" / f"{name}.png")
    return tmp_path


def job(folder, *, network=None, settings=None, **options):
    images = sorted((folder / "in").iterdir())
    settings = dataclasses.replace(
        settings or SegmentSettings(device="cpu"), edges=False, balance=False, glance=False, second_look=False
    )
    return FolderJob(images, folder / "out", segmenter(network or Brightness(), settings=settings), **options)


def statuses(report):
    return [result.status.value for result in report.results]


def expected_mask(image):
    return brightness_probability(np.asarray(Image.open(image).convert("RGB"))) >= 0.5


@pytest.mark.parametrize("mask_format", list(MaskFormat))
def test_every_image_gets_its_mask(folder, mask_format):
    report = job(folder, mask_format=mask_format).run()
    assert statuses(report) == ["made"] * 5
    for image in sorted((folder / "in").iterdir()):
        found = masks.read(folder / "out" / (image.stem + mask_format.suffix))
        assert (found != expected_mask(image)).mean() < 1e-3  # half a step of float16 around the threshold
    assert sorted(os.listdir(folder / "out")) == [f"{name}{mask_format.suffix}" for name in "abcde"]


def test_progress_counts_images_and_names_them(folder):
    (folder / "in" / "b.png").write_bytes(b"no image")
    seen = []
    job(folder).run(lambda *report: seen.append(report))
    assert {report[1] for report in seen} == {5}
    assert seen[0] == (0, 5, "a.png") and seen[-1][0] == 5
    assert {name for _, _, name in seen} == {f"{name}.png" for name in "abcde"}
    assert [report[0] for report in seen] == sorted(report[0] for report in seen)


def test_one_bad_image_never_stops_the_others(folder):
    (folder / "in" / "b.png").write_bytes(b"")
    shutil.copy(folder / "in" / "c.png", folder / "in" / "c2.png")
    os.truncate(folder / "in" / "c2.png", 300)
    (folder / "in" / "d2.png").mkdir()
    report = job(folder).run()
    assert [result.image.name for result in report.failed] == ["b.png", "c2.png", "d2.png"]
    for result in report.failed:
        assert result.image.name in result.cause and "cannot be read" in result.cause
    assert len(report.having(Status.MADE)) == 4
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.png", "c.png", "d.png", "e.png"]


def test_a_fault_of_the_program_itself_is_one_image_s_failure_too(folder, caplog):
    class Faulty(Brightness):
        def forward(self, x):
            if len(self.batches) == 1:
                self.batches.append(None)
                raise ZeroDivisionError("a bug")
            return super().forward(x)

    report = job(folder, network=Faulty()).run()
    assert statuses(report) == ["made", "failed", "made", "made", "made"]
    assert report.failed[0].cause == "Unexpected ZeroDivisionError: a bug"
    assert "a bug" in caplog.text


def test_a_mask_that_cannot_be_written_is_a_failure(folder):
    (folder / "out" / "c.png").mkdir(parents=True)
    report = job(folder, overwrite=True).run()
    assert statuses(report) == ["made", "made", "failed", "made", "made"]
    assert "c.png cannot be written" in report.failed[0].cause


def test_a_second_run_has_nothing_to_do(folder):
    job(folder).run()
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").iterdir()}
    network = Brightness()
    report = job(folder, network=network).run()
    assert statuses(report) == ["skipped"] * 5 and not network.batches
    assert {path: path.stat().st_mtime_ns for path in (folder / "out").iterdir()} == before


def test_a_skipped_image_keeps_its_row_of_figures(folder):
    first = job(folder).run()
    second = job(folder).run()
    assert [result.measures for result in second.results] == [result.measures for result in first.results]


@pytest.mark.parametrize("mask_format", list(MaskFormat))
def test_what_is_missing_or_damaged_is_made_again_and_nothing_else(folder, mask_format):
    job(folder, mask_format=mask_format).run()
    made = [folder / "out" / f"{name}{mask_format.suffix}" for name in "abcde"]
    made[0].unlink()
    made[1].write_bytes(b"")
    os.truncate(made[2], made[2].stat().st_size // 2)
    report = job(folder, mask_format=mask_format).run()
    assert statuses(report) == ["made", "made", "made", "skipped", "skipped"]
    assert all(masks.read(path).shape[1] == 50 for path in made)


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": SegmentSettings(device="cpu", threshold=0.4)},
        {"settings": SegmentSettings(device="cpu", flips=True)},
        {"mask_format": MaskFormat.RHIZOVISION},
        {"stretch": True},
    ],
)
def test_other_settings_make_every_mask_anew(folder, changes):
    job(folder).run()
    assert statuses(job(folder, **changes).run()) == ["made"] * 5
    assert statuses(job(folder, **changes).run()) == ["skipped"] * 5


def test_other_weights_make_every_mask_anew(folder):
    job(folder).run()
    other = job(folder)
    other.segmenter = segmenter(cards=[card("other")])
    assert statuses(other.run()) == ["made"] * 5


def test_another_device_or_batch_changes_no_mask_and_makes_none(folder):
    job(folder).run()
    assert statuses(job(folder, settings=SegmentSettings(device="cpu", batch=3)).run()) == ["skipped"] * 5


def test_a_changed_photograph_is_segmented_again_but_a_copied_one_is_not(folder):
    job(folder).run()
    Image.fromarray(photograph(40, 50, 99)).save(folder / "in" / "a.png")
    os.utime(folder / "in" / "b.png", (1, 1))
    assert statuses(job(folder).run()) == ["made", *["skipped"] * 4]


def test_a_mask_of_somebody_else_is_kept_unless_overwriting_is_asked_for(folder):
    job(folder).run()
    theirs = np.zeros((40, 50), bool)
    theirs[3, 4] = True
    masks.write(theirs, folder / "out" / "a.png")
    shutil.copy(folder / "in" / "c.png", folder / "out" / "b.png")  # a photograph in the wrong place
    report = job(folder).run()
    assert statuses(report) == ["failed", "failed", *["skipped"] * 3]
    assert "was not made by rootfm" in report.failed[0].cause
    assert masks.read(folder / "out" / "a.png").sum() == 1
    assert (folder / "out" / "b.png").read_bytes() == (folder / "in" / "c.png").read_bytes()
    assert statuses(job(folder, overwrite=True).run()) == ["made"] * 5


def test_a_mask_corrected_in_place_is_kept(folder):
    job(folder).run()
    with Image.open(folder / "out" / "a.png") as image:
        pixels, text = np.array(image), image.text
    pixels[:9] = 0
    from PIL.PngImagePlugin import PngInfo

    kept = PngInfo()
    for key, value in text.items():
        kept.add_text(key, value)  # as programs do that keep what they do not know
    Image.fromarray(pixels).save(folder / "out" / "a.png", pnginfo=kept)
    report = job(folder).run()
    assert statuses(report) == ["failed", *["skipped"] * 4]
    assert "changed since" in report.failed[0].cause


def test_a_mask_corrected_while_others_are_made_is_kept(folder):
    job(folder).run()
    theirs = np.zeros((44, 50), bool)
    theirs[3, 4] = True
    again = job(folder, settings=SegmentSettings(device="cpu", threshold=0.6))
    report = again.run(between=lambda: masks.write(theirs, folder / "out" / "e.png"))
    assert statuses(report) == [*["made"] * 4, "failed"] and "changed since" in report.failed[0].cause
    assert masks.read(folder / "out" / "e.png").sum() == 1


def made_after(folder, meanwhile, **options):
    """What becomes of the fifth image where `meanwhile` is done between its reading and its writing."""
    making = Making(job(folder, **options))
    pixels, about = making.load(4)
    meanwhile()
    return making.save(4, about, *making.segment(4, pixels, CancelToken(), silent))


def test_masks_that_another_run_makes_meanwhile_are_kept_as_its_own(folder):
    other = job(folder)
    result = made_after(folder, other.run, preview=folder / "sheet.png")
    assert statuses(other.report) == ["made"] * 5 and result.status is Status.SKIPPED


def test_an_outdated_mask_that_goes_while_it_is_renewed_is_made(folder):
    job(folder).run()
    mask = folder / "out" / "e.png"
    result = made_after(folder, mask.unlink, settings=SegmentSettings(device="cpu", threshold=0.6))
    assert result.status is Status.MADE and mask.is_file()


def test_a_photograph_that_is_replaced_while_it_is_read_gets_no_mask(folder, monkeypatch):
    read = images.read_photograph

    def replaced(path, **options):
        photograph = read(path, **options)
        if path.name == "b.png":
            shutil.copy(folder / "in" / "c.png", path)
        return photograph

    monkeypatch.setattr(images, "read_photograph", replaced)
    report = job(folder).run()
    assert [result.image.name for result in report.failed] == ["b.png"]
    assert "was changed while it was read" in report.failed[0].cause and not (folder / "out" / "b.png").exists()
    monkeypatch.undo()
    assert statuses(job(folder).run()) == ["skipped", "made", *["skipped"] * 3]


def test_a_photograph_is_opened_for_its_header_and_once_more(folder, monkeypatch):
    opened, seen = images.opened, []

    def counted(path, failure):
        seen.append(path.name)
        return opened(path, failure)

    def no_other_way(path):
        raise AssertionError(f"{path} was read once more")

    monkeypatch.setattr(images, "opened", counted)
    monkeypatch.setattr(files, "sha256", no_other_way)
    assert statuses(job(folder).run()) == ["made"] * 5
    assert sorted(seen) == sorted(2 * [f"{name}.png" for name in "abcde"])


def test_probabilities_lie_beside_the_masks_and_belong_to_them(folder):
    report = job(folder, probability=True).run()
    assert statuses(report) == ["made"] * 5
    levels = tifffile.imread(folder / "out" / "rootfm_probability" / "a.tif")
    assert levels.dtype == np.uint16
    expected = brightness_probability(np.asarray(Image.open(folder / "in" / "a.png")))
    np.testing.assert_allclose(levels / 65535, expected, atol=6e-4)
    (folder / "out" / "rootfm_probability" / "b.tif").unlink()
    assert statuses(job(folder, probability=True).run()) == ["skipped", "made", *["skipped"] * 3]
    # A run without them leaves old ones behind, which the next run with them must not take for its own.
    job(folder, settings=SegmentSettings(device="cpu", threshold=0.4)).run()
    again = job(folder, settings=SegmentSettings(device="cpu", threshold=0.4), probability=True).run()
    assert statuses(again) == ["made"] * 5


def test_confidence_lies_in_a_hidden_folder_for_rootpainters_window(folder):
    job(folder, confidence=True).run()
    assert sorted(path.name for path in (folder / "out").iterdir()) == [".rootfm", *(f"{n}.png" for n in "abcde")]
    about = json.loads((folder / "out" / ".rootfm" / "a.json").read_text())
    assert about["model"] == card().sha256 and about["threshold"] == 0.5
    assert 0 < about["coverage"] < 1 and 0.5 <= about["mean_confidence"] <= 1 and 0 <= about["uncertain"] <= 1
    grey = np.asarray(Image.open(folder / "out" / ".rootfm" / "a.png"))
    expected = brightness_probability(np.asarray(Image.open(folder / "in" / "a.png")))
    np.testing.assert_allclose(grey / 255, expected, atol=3e-3)


def test_cancel_between_two_images_leaves_whole_masks_and_a_true_report(folder):
    token, running = CancelToken(), job(folder)
    with pytest.raises(Cancelled):
        running.run(cancel=token, between=token.cancel)
    assert statuses(running.report) == ["made", *["not reached"] * 4]
    assert [path.name for path in (folder / "out").iterdir()] == ["a.png"]
    assert statuses(job(folder).run()) == ["skipped", *["made"] * 4]


def test_an_interruption_in_the_midst_of_an_image_leaves_whole_masks(folder):
    class Interrupted(Brightness):
        def forward(self, x):
            if len(self.batches) == 2:
                raise KeyboardInterrupt
            return super().forward(x)

    running = job(folder, network=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        running.run()
    assert statuses(running.report) == ["made", "made", *["not reached"] * 3]
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.png", "b.png"]


def test_a_run_removes_what_killed_ones_left(folder):
    places = [folder / "out", folder / "out" / "rootfm_probability", folder / "out" / ".rootfm"]
    for place in places:
        place.mkdir(parents=True)
        for name, age in ((f".{16 * 'a'}.part.png", files.ABANDONED + 60), (f".{16 * 'b'}.part.png", 60)):
            (place / name).touch()
            os.utime(place / name, 2 * (time.time() - age,))
    job(folder).run()
    assert [[path.name for path in place.glob(".*.part*")] for place in places] == [[f".{16 * 'b'}.part.png"]] * 3


def test_between_is_called_between_two_images_only(folder):
    calls = []
    job(folder).run(between=lambda: calls.append(1))
    assert len(calls) == 4


def test_tiles_of_the_image_at_hand_are_counted(folder):
    seen = []
    job(folder, settings=SegmentSettings(device="cpu", tile=32, overlap=0, batch=1)).run(
        tiles=lambda *r: seen.append(r[:2])
    )
    assert seen[:4] == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_images_that_would_share_a_mask_are_named_before_any_work(folder):
    Image.fromarray(photograph(9, 9)).save(folder / "in" / "A.jpg")
    with pytest.raises(DataError, match=r"share one mask: .*A\.jpg and .*a\.png"):
        job(folder).run()
    assert not (folder / "out").exists()


def test_masks_never_go_among_the_photographs(folder):
    running = job(folder)
    running.out = folder / "in" / ".." / "in"
    with pytest.raises(DataError, match="another output folder"):
        running.run()
    assert len(list((folder / "in").iterdir())) == 5


def test_an_output_that_is_a_file_and_an_empty_input_are_refused(folder):
    (folder / "out").write_text("")
    with pytest.raises(DataError, match="is a file"):
        job(folder).run()
    with pytest.raises(DataError, match="no images"):
        FolderJob([], folder / "new", segmenter()).run()


def test_a_page_of_many_is_said_to_be_one(folder):
    pages = np.stack([photograph(32, 40, 7), photograph(32, 40, 8), photograph(32, 40, 9)])
    tifffile.imwrite(folder / "in" / "t.tif", pages, photometric="rgb")
    report = job(folder, page=0).run()
    assert report.results[-1].cause == "only page 0 of its 3 pages was segmented"
    kept = job(folder, page=0).run().results[-1]
    assert (kept.status.value, kept.cause) == ("skipped", "only page 0 of its 3 pages was segmented")
    only = FolderJob([folder / "in" / "t.tif"], folder / "third", segmenter(), page=2)
    assert statuses(only.run()) == ["made"]
    np.testing.assert_array_equal(masks.read(folder / "third" / "t.png"), brightness_probability(pages[2]) >= 0.5)


def test_what_should_be_known_of_a_mask_is_in_the_report_of_every_run(folder):
    tifffile.imwrite(folder / "t.tif", np.stack([photograph(32, 40, 7), photograph(32, 40, 8)]), photometric="rgb")
    running = FolderJob([folder / "t.tif"], folder / "out", segmenter())
    segment = running.segmenter.segment
    running.segmenter.segment = lambda *image: dataclasses.replace(segment(*image), remark="it was dark")
    made, kept = running.run().results[0], running.run().results[0]
    assert [made.status.value, kept.status.value] == ["made", "skipped"]
    assert made.cause == kept.cause == "only page 0 of its 2 pages was segmented; it was dark"


def test_the_mask_of_another_page_is_kept_unless_overwriting_is_asked_for(folder):
    tifffile.imwrite(folder / "t.tif", np.stack([photograph(32, 40, 7), photograph(32, 40, 8)]), photometric="rgb")
    FolderJob([folder / "t.tif"], folder / "out", segmenter()).run()
    first = (folder / "out" / "t.png").read_bytes()
    second = FolderJob([folder / "t.tif"], folder / "out", segmenter(), page=1)
    assert "belongs to page 0 of t.tif" in second.run().failed[0].cause
    assert (folder / "out" / "t.png").read_bytes() == first
    second.overwrite = True
    assert statuses(second.run()) == ["made"]


def test_the_mask_of_another_photograph_of_the_same_name_is_kept(folder):
    job(folder).run()
    before = {path: path.read_bytes() for path in (folder / "out").iterdir()}
    (folder / "other").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(photograph(40, 50, 77)).save(folder / "other" / name)
    other = FolderJob(sorted((folder / "other").iterdir()), folder / "out", segmenter())
    report = other.run()
    assert statuses(report) == ["failed"] * 2
    assert "a.png was there already and belongs to another photograph named a.png" in report.failed[0].cause
    assert {path: path.read_bytes() for path in (folder / "out").iterdir()} == before
    other.overwrite = True
    assert statuses(other.run()) == ["made"] * 2


def test_a_folder_that_was_moved_with_its_masks_is_gone_on_with(folder):
    job(folder).run()
    moved = folder / "moved"
    for name in ("in", "out"):
        shutil.copytree(folder / name, moved / name)
    Image.fromarray(photograph(40, 50, 99)).save(moved / "in" / "a.png")
    assert statuses(job(moved).run()) == ["made", *["skipped"] * 4]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_takes_no_more_masks_stops_the_run(folder, monkeypatch, code):
    for number in range(20):
        Image.fromarray(photograph(40, 50, number)).save(folder / "in" / f"f{number:02}.png")
    write, room = png.write, [None] * 3

    def full(path, *picture):
        try:
            room.pop()
        except IndexError:
            raise OSError(code, os.strerror(code)) from None
        write(path, *picture)

    monkeypatch.setattr(png, "write", full)
    running = job(folder)
    with pytest.raises(MaskError, match=os.strerror(code)) as stopped:
        running.run()
    assert isinstance(stopped.value, OSError), "a trainer tries again"
    assert statuses(running.report).count("made") == 3 and statuses(running.report).count("not reached") >= 10
    monkeypatch.setattr(png, "write", write)
    again = job(folder).run()
    assert statuses(again).count("skipped") == 3 and statuses(again).count("made") == 22


def test_an_output_folder_that_vanishes_stops_the_run(folder):
    def vanish():  # in one step: while a folder is emptied, a mask may be written into it, and it stays
        if (folder / "out").exists():
            (folder / "out").rename(folder / "gone")

    with pytest.raises(DiskError, match="out is gone"):
        job(folder).run(between=vanish)


def test_one_mask_that_may_not_be_replaced_stops_no_other(folder, monkeypatch):
    write = masks.write

    def held(mask, path, *more):
        if path.name == "b.png":
            raise MaskError(f"{path} cannot be written: Permission denied.") from PermissionError(
                errno.EACCES, "denied"
            )
        write(mask, path, *more)

    monkeypatch.setattr(masks, "write", held)
    assert statuses(job(folder).run()) == ["made", "failed", *["made"] * 3]


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_takes_no_file_is_refused_before_any_work(folder, monkeypatch, there):
    if there:
        (folder / "out").mkdir()

    def refuse(path, data):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(disk.Path, "write_bytes", refuse)
    network = Brightness()
    with pytest.raises(DiskError, match=r"Masks cannot be written to .*out: Permission denied"):
        job(folder, network=network).run()
    assert not network.batches


def test_looking_whether_a_folder_takes_files_leaves_none(folder):
    (folder / "out").mkdir()
    job(folder).check()
    assert not list((folder / "out").iterdir())


def rows_of(report):
    with open(report, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_report_keeps_the_rows_of_other_images(folder, encoding):
    path = folder / "report.csv"
    job(folder).run().write_csv(path)
    first = path.read_text(encoding="utf-8-sig").replace("made", "made earlier")
    path.write_text(first, encoding=encoding)
    one = FolderJob([folder / "in" / "c.png"], folder / "out", segmenter(), overwrite=True)
    one.run().write_csv(path)
    lines, before = path.read_text(encoding="utf-8-sig").splitlines(), first.splitlines()
    assert len(lines) == len(before)
    assert [line == old for line, old in zip(lines, before, strict=True)] == [True, True, True, False, True, True]


def test_a_report_keeps_the_rows_of_images_that_were_not_reached_this_time(folder):
    path = folder / "report.csv"
    job(folder).run().write_csv(path)
    first = path.read_text(encoding="utf-8-sig")
    job(folder).report.write_csv(path)
    assert path.read_text(encoding="utf-8-sig") == first


def test_a_photograph_of_the_same_name_that_failed_takes_no_row_of_a_mask_away(folder):
    path = folder / "out" / "report.csv"
    job(folder).run().write_csv(path)
    first = path.read_text(encoding="utf-8-sig")
    other = folder / "other"
    other.mkdir()
    for name in ("a.png", "b.jpg"):
        Image.fromarray(photograph(40, 50, 77)).save(other / name)
    second = FolderJob(sorted(other.iterdir()), folder / "out", segmenter())
    second.run().write_csv(path)
    assert path.read_text(encoding="utf-8-sig").startswith(first)
    assert [(row["image"], row["status"], row["folder"]) for row in rows_of(path)[5:]] == [
        ("a.png", "failed", "../other"),
        ("b.jpg", "failed", "../other"),
    ]
    second.overwrite = True  # now the masks are those of the others
    second.run().write_csv(path)
    assert [(row["image"], row["folder"]) for row in rows_of(path) if row["status"] == "made"] == [
        *((f"{name}.png", "../in") for name in "cde"),
        ("a.png", "../other"),
        ("b.jpg", "../other"),
    ]


def test_a_report_without_folders_is_gone_on_with(folder):
    path = folder / "report.csv"
    job(folder).run().write_csv(path)
    path.write_text(path.read_text().replace(",folder\n", "\n").replace(",in\n", "\n"))
    job(folder).run().write_csv(path)
    assert [(row["image"], row["status"]) for row in rows_of(path)] == [(f"{name}.png", "skipped") for name in "abcde"]


def test_what_lay_beside_an_older_mask_goes_with_it(folder):
    out = folder / "out"
    image = folder / "in" / "a.png"
    FolderJob([image], out, segmenter(), probability=True, confidence=True).run()
    assert (out / "rootfm_probability" / "a.tif").is_file()
    FolderJob([image], out, segmenter(), overwrite=True).run()
    assert not (out / "rootfm_probability" / "a.tif").exists() and not list((out / ".rootfm").glob("a.*"))


def test_what_lies_beside_a_mask_stays_where_another_format_is_asked_for(folder):
    out, image = folder / "out", folder / "in" / "a.png"
    FolderJob([image], out, segmenter(), probability=True, confidence=True).run()
    FolderJob([image], out, segmenter(), mask_format=MaskFormat.NPZ).run()
    assert (out / "a.npz").is_file() and (out / "rootfm_probability" / "a.tif").is_file()
    assert len(list((out / ".rootfm").glob("a.*"))) == 2


def test_a_report_that_excel_opens_has_umlauts(folder):
    Image.fromarray(photograph(8, 9)).save(folder / "in" / "größe.png")
    job(folder).run().write_csv(folder / "report.csv")
    assert (folder / "report.csv").read_bytes().startswith(b"\xef\xbb\xbfimage,")
    assert rows_of(folder / "report.csv")[-1]["image"] == "größe.png"


@pytest.mark.parametrize("content", [b"", b"a;b\n1;2\n", b"\xff\xfe\x00", b"image\n"])
def test_what_is_no_report_is_replaced_by_one(folder, content):
    (folder / "report.csv").write_bytes(content)
    job(folder).run().write_csv(folder / "report.csv")
    assert [row["image"] for row in rows_of(folder / "report.csv")] == [f"{name}.png" for name in "abcde"]


def test_a_name_that_is_no_text_has_one_row_however_often_it_is_written(folder):
    report = FolderReport([folder / "wurzel_\udcfc.png"])
    for _ in range(2):
        report.write_csv(folder / "report.csv")
    assert [row["image"] for row in rows_of(folder / "report.csv")] == ["wurzel_\\udcfc.png"]


def test_the_report_has_a_row_for_every_image(folder):
    (folder / "in" / "b.png").write_bytes(b"")
    report = job(folder).run()
    report.write_csv(folder / "report.csv")
    rows = rows_of(folder / "report.csv")
    assert [row["image"] for row in rows] == [f"{name}.png" for name in "abcde"]
    assert list(rows[0]) == [
        *("image", "status", "cause", "seconds", "root_pixels", "coverage", "mean_confidence", "uncertain"),
        *("thin", "folder"),
    ]
    assert {row["folder"] for row in rows} == {"in"}
    mask = masks.read(folder / "out" / "a.png")
    assert int(rows[0]["root_pixels"]) == mask.sum()
    assert float(rows[0]["coverage"]) == pytest.approx(mask.mean(), abs=1e-6)
    probability = brightness_probability(np.asarray(Image.open(folder / "in" / "a.png")))
    assert float(rows[0]["mean_confidence"]) == pytest.approx(np.maximum(probability, 1 - probability).mean(), abs=1e-3)
    assert float(rows[0]["uncertain"]) == pytest.approx(((probability > 0.2) & (probability < 0.8)).mean(), abs=1e-2)
    assert float(rows[0]["seconds"]) > 0
    assert rows[1]["status"] == "failed" and "empty" in rows[1]["cause"] and rows[1]["root_pixels"] == ""
