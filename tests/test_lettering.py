import pytest

from rootpainter_rootfm.lettering import drawable, font


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("Wurzel größe 1.png", "Wurzel grosse 1.png"),
        ("été_ñandú 3 × 4 · 5 %", "ete_nandu 3 x 4 · 5 %"),
        ("根.png", "?.png"),
    ],
)
def test_names_are_drawn_in_letters_that_the_font_has(name, drawn):
    assert drawable(name) == drawn
    box = bytes(font().getmask("\uffff"))
    assert all(bytes(font().getmask(sign)) != box for sign in drawn if sign != " ")
