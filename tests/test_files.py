import os

import pytest

from rootpainter_rootfm import files


def test_what_is_flushed_was_opened_for_writing_as_windows_demands(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def flush(descriptor):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(files.os, "fsync", flush)
    files.write_text(tmp_path / "report.txt", "roots")
    assert (tmp_path / "report.txt").read_text() == "roots"


@pytest.fixture
def replace_refused(monkeypatch):
    """The next moves of a file are refused, as by Windows while somebody reads the old one: a list of them."""
    refusals, replace = [], os.replace

    def refusing(source, target):
        if refusals:
            refusals.pop()
            raise PermissionError(13, "Access is denied")
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", refusing)
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    return refusals


def test_a_file_that_somebody_reads_is_replaced_once_it_is_closed(tmp_path, replace_refused):
    replace_refused += [1] * len(files.READING)
    files.write_text(tmp_path / "job.json", "done")
    assert (tmp_path / "job.json").read_text() == "done"


def test_a_file_that_stays_open_is_kept_and_nothing_is_left_beside_it(tmp_path, replace_refused):
    (tmp_path / "job.json").write_text("running")
    replace_refused += [1] * (len(files.READING) + 1)
    with pytest.raises(PermissionError):
        files.write_text(tmp_path / "job.json", "done")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["running"]


def test_the_longest_name_that_a_disk_allows_can_be_written(tmp_path):
    path = tmp_path / f"{'n' * (os.pathconf(tmp_path, 'PC_NAME_MAX') - 4)}.png"
    files.write_text(path, "text")
    assert path.read_text() == "text"


def test_what_a_killed_process_left_is_found(tmp_path):
    with files.replacing(tmp_path / "model.pth") as beside:
        beside.write_bytes(b"half")
        assert files.unfinished(tmp_path, ".pth") == [beside] and files.unfinished(tmp_path, ".json") == []
        assert beside.name.startswith(".") and beside.suffix == ".pth"
    assert files.unfinished(tmp_path, ".pth") == []


def test_what_cannot_be_looked_for_is_not_said_to_be_missing(tmp_path):
    (tmp_path / "mask.png").touch()
    assert files.is_there(tmp_path / "mask.png") and files.is_there(tmp_path)
    assert not files.is_there(tmp_path / "no.png") and not files.is_there(tmp_path / "mask.png" / "below.png")
    with pytest.raises(OSError):
        files.is_there(tmp_path / ("m" * 300))


def test_a_file_name_that_is_no_text_can_be_written_about(tmp_path):
    files.write_text(tmp_path / "report.csv", "wurzel_\udcfc.jpg")
    assert (tmp_path / "report.csv").read_text(encoding="utf-8") == "wurzel_\\udcfc.jpg"


def test_names_of_datasets_become_legal_file_names():
    assert files.file_name("a/b: c?") == "a_b__c_" and files.file_name("prmi-peanut_1.0") == "prmi-peanut_1.0"


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    left = [f".{16 * 'a'}.part.png", f".{16 * 'b'}.part"]
    others = [f".{16 * 'g'}.part.png", f".{15 * 'a'}.part.png", f"{16 * 'a'}.part.png", f".{16 * 'a'}.partly", "a.part"]
    for name in left + others:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / f".{16 * 'c'}.part.png").touch()  # of a run that is under way
    (tmp_path / f".{16 * 'd'}.part").mkdir()
    os.utime(tmp_path / f".{16 * 'd'}.part", (1, 1))
    files.remove_abandoned(tmp_path)
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {*others, f".{16 * 'c'}.part.png", f".{16 * 'd'}.part"}
    files.remove_abandoned(tmp_path / "nowhere")
