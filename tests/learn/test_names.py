from pathlib import Path, PureWindowsPath

import pytest

from rootpainter_rootfm.learn.data import Dataset, Item
from rootpainter_rootfm.learn.names import may_be_one, named_items


def names(*images):
    return [name for name, _ in named_items(Dataset("d", tuple(map(Item, images))))]


def test_a_name_has_the_folders_in_which_the_images_differ():
    assert names(Path("/data/session1/a.png"), Path("/data/session1/b.png")) == ["a.png", "b.png"]
    assert names(Path("/data/session1/a.png"), Path("/data/session2/a.png")) == ["session1/a.png", "session2/a.png"]


def test_a_name_is_never_absolute_and_images_on_two_drives_have_two():
    assert names(PureWindowsPath("C:/data/a.png"), PureWindowsPath("D:/data/a.png")) == ["C/data/a.png", "D/data/a.png"]
    assert names(PureWindowsPath("C:/a.png"), PureWindowsPath("//server/share/a.png"))[1] == "server/share/a.png"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        *(("a.png", "a.png", True), ("a.png", "session1/a.png", True), ("data/s/a.png", "s/a.png", True)),
        *(("a.png", "aa.png", False), ("s/a.png", "plots/a.png", False), ("1/a.png", "session1/a.png", False)),
    ],
)
def test_names_of_one_image_end_alike_in_whole_folders(one, other, expected):
    assert may_be_one(one, other) is may_be_one(other, one) is expected
