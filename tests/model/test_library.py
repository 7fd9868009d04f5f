"""Models come, are found, checked and go; no wrong file passes for a model, no unknown name for the default."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rootpainter_rootfm import files, home
from rootpainter_rootfm.errors import ModelError, WeightsError
from rootpainter_rootfm.files import sha256
from rootpainter_rootfm.model import checkpoint
from rootpainter_rootfm.model.card import card_of_file
from rootpainter_rootfm.model.checkpoint import read_state
from rootpainter_rootfm.model.library import DEFAULT_MODEL, Library, load_model

# ---- where it lies, what it has


def test_the_home_is_named_by_a_variable_or_given_or_the_systems_own(tmp_path, monkeypatch):
    monkeypatch.setenv("ROOTFM_HOME", str(tmp_path / "here"))
    assert Library().home == tmp_path / "here" and Library(tmp_path / "there").home == tmp_path / "there"
    monkeypatch.setenv("ROOTFM_HOME", "~/models")
    assert Library().home == Path.home() / "models" and home.cache_folder() == Path.home() / "models" / "cache"
    monkeypatch.delenv("ROOTFM_HOME")
    assert Library().home.name == "rootfm" and Library().home.is_absolute()


def test_cards_are_read_without_torch_and_without_the_network():
    code = """
import sys
from rootpainter_rootfm.model.library import Library
Library().cards()
print({"torch", "pooch"} & set(sys.modules))
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_an_unknown_name_lists_the_known_ones_and_a_path_is_said_not_to_exist(library):
    with pytest.raises(ModelError, match="'rotfm' in the library, which has: rootfm") as error:
        library.get("rotfm")
    assert "file" not in str(error.value)
    for text in ("models/000001.pth", "lab.safetensors"):
        with pytest.raises(ModelError, match=f"which has: rootfm.* Nor is there a file {text}"):
            load_model(text)
    assert library.find("rotfm") is None and library.find("") is None


def test_a_model_is_found_by_name_in_any_case_and_by_sha256(library):
    card = library.get("RootFM")
    assert card.name == DEFAULT_MODEL and library.find(card.sha256.upper()) == card
    assert library.find(card.sha256[:12]) is None


# ---- the bundled model


def test_a_package_without_its_model_says_that_it_must_be_installed_again(library, bundle):
    assert library.cards() == []
    with pytest.raises(ModelError, match="missing from .*bundle: install the package again"):
        load_model(DEFAULT_MODEL)


def test_the_bundled_model_is_used_where_it_lies(library, bundle, put_bundled, weights):
    card = put_bundled(weights / "half.safetensors")
    assert library.cards() == [card] and library.path(card) == bundle / "rootfm.safetensors"
    assert load_model(DEFAULT_MODEL)[1].threshold == 0.4
    library.verify(DEFAULT_MODEL)
    with pytest.raises(ModelError, match="comes with the package"):
        library.remove(DEFAULT_MODEL)
    assert not library.home.exists()


def test_a_damaged_or_missing_bundled_file_is_never_used(library, bundle, put_bundled, weights):
    card = put_bundled(weights / "half.safetensors")
    file = bundle / card.file
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    for use in (lambda: library.path(card), lambda: load_model(DEFAULT_MODEL), lambda: library.verify(DEFAULT_MODEL)):
        with pytest.raises(ModelError, match="rootfm is damaged.*another checksum"):
            use()
    file.unlink()
    with pytest.raises(ModelError, match="missing.*install the package again"):
        library.path(card)


# ---- the user's own files


@pytest.mark.parametrize("name", ["half.pth", "single.pth", "half.safetensors"])
def test_an_added_file_keeps_every_value_and_is_named_by_its_digest(library, weights, name):
    card = library.add(weights / name)
    path = library.path(card)
    assert path.parent == library.home / "models" / name.split(".")[0] and path.name == f"{sha256(path)}.safetensors"
    assert card.sha256 == sha256(path) and card.size_bytes == path.stat().st_size and library.origin(card) == "imported"
    kept, given = read_state(path), read_state(weights / name)
    assert all(torch.equal(kept[key], given[key]) for key in given)
    assert Library().get(card.name) == card and [one.name for one in library.cards()] == [DEFAULT_MODEL, card.name]
    assert sorted(path.name for path in (library.home / "models").iterdir()) == [card.name]
    library.verify(card.name)


def test_an_added_file_inherits_tiles_and_padding_and_takes_over_a_card_beside_it(library, weights, tmp_path):
    card = library.add(weights / "single.pth", name="plain")
    default = library.get(DEFAULT_MODEL)
    assert (card.tile_sizes, card.padding, card.threshold) == (default.tile_sizes, default.padding, 0.5)
    assert "single.pth" in card.notes and sha256(weights / "single.pth") in card.notes
    shared = tmp_path / "rootfm.safetensors"
    shared.write_bytes((weights / "half.safetensors").read_bytes())
    told = replace(card_of_file(shared, default), name="rootfm", licence="MIT", threshold=0.3, tile_sizes=(512,))
    shared.with_suffix(".json").write_text(told.to_json(), encoding="utf-8")
    added = library.add(shared)
    assert (added.name, added.licence, added.threshold, added.tile_sizes) == ("rootfm-2", "MIT", 0.3, (512,))
    assert added.sha256 == sha256(shared)


def test_the_same_weights_are_not_stored_twice(library, weights):
    card = library.add(weights / "half.pth")
    assert library.add(weights / "half.pth") == card and len(library.cards()) == 2
    with pytest.raises(ModelError, match="already, as half"):
        library.add(weights / "half.pth", name="again")
    assert library.add(weights / "single.pth", name="other").name == "other"


def test_of_two_models_that_are_added_under_one_name_at_a_time_the_first_stays_whole(library, weights, monkeypatch):
    read = checkpoint.read_state

    def slow(path):
        if path.name == "half.pth":
            Library(library.home).add(weights / "single.pth", name="lab")
        return read(path)

    monkeypatch.setattr(checkpoint, "read_state", slow)
    with pytest.raises(ModelError, match="has a model lab already. Choose another name"):
        library.add(weights / "half.pth", name="lab")
    first = library.get("lab")
    assert "single.pth" in first.notes and len(library.cards()) == 2
    assert sorted(os.listdir(library.home / "models" / "lab")) == sorted([first.file, "card.json"])
    library.verify("lab")


def test_a_model_that_could_not_be_added_whole_leaves_nothing(library, weights, monkeypatch):
    monkeypatch.setattr(
        files, "write_text", lambda *text: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(ModelError, match="cannot be written: No space left"):
        library.add(weights / "half.pth")
    assert not any((library.home / "models").iterdir())


def test_a_folder_without_a_model_is_not_filled_up(library, weights):
    left = library.home / "models" / "half"
    left.mkdir(parents=True)
    (left / "card.json").write_text("{")
    with pytest.raises(ModelError, match="half is in the way of a model. Delete it or choose another name"):
        library.add(weights / "half.pth", name="half")
    assert library.add(weights / "half.pth").name == "half-2"
    assert os.listdir(left) == ["card.json"]


@pytest.mark.parametrize(
    ("name", "cause"), [("a/b", "cannot be called"), ("..", "cannot be called"), ("ROOTFM", "already")]
)
def test_names_are_checked_before_anything_is_read(library, name, cause):
    with pytest.raises(ModelError, match=cause):
        library.add("nowhere.pth", name=name)


def test_a_file_that_is_no_model_leaves_nothing_behind(library, tmp_path):
    (tmp_path / "bad.pth").write_bytes(b"PK\3\4 nonsense")
    with pytest.raises(WeightsError, match="bad.pth"):
        library.add(tmp_path / "bad.pth")
    assert not library.home.exists()


def test_a_library_that_cannot_be_written_says_so(library, weights):
    library.home.parent.mkdir(exist_ok=True)
    library.home.write_text("a file where the folder should be")
    with pytest.raises(ModelError, match="home cannot be written"):
        library.add(weights / "half.pth")


def test_removing_deletes_the_models_files_and_no_others(library, weights):
    library.add(weights / "half.pth")
    (library.home / "models" / "half" / ".DS_Store").write_bytes(b"a file manager was here")
    library.remove("HALF")
    assert library.find("half") is None and not any((library.home / "models").iterdir())
    with pytest.raises(ModelError, match="no model 'half'"):
        library.remove("half")


def test_a_model_that_is_in_use_stays_whole(library, weights, monkeypatch):
    card = library.add(weights / "half.pth")

    def refuse(*paths):
        raise PermissionError(13, "The process cannot access the file")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(ModelError, match="Close what uses it and try again"):
            library.remove("half")
    assert library.path(library.get("half")).is_file() and library.get("half") == card
    library.remove("half")


def test_one_damaged_card_hides_neither_itself_nor_the_others(library, weights):
    library.add(weights / "half.pth")
    library.add(weights / "single.pth")
    (library.home / "models" / "half" / "card.json").write_text("{")
    assert [card.name for card in library.cards()] == [DEFAULT_MODEL, "single"]
    assert len(library.damaged()) == 1 and os.path.join("half", "card.json") in library.damaged()[0]


def test_a_damaged_imported_file_is_found_by_verify_and_never_used(library, weights):
    card = library.add(weights / "half.pth")
    file = library.path(card)
    os.truncate(file, 1000)
    for use in (lambda: library.verify("half"), lambda: load_model("half"), lambda: library.export("half", "x.pth")):
        with pytest.raises(ModelError, match="half is damaged.*rootfm models remove half"):
            use()
    file.unlink()
    with pytest.raises(ModelError, match="half is missing.*add it again"):
        library.path(card)


def test_export_writes_what_rootpainter_reads(library, weights, tmp_path):
    library.add(weights / "half.safetensors")
    library.export("half", tmp_path / "out.pth")
    given, exported = read_state(weights / "half.safetensors"), torch.load(tmp_path / "out.pth", weights_only=True)
    assert set(exported) == set(given) and all(
        torch.equal(exported[name].float(), given[name].float()) for name in given
    )
    with pytest.raises(ModelError, match="must end in .pth"):
        library.export("half", tmp_path / "out.pkl")


def test_a_file_on_disk_is_loaded_with_a_card_made_for_it(library, weights):
    network, card = load_model(str(weights / "half.pth"))
    assert not network.training and card.sha256 == sha256(weights / "half.pth") and card.threshold == 0.5
    assert load_model(weights / "half.pth")[1] == card
    with pytest.raises(WeightsError, match="does not exist"):
        load_model(weights / "nowhere.pth")


@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_a_lost_or_damaged_file_comes_back_by_adding_the_model_again(library, weights, harm):
    card = library.add(weights / "half.pth", "lab")
    file = library.home / "models" / "lab" / card.file
    file.unlink() if harm == "lost" else file.write_bytes(b"cut")
    assert library.add(weights / "half.pth") == card
    library.verify("lab")
