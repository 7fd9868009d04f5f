import numpy as np
import pytest
from PIL import Image

from rootpainter_rootfm.segment import overlay
from rootpainter_rootfm.segment.overlay import ROOT_COLOUR, Entry
from tests.segment.helpers import photograph


@pytest.mark.parametrize(
    ("size", "small"), [((640, 1280), (160, 320)), ((3000, 30), (320, 3)), ((10, 20), (10, 20)), ((5000, 1), (320, 1))]
)
def test_a_thumbnail_keeps_the_proportions_and_never_grows(size, small):
    assert overlay.thumbnail(photograph(*size)).shape == (*small, 3)


def test_a_thumbnail_has_the_colours_of_the_photograph():
    image = np.zeros((2000, 2000, 3), np.uint8)
    image[:, 1000:] = (10, 200, 30)
    small = overlay.thumbnail(image)
    assert (small[:, :158] == 0).all() and (small[:, 162:] == (10, 200, 30)).all()


def test_a_root_one_pixel_wide_is_seen_in_the_small_picture():
    mask = np.zeros((3000, 2000), bool)
    mask[:, 777] = True
    small = np.full((300, 200, 3), 90, np.uint8)
    result = overlay.painted(small, mask)
    painted = (result != 90).any(2)
    assert painted[:, 77].all() and painted.sum() == 300
    assert np.abs(result[5, 77].astype(int) - ROOT_COLOUR).max() < 40
    assert (small == 90).all(), "the photograph itself stays as it is"


def test_a_sheet_shows_all_of_a_few_images_and_an_even_choice_of_many():
    assert overlay.chosen(12) == list(range(12))
    assert overlay.chosen(1) == [0]
    many = overlay.chosen(1000, 60)
    assert len(many) == 60 and many[0] == 0 and many[-1] == 999
    assert max(np.diff(many)) - min(np.diff(many)) <= 1


def test_the_sheet_holds_each_photograph_beside_its_overlay(tmp_path):
    mask = np.zeros((200, 200), bool)
    mask[90:110] = True
    photo = np.full((200, 200, 3), (60, 90, 30), np.uint8)  # no grey, as letters have
    entries = [Entry(f"{i}.png", "10.0% root", photo, overlay.painted(photo, mask)) for i in range(4)]
    entries.append(Entry("bad.png", "bad.png cannot be read: the file is empty. " * 8))
    overlay.write_sheet(entries, "five images", tmp_path / "new" / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "new" / "sheet.png")).astype(int)
    pink = (np.abs(sheet - np.array([225, 13, 174])) < 3).all(2)
    assert pink.sum() == 4 * 20 * 200
    assert (sheet == (60, 90, 30)).all(2).sum() == 4 * (200 * 200 + 180 * 200)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sheet.png"]


def test_however_long_a_remark_is_it_stays_in_its_place(tmp_path):
    entries = [Entry(f"{i}\n.png", "the file is empty, and so are all others " * 30) for i in range(20)]
    overlay.write_sheet(entries, "twenty images", tmp_path / "sheet.png")
    inked = (np.asarray(Image.open(tmp_path / "sheet.png")) == (235, 235, 235)).all(2)
    places, _, _ = overlay._layout(entries)
    tops = sorted({top for _, top in places})
    assert len(tops) > 1 and all(not inked[top - 14 : top].any() for top in tops[1:])


@pytest.mark.parametrize("count", [1, 7, 60])
@pytest.mark.parametrize("size", [(240, 320), (320, 60)])
def test_entries_lie_side_by_side_within_the_sheet(count, size):
    photo = np.zeros((*size, 3), np.uint8)
    places, width, height = overlay._layout([Entry("x", "y", photo, photo)] * count)
    assert len(set(places)) == count and width <= 2020
    wide, high = max(240, 2 * size[1] + 4), size[0]
    for index, (left, top) in enumerate(places):
        assert left + wide <= width and top + high <= height
        for other_left, other_top in places[:index]:
            assert abs(left - other_left) >= wide or abs(top - other_top) >= high
