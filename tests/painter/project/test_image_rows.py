"""What is known of a project's images, for thousands of them: only what has changed is read again."""

from __future__ import annotations

import json
import os

import pytest

from rootpainter_rootfm.painter import exchange
from rootpainter_rootfm.painter.project.image_rows import ImageRows

NAMES = ["a.jpg", "b.jpg", "c.jpg"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / exchange.CONFIDENCE).mkdir()
    return tmp_path


def measure(folder, stem, share):
    (folder / exchange.CONFIDENCE / f"{stem}.json").write_text(json.dumps({"uncertain": share}))


def test_only_changed_measures_are_read_again(folder, monkeypatch):
    read, read_json = [], exchange.read_json
    monkeypatch.setattr(exchange, "read_json", lambda path: (read.append(path.stem), read_json(path))[1])
    images = ImageRows(folder, ())
    measure(folder, "a", 0.1)
    measure(folder, "b", 0.2)
    assert [row.name for row in images.look(NAMES)] == ["b.jpg", "a.jpg", "c.jpg"]
    images.look(NAMES)
    assert sorted(read) == ["a", "b"]
    measure(folder, "a", 0.355)
    assert [row.name for row in images.look(NAMES)] == ["a.jpg", "b.jpg", "c.jpg"]
    assert sorted(read) == ["a", "a", "b"]


def test_measure_of_the_same_size_is_known_by_its_time(folder):
    images = ImageRows(folder, ())
    measure(folder, "a", 0.1)
    images.look(NAMES)
    measure(folder, "a", 0.9)
    os.utime(folder / exchange.CONFIDENCE / "a.json", ns=(1, 1))
    assert images.look(NAMES)[0].uncertain == 0.9


def test_removed_measure_is_forgotten(folder):
    images = ImageRows(folder, ())
    measure(folder, "a", 0.1)
    images.look(NAMES)
    (folder / exchange.CONFIDENCE / "a.json").unlink()
    assert all(row.uncertain is None for row in images.look(NAMES))


def test_mask_counts_whoever_made_it(folder):
    (folder / "a.png").write_bytes(b"")
    (folder / "b.png").write_bytes(b"")
    (folder / "train").mkdir()
    (folder / "train" / "b.png").write_bytes(b"")
    measure(folder, "c", 0.3)
    rows = {row.name: row for row in ImageRows(folder, (folder / "train", folder / "gone")).look(NAMES)}
    assert [rows[name].masked for name in NAMES] == [True, True, False]
    assert [rows[name].unmeasured for name in NAMES] == [True, False, False], "b was corrected, c has no mask"


def test_folders_that_are_not_there_yet(tmp_path):
    assert len(ImageRows(tmp_path / "gone", (tmp_path / "gone",)).look(NAMES)) == 3
