import json
from dataclasses import replace

import pytest

from rootpainter_rootfm.errors import ModelError
from rootpainter_rootfm.model.card import ModelCard, card_beside, card_of_file, digest_of, is_model_name

CARD = ModelCard(
    name="lab-1",
    title="Lab model",
    file="lab-1.safetensors",
    sha256="ab" * 32,
    licence="CC-BY-4.0",
    training_data=(("segroot", "MIT"), ("rice", "keine, ö")),
    tile_sizes=(256, 1024),
    padding="mean",
    threshold=0.45,
    trained=True,
    weaknesses="hairs",
    notes="",
    url="https://example.org/lab-1.safetensors",
    size_bytes=20_000_000,
)


def changed(**changes):
    return json.dumps({**json.loads(CARD.to_json()), **changes})


def test_a_card_reads_back_as_it_was(tmp_path):
    assert ModelCard.from_json(CARD.to_json()) == CARD
    (tmp_path / "c.json").write_text(CARD.to_json(), encoding="utf-8")
    assert ModelCard.read(tmp_path / "c.json") == CARD


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("name", "../evil"),
        ("name", "con"),
        ("file", "../../.bashrc"),
        ("file", "a/b.pth"),
        ("file", "C:evil"),
        ("sha256", "AB" * 32),
        ("sha256", None),
        ("training_data", [["segroot", "MIT"]]),
        ("training_data", [{"name": "segroot"}]),
        ("tile_sizes", []),
        ("tile_sizes", [100]),
        ("tile_sizes", [256.0]),
        ("tile_sizes", [True]),
        ("padding", "zero"),
        ("padding", ["black"]),
        ("threshold", 0),
        ("threshold", 1.0),
        ("threshold", float("nan")),
        ("threshold", True),
        ("trained", 1),
        ("url", "file:///etc/passwd"),
        ("size_bytes", 0),
        ("title", None),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(entry, value):
    with pytest.raises(ModelError, match=f"its {entry} cannot be"):
        ModelCard.from_json(changed(**{entry: value}))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "not JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "not JSON"),
        ("{}", "lacks name, title"),
        (changed(colour="red"), "unknown entry colour"),
    ],
)
def test_what_is_no_card_is_refused_with_the_cause(text, cause):
    with pytest.raises(ModelError, match=cause):
        ModelCard.from_json(text)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"{}"])
def test_a_damaged_card_file_is_named(tmp_path, content):
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(ModelError, match="c.json cannot be read"):
        ModelCard.read(tmp_path / "c.json")


def test_model_names_are_file_names_on_every_system():
    assert all(map(is_model_name, ("rootfm", "Lab-1", "a.b_c", "9", "a" * 64, "console")))
    assert not any(
        map(is_model_name, ("", ".a", "a.", "a/b", "a\\b", "a:b", "a b", "ä", "nul", "COM1", "a" * 65, "a\n"))
    )


def test_a_file_without_card_inherits_tiles_and_padding_but_no_threshold(tmp_path):
    path = tmp_path / "000003 (1).pth"
    path.write_bytes(b"weights")
    card = card_of_file(path, CARD)
    assert (card.tile_sizes, card.padding, card.threshold) == (CARD.tile_sizes, CARD.padding, 0.5)
    assert (card.name, card.title, card.file) == ("000003-1", path.name, path.name)
    assert card.sha256 == digest_of(path) and card.size_bytes == 7 and card.url is None
    assert card.licence == "not stated" and card.training_data == ()
    (tmp_path / "ä.pth").write_bytes(b"weights")
    assert is_model_name(card_of_file(tmp_path / "ä.pth", CARD).name)


def test_a_card_beside_a_file_counts_only_for_that_file(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"weights")
    assert card_beside(path) is None
    (tmp_path / "m.json").write_text(replace(CARD, sha256=digest_of(path)).to_json(), encoding="utf-8")
    assert card_beside(path).threshold == 0.45
    path.write_bytes(b"other weights")
    with pytest.raises(ModelError, match="describes other weights"):
        card_beside(path)
    (tmp_path / "m.json").write_text('{"lr": 1}', encoding="utf-8")
    with pytest.raises(ModelError, match=r"taken for the card of m\.safetensors; move it away"):
        card_beside(path)
